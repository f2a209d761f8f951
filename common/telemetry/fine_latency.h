// The fine buckets of latencies: those in which the guards of a rollout compare two versions of the
// policies.
//
// Each step of LatencyBounds() is cut into parts of one ratio, so that counts in fine buckets are
// exact in the coarse ones, too (InBounds). A bucket is kLeastWidth to kMostWidth wide.
// Cost: FineLatencyBucket reads two tables, no loop: less than 5 ns.
// Thread safety: pure functions.

#ifndef MERIDIAN_COMMON_TELEMETRY_FINE_LATENCY_H_
#define MERIDIAN_COMMON_TELEMETRY_FINE_LATENCY_H_

#include <cstddef>
#include <vector>

#include "common/telemetry/histogram.h"

namespace meridian {

// Of a bucket, by how much its upper bound is above its lower one: the 16th part of an octave at
// most. Below the first bound nothing is told apart.
inline constexpr double kMostWidth = 0.0443;
inline constexpr double kLeastWidth = 0.041;

// About 280, from the first of LatencyBounds() to its last.
const std::vector<double>& FineLatencyBounds();

// Where a Histogram of these bounds counts what took so long.
size_t FineLatencyBucket(double seconds);

// The same counts in the buckets of other bounds. What is between two of them is told as at the
// next larger one: exact when each of `bounds` is among the snapshot's own.
HistogramSnapshot InBounds(const HistogramSnapshot& snapshot, const std::vector<double>& bounds);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TELEMETRY_FINE_LATENCY_H_
