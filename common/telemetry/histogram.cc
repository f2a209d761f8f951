#include "common/telemetry/histogram.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>
#include <utility>

namespace meridian {
namespace {

constexpr size_t kWordsPerLine = kCacheLine / sizeof(std::atomic<uint64_t>);

size_t StrideFor(size_t bounds) {
  const size_t words = bounds + 2;  // The bucket beyond all bounds, and the sum.
  return (words + kWordsPerLine - 1) / kWordsPerLine * kWordsPerLine;
}

std::atomic<uint64_t>* NewWords(size_t count) {
  void* memory =
      ::operator new(count * sizeof(std::atomic<uint64_t>), std::align_val_t(kCacheLine));
  auto* words = static_cast<std::atomic<uint64_t>*>(memory);
  for (size_t i = 0; i < count; ++i) new (&words[i]) std::atomic<uint64_t>(0);
  return words;
}

}  // namespace

void Histogram::FreeAligned::operator()(std::atomic<uint64_t>* words) const {
  ::operator delete(static_cast<void*>(words), std::align_val_t(kCacheLine));
}

const std::vector<double>& LatencyBounds() {
  static const auto& bounds =
      *new std::vector<double>{.00005, .0001, .0003, .0006, .001, .002, .003, .005, .008, .013,
                               .02,    .03,   .05,   .08,   .13,  .2,   .4,   .8,   2,    5};
  return bounds;
}

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)),
      stride_(StrideFor(bounds_.size())),
      words_(NewWords(stride_ * kThreadCells)) {
  assert(!bounds_.empty());
  assert(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::ObserveMany(double value, uint64_t count) {
  // Counting beats searching: no branch to mispredict, and the bounds are few.
  size_t bucket = 0;
  for (const double bound : bounds_) bucket += value > bound ? 1 : 0;
  ObserveIn(bucket, value, count);
}

void Histogram::ObserveIn(size_t bucket, double value, uint64_t count) {
  assert(bucket <= bounds_.size());
  std::atomic<uint64_t>* cell = CellOf(ThreadCell());
  cell[bucket].fetch_add(count, std::memory_order_relaxed);
  std::atomic<uint64_t>& sum = cell[bounds_.size() + 1];
  const double added = value * static_cast<double>(count);
  uint64_t old = sum.load(std::memory_order_relaxed);
  while (!sum.compare_exchange_weak(old,
                                    std::bit_cast<uint64_t>(std::bit_cast<double>(old) + added),
                                    std::memory_order_relaxed)) {
  }
}

HistogramSnapshot Histogram::Snapshot() const {
  HistogramSnapshot snapshot;
  snapshot.bounds = bounds_;
  snapshot.counts.resize(bounds_.size() + 1);
  for (size_t i = 0; i < kThreadCells; ++i) {
    const std::atomic<uint64_t>* cell = CellOf(i);
    for (size_t bucket = 0; bucket < snapshot.counts.size(); ++bucket) {
      snapshot.counts[bucket] += cell[bucket].load(std::memory_order_relaxed);
    }
    snapshot.sum += std::bit_cast<double>(cell[bounds_.size() + 1].load(std::memory_order_relaxed));
  }
  return snapshot;
}

uint64_t HistogramSnapshot::count() const {
  uint64_t count = 0;
  for (const uint64_t bucket : counts) count += bucket;
  return count;
}

double HistogramSnapshot::Quantile(double q) const {
  const uint64_t total = count();
  if (total == 0) return 0;
  const double rank = q * static_cast<double>(total);
  double below = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    const double in_bucket = static_cast<double>(counts[i]);
    if (in_bucket > 0 && below + in_bucket >= rank) {
      const double low = i == 0 ? std::min(0.0, bounds[0]) : bounds[i - 1];
      return low + (bounds[i] - low) * std::max(0.0, rank - below) / in_bucket;
    }
    below += in_bucket;
  }
  return bounds.back();
}

HistogramSnapshot& HistogramSnapshot::operator+=(const HistogramSnapshot& other) {
  if (counts.empty()) return *this = other;
  assert(bounds == other.bounds);
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  sum += other.sum;
  return *this;
}

HistogramSnapshot& HistogramSnapshot::operator-=(const HistogramSnapshot& earlier) {
  if (earlier.counts.empty()) return *this;
  assert(bounds == earlier.bounds);
  for (size_t i = 0; i < counts.size(); ++i) counts[i] -= std::min(counts[i], earlier.counts[i]);
  sum = std::max(0.0, sum - earlier.sum);
  return *this;
}

}  // namespace meridian
