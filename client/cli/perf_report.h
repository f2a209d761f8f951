// What a run of the performance tester measured, and the report of it as text, JSON and a page.

#ifndef MERIDIAN_CLIENT_CLI_PERF_REPORT_H_
#define MERIDIAN_CLIENT_CLI_PERF_REPORT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/perf_backends.h"
#include "client/cli/perf_hit_rate.h"
#include "client/cli/perf_load.h"
#include "client/cli/perf_pairs.h"

namespace meridian::cli {

struct PerfReport {
  absl::Time began;
  std::string target;
  std::string name_space;
  PerfValues values;
  int signal = 0;  // That ended it early; 0: none did.
  PerfBackends backends;
  PairsResult pairs;
  HitRateResult hit_rate;
  LoadResult load;
  uint64_t written_keys = 0;      // By the tests, and removed at the end.
  uint64_t not_removed_keys = 0;  // They go by their TTL.
  std::vector<std::string> recommendations;

  // Everything was answered, and rightly.
  bool Good() const;
};

// The keys that the tests wrote, or may have written.
std::vector<std::string> WrittenKeys(const PerfReport& report);

// Requirements 3-05, 3-13, 3-15, 4-06: what the figures say, and what to do.
std::vector<std::string> RecommendationsOf(const PerfReport& report);

// "2026-11-22 10:15:00 UTC".
std::string BeganText(const PerfReport& report);

std::string PerfText(const PerfReport& report);
nlohmann::ordered_json PerfJson(const PerfReport& report);
// A page that needs nothing but itself.
std::string PerfHtml(const PerfReport& report);

// Writes BASE.txt, BASE.json and BASE.html.
absl::Status SavePerfReport(const PerfReport& report, const std::string& base);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PERF_REPORT_H_
