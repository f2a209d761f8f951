// Histogram counts observations by size.
//
// Cost: Observe is a search of a few bounds and two relaxed atomic adds to the thread's own cache
//   lines, at most 20 ns; about 1.5 KiB with 20 bounds.
// Thread safety: all methods may be called concurrently. A snapshot that races with Observe may
//   have counted an observation and not its value, never the other way round for long.

#ifndef MERIDIAN_COMMON_TELEMETRY_HISTOGRAM_H_
#define MERIDIAN_COMMON_TELEMETRY_HISTOGRAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "common/telemetry/thread_cell.h"

namespace meridian {

// The bounds of latencies in seconds, 50 µs to 5 s.
const std::vector<double>& LatencyBounds();

// What a histogram held at one time.
struct HistogramSnapshot {
  std::vector<double> bounds;    // Ascending; bucket i has what is <= bounds[i].
  std::vector<uint64_t> counts;  // By bucket, not cumulative; one more than bounds: the rest.
  double sum = 0;

  uint64_t count() const;

  // The value below which the part `q` of the observations lies, taken evenly spread within a
  // bucket, as Prometheus' histogram_quantile does; the largest bound when it lies beyond all.
  // 0 when there are no observations. REQUIRES: 0 <= q <= 1.
  double Quantile(double q) const;

  // Adds what another histogram held. REQUIRES: equal bounds, or this one is empty.
  HistogramSnapshot& operator+=(const HistogramSnapshot& other);
  // Leaves what was observed since `earlier`, a snapshot of the same histogram; an empty one is of
  // before its first observation. REQUIRES: equal bounds, or `earlier` is empty.
  HistogramSnapshot& operator-=(const HistogramSnapshot& earlier);
};

class Histogram {
 public:
  // REQUIRES: `bounds` is not empty and ascends.
  explicit Histogram(std::vector<double> bounds);
  Histogram(const Histogram&) = delete;
  Histogram& operator=(const Histogram&) = delete;

  void Observe(double value) { ObserveMany(value, 1); }
  // As so many observations of the same value; costs as one. REQUIRES: count > 0.
  void ObserveMany(double value, uint64_t count);
  // As ObserveMany, for who knows the bucket of the value: with many bounds the search costs.
  void ObserveIn(size_t bucket, double value, uint64_t count);
  void Observe(absl::Duration latency) { Observe(absl::ToDoubleSeconds(latency)); }

  HistogramSnapshot Snapshot() const;

 private:
  // Cells are runs of stride_ words: the buckets, then the sum as the bits of a double.
  std::atomic<uint64_t>* CellOf(size_t cell) const { return &words_[cell * stride_]; }

  struct FreeAligned {
    void operator()(std::atomic<uint64_t>* words) const;
  };

  const std::vector<double> bounds_;
  const size_t stride_;  // Whole cache lines.
  const std::unique_ptr<std::atomic<uint64_t>[], FreeAligned> words_;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TELEMETRY_HISTOGRAM_H_
