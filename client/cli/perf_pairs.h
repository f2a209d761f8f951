// Uncached and cached pairs (requirements 3-12, 4-05): each key is asked for once past the cache,
// and after a wait once more. Each read keeps the name of who answered it.
//
// Without keys of the user's the tester has its own: uncached is then a miss and the Set that
// follows it, with --origin-delay between them where an origin would be asked.

#ifndef MERIDIAN_CLIENT_CLI_PERF_PAIRS_H_
#define MERIDIAN_CLIENT_CLI_PERF_PAIRS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/perf_summary.h"
#include "client/cli/perf_target.h"
#include "client/cli/perf_values.h"

namespace meridian::cli {

struct PairsOptions {
  uint64_t iterations = 5;
  std::vector<std::string> keys = {};  // Of the user's, in a namespace with an origin.
  absl::Duration wait = absl::Milliseconds(200);
};

struct PerfPair {
  std::string key;
  double uncached_ms = 0;
  double cached_ms = 0;
  std::string uncached_source;  // "miss" or a tier.
  std::string cached_source;
};

struct PairsResult {
  bool ran = false;
  bool of_origin = false;                 // Keys of the user's.
  std::vector<PerfPair> pairs;            // Those that went well.
  std::vector<std::string> written = {};  // Keys of its own that it may have stored.
  PerfProblems problems;

  Summary Uncached() const;
  Summary Cached() const;
  // Of those that `source` answered.
  Summary UncachedOf(const std::string& source) const;
  // How many of the uncached reads each source answered: an origin that is asked past the cache may
  // not be there, and then what a tier has is the answer.
  std::map<std::string, uint64_t> UncachedSources() const;
  std::string UncachedSourcesText() const;  // "2 from L2, 1 from ORIGIN".
  double SpeedUp() const;                   // Mean uncached / mean cached; 0: not known.
  double SavedMs() const;                   // A hit, on average; not below 0.
  double SavedPercent() const;              // 66.4: cached takes a third of the time.
};

// `done` counts pairs.
PairsResult RunPairs(PerfTarget& target, const PairsOptions& options, const PerfValues& values,
                     std::atomic<uint64_t>& done);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PERF_PAIRS_H_
