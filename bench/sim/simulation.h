// Simulate sends a trace through the real engine, as a read-through cache: a miss stores the value.
//
// One shard, so that the capacity is exact. Every request counts, the first of each key too. The
// engine's own clockwork expires entries as time passes, unless lazy_expiry asks for what
// simulators of the literature do: an expired entry keeps its room until it is asked for or
// evicted.

#ifndef MERIDIAN_BENCH_SIM_SIMULATION_H_
#define MERIDIAN_BENCH_SIM_SIMULATION_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bench/sim/trace.h"

namespace meridian::sim {

struct SimulationOptions {
  std::string policy = "lru";
  // One of them is set.
  size_t capacity_entries = 0;
  size_t capacity_bytes = 0;  // Of values alone, as in published figures.
  bool lazy_expiry = false;
};

struct SimulationResult {
  uint64_t requests = 0;
  uint64_t misses = 0;
  uint64_t requested_bytes = 0;
  uint64_t missed_bytes = 0;

  double miss_ratio() const { return static_cast<double>(misses) / static_cast<double>(requests); }
  double byte_miss_ratio() const {
    return static_cast<double>(missed_bytes) / static_cast<double>(requested_bytes);
  }
};

// What `fraction` of the trace is in entries, as the published figures round it: to the nearest,
// and at least two.
size_t EntriesOf(const Trace& trace, double fraction);

// What `fraction` of the trace is in bytes, rounded down, but at least 1.
size_t BytesOf(const Trace& trace, double fraction);

// REQUIRES: the trace has requests. Returns what the engine does not accept of the options.
absl::StatusOr<SimulationResult> Simulate(const Trace& trace, const SimulationOptions& options);

}  // namespace meridian::sim

#endif  // MERIDIAN_BENCH_SIM_SIMULATION_H_
