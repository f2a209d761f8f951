// SimulateWarming sends a trace through the real engine, with sources of warming beside it that
// read keys by their budgets: what they bring, what they cost, and whether they pay.
//
// The parts are those of the product: WarmLedger in the engine, WarmSources and WarmBudget,
// Predictor. What nodes report is `delay` old when it is learnt from;
// what a rule wants is there `rule_delay` after the read that it is for.

#ifndef MERIDIAN_BENCH_SIM_WARMING_SIM_H_
#define MERIDIAN_BENCH_SIM_WARMING_SIM_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/sim/trace.h"
#include "common/engine/warm_ledger.h"

namespace meridian::sim {

struct WarmingOptions {
  // Any of "startup": after a restart, what was asked for most before; "schedule": every
  // hot_interval the hot keys, loaded anew although they are in memory; "rule": what Trace::related
  // says; "prediction".
  std::vector<std::string> sources;
  size_t capacity_entries = 0;
  bool restarts = false;  // At half of its requests the node loses what it has in memory.
  double ceiling = 1000;  // Keys a second.
  double threshold = 0.5;
  absl::Duration delay = absl::Seconds(2);
  absl::Duration rule_delay = absl::Milliseconds(200);  // Events are gathered for 100 ms.
  absl::Duration not_again_for = absl::Seconds(30);     // A key that a rule has warmed.
  absl::Duration hot_interval = absl::Seconds(30);
  size_t hot_keys = 50;
  size_t startup_keys = 1000;  // As many as have room, at most.
};

struct WarmingResult {
  uint64_t requests = 0;
  uint64_t hits = 0;
  uint64_t late_requests = 0;   // Of the second half of the trace.
  // What each source loaded ahead in it, and what became of that; after a restart, of what was
  // loaded since.
  std::map<std::string, WarmedCounts> late;
  uint64_t late_read = 0;       // What was read ahead in it, and most of it was there.
  uint64_t first_requests = 0;  // After the restart, a hundredth of all,
  uint64_t first_hits = 0;      // and their hits.
  uint64_t read = 0;            // Keys that were read ahead, in memory already or not.
  WarmedCounts warmed;
  double budget = 0;  // Keys a second, at the end, of the last source.

  double hit_ratio() const { return Share(hits, requests); }
  double first_hit_ratio() const { return Share(first_hits, first_requests); }
  // Loads ahead for each request of the second half, when it is known what they are worth: of one
  // source, or of all.
  double spending(const std::string& source) const {
    return Share(Late(source).warmed, late_requests);
  }
  double spending() const { return Share(Late().warmed, late_requests); }
  // Keys that were looked at ahead for each request, likewise.
  double looks() const { return Share(late_read, late_requests); }
  // -1: nothing is decided. Of all requests; of those of the second half.
  double precision() const { return Precision(warmed); }
  double late_precision(const std::string& source) const { return Precision(Late(source)); }
  double late_precision() const { return Precision(Late()); }

 private:
  WarmedCounts Late(const std::string& source) const {
    const auto it = late.find(source);
    return it == late.end() ? WarmedCounts() : it->second;
  }
  WarmedCounts Late() const {
    WarmedCounts sum;
    for (const auto& [source, counts] : late) sum += counts;
    return sum;
  }
  static double Precision(const WarmedCounts& counts) {
    const uint64_t decided = counts.used + counts.unused;
    return decided == 0 ? -1 : Share(counts.used, decided);
  }
  static double Share(uint64_t part, uint64_t all) {
    return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
  }
};

// The same requests in an order by lot, at the same times.
Trace Shuffled(const Trace& trace, uint64_t seed);

// REQUIRES: the trace has requests. Returns what is wrong with the options.
absl::StatusOr<WarmingResult> SimulateWarming(const Trace& trace, const WarmingOptions& options);

}  // namespace meridian::sim

#endif  // MERIDIAN_BENCH_SIM_WARMING_SIM_H_
