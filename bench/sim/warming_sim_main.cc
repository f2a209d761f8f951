// meridian-warming-sim: what a source of warming brings and costs, over recorded traffic.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/sim/session_trace.h"
#include "bench/sim/simulation.h"
#include "bench/sim/trace.h"
#include "bench/sim/warming_sim.h"
#include "bench/workloads/persona_workload.h"
#include "common/base/number_option.h"

namespace meridian::sim {
namespace {

// Two hours of the workload of source 000, in L1 for 60 s (0-03), as keys.
Trace PersonaTrace() {
  PersonaWorkload workload({});
  std::unordered_map<std::string, uint64_t> numbers;
  std::vector<Request> requests;
  while (true) {
    const PersonaWorkload::Request next = workload.Next();
    if (next.at > absl::Hours(2)) break;
    for (const std::string& key : next.keys) {
      const std::string name = std::string(next.name_space) + "/" + key;
      const uint64_t number = numbers.try_emplace(name, numbers.size()).first->second;
      requests.push_back({number, absl::ToInt64Nanoseconds(next.at),
                          absl::ToInt64Nanoseconds(absl::Seconds(60)), 1});
    }
  }
  return MakeTrace("persona", std::move(requests));
}

// The goals for prediction: right half of the time where it spends 1 % of the requests or more;
// less than that where there is nothing to be known.
bool ReachesGoals(const WarmingResult& result, bool is_shuffled) {
  if (result.spending() < 0.01) return true;
  return !is_shuffled && result.precision() >= 0.5;
}

// 0, or the exit code.
int Print(const Trace& trace, bool is_shuffled, double share, WarmingOptions options) {
  options.capacity_entries = EntriesOf(trace, share);
  double without = 0;
  int exit_code = 0;
  for (const char* source : {"none", "schedule", "rule", "prediction"}) {
    if (std::string_view(source) == "rule" && trace.related.empty()) continue;
    options.source = source;
    const absl::StatusOr<WarmingResult> result = SimulateWarming(trace, options);
    if (!result.ok()) {
      std::fprintf(stderr, "%s\n", std::string(result.status().message()).c_str());
      return 1;
    }
    if (options.source == "none") without = result->hit_ratio();
    const WarmedCounts& warmed = result->warmed;
    absl::PrintF("%s,%s,%g,%s,%d,%.4f,%+.4f,%d,%d,%d,%d,%d,%.3f,%.5f,%.4g\n", trace.name,
                 is_shuffled ? "shuffled" : "recorded", share, source, result->requests,
                 result->hit_ratio(), result->hit_ratio() - without, result->read, warmed.warmed,
                 warmed.used, warmed.unused, warmed.displaced, result->precision(),
                 result->spending(), result->budget);
    std::fflush(stdout);
    if (options.source == "prediction" && !ReachesGoals(*result, is_shuffled)) {
      std::fprintf(stderr,
                   "goal missed: prediction is to be right half of the time where it spends,"
                   " and to spend less than 1 %% of requests without structure\n");
      exit_code = 1;
    }
  }
  return exit_code;
}

int Main(int argc, char** argv) {
  CLI::App app("Hit ratio with and without warming, over traces and the persona workload, as CSV");
  std::vector<std::string> files;
  double share = 0.1;
  WarmingOptions options;
  double delay_seconds = 2;
  app.add_option("trace", files, "gzip text: time_s,key,value_size,ttl_s,op");
  app.add_option("--size", share, "entries, as a share of the trace's keys")
      ->capture_default_str()
      ->check(FiniteNumber(0.0001, 1.0));
  app.add_option("--threshold", options.threshold, "of prediction")
      ->capture_default_str()
      ->check(FiniteNumber(0.0, 1.0));
  app.add_option("--delay", delay_seconds, "seconds until a read is learnt from")
      ->capture_default_str()
      ->check(FiniteNumber(0.0, 60.0));
  double interval_seconds = 30;
  app.add_option("--interval", interval_seconds, "seconds between refreshes of the hot keys")
      ->capture_default_str()
      ->check(FiniteNumber(1.0, 86400.0));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.delay = absl::Seconds(delay_seconds);
  options.hot_interval = absl::Seconds(interval_seconds);
  absl::PrintF(
      "trace,order,size,source,requests,hit_ratio,gain,read,warmed,used,unused,displaced,"
      "precision,late_spending,budget\n");
  std::vector<Trace> traces = {PersonaTrace(), SessionTrace(absl::Hours(6))};
  for (const std::string& file : files) {
    absl::StatusOr<Trace> trace = ReadTrace(file);
    if (!trace.ok()) {
      std::fprintf(stderr, "%s\n", std::string(trace.status().message()).c_str());
      return 1;
    }
    traces.push_back(*std::move(trace));
  }
  int exit_code = 0;
  for (const Trace& trace : traces) {
    exit_code = std::max(exit_code, Print(trace, false, share, options));
    exit_code = std::max(exit_code, Print(Shuffled(trace, 1), true, share, options));
  }
  return exit_code;
}

}  // namespace
}  // namespace meridian::sim

int main(int argc, char** argv) { return meridian::sim::Main(argc, argv); }
