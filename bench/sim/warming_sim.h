// SimulateWarming sends a trace through the real engine, with a source of warming beside it that
// reads keys by its budget: what it brings, what it costs, and whether it pays.
//
// The parts are those of the product: WarmLedger in the engine, WarmSources and WarmBudget,
// Predictor. What nodes report is `delay` old when it is learnt from;
// what a rule wants is there `rule_delay` after the read that it is for.

#ifndef MERIDIAN_BENCH_SIM_WARMING_SIM_H_
#define MERIDIAN_BENCH_SIM_WARMING_SIM_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/sim/trace.h"
#include "common/engine/warm_ledger.h"

namespace meridian::sim {

struct WarmingOptions {
  // Or "prediction"; "rule": what Trace::related says; "schedule": every hot_interval the hot keys,
  // loaded anew although they are in memory.
  std::string source = "none";
  size_t capacity_entries = 0;
  double ceiling = 1000;  // Keys a second.
  double threshold = 0.5;
  absl::Duration delay = absl::Seconds(2);
  absl::Duration rule_delay = absl::Milliseconds(200);  // Events are gathered for 100 ms.
  absl::Duration not_again_for = absl::Seconds(30);     // A key that a rule has warmed.
  absl::Duration hot_interval = absl::Seconds(30);
  size_t hot_keys = 50;
};

struct WarmingResult {
  uint64_t requests = 0;
  uint64_t hits = 0;
  uint64_t late_requests = 0;  // Of the second half of the trace,
  uint64_t late_read = 0;      // and what was read ahead in it.
  uint64_t read = 0;           // Keys that were read ahead, in memory already or not.
  WarmedCounts warmed;
  double budget = 0;  // Keys a second, at the end.

  double hit_ratio() const { return static_cast<double>(hits) / static_cast<double>(requests); }
  // Keys that were read ahead for each request: of the second half, when it is known what it is
  // worth.
  double spending() const {
    return static_cast<double>(late_read) / static_cast<double>(late_requests);
  }
  // -1: nothing is decided.
  double precision() const {
    const uint64_t decided = warmed.used + warmed.unused;
    return decided == 0 ? -1 : static_cast<double>(warmed.used) / static_cast<double>(decided);
  }
};

// The same requests in an order by lot, at the same times.
Trace Shuffled(const Trace& trace, uint64_t seed);

// REQUIRES: the trace has requests. Returns what is wrong with the options.
absl::StatusOr<WarmingResult> SimulateWarming(const Trace& trace, const WarmingOptions& options);

}  // namespace meridian::sim

#endif  // MERIDIAN_BENCH_SIM_WARMING_SIM_H_
