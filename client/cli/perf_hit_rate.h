// The 80/20 test (requirement 4-06): four of five requests are for the popular fifth of the items;
// what misses is stored, as an application does.
//
// The draw tells how many of the requests can be hits at all: those for a key that came before. A
// cache that loses none of its entries meanwhile answers so many.

#ifndef MERIDIAN_CLIENT_CLI_PERF_HIT_RATE_H_
#define MERIDIAN_CLIENT_CLI_PERF_HIT_RATE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <set>
#include <vector>

#include "client/cli/perf_summary.h"
#include "client/cli/perf_target.h"
#include "client/cli/perf_values.h"

namespace meridian::cli {

struct HitRateOptions {
  uint64_t requests = 50;
  uint64_t popular = 10;  // A fifth of the items.
  uint64_t seed = 1;

  uint64_t items() const { return popular * 5; }
};

struct HitRateResult {
  bool ran = false;
  HitRateOptions options;
  uint64_t possible_hits = 0;
  std::array<uint64_t, 4> by_tier{};  // By kReplayTiers.
  std::vector<double> times_ms;       // Of each request; what misses is stored within it.
  std::vector<bool> hits;             // Of each request.
  std::set<uint64_t> written = {};    // Items that it may have stored.
  PerfProblems problems;

  uint64_t answered() const { return hits.size(); }
  uint64_t Hits() const { return by_tier[0] + by_tier[1] + by_tier[2]; }
  double Rate() const;          // 0..1
  double PossibleRate() const;  // 0..1
  Summary Times() const { return Summarize(times_ms); }
  Summary TimesOf(bool hit) const;
};

// "optimal" above 80 %, "good" from 50 %, else "poor" (requirements 3-05 and 4-06).
const char* EffectivenessOf(double hit_rate);

// The items of the requests, in order; equal seeds give equal draws.
std::vector<uint64_t> DrawItems(const HitRateOptions& options);

// `done` counts requests.
HitRateResult RunHitRate(PerfTarget& target, const HitRateOptions& options,
                         const PerfValues& values, std::atomic<uint64_t>& done);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PERF_HIT_RATE_H_
