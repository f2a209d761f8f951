// meridian-warming-sim: what sources of warming bring and cost, over recorded traffic.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/sim/persona_trace.h"
#include "bench/sim/session_trace.h"
#include "bench/sim/simulation.h"
#include "bench/sim/trace.h"
#include "bench/sim/warming_sim.h"
#include "common/base/number_option.h"

namespace meridian::sim {
namespace {

// What prediction may load for each request without being right: its probes, and its credit at the
// begin of a short trace.
constexpr double kProbing = 0.002;

// What no source may spend without being right half of the time.
constexpr double kMuch = 0.01;

// The goals, of the second half of the trace: prediction is right half of the time where it spends
// more than it probes with. In an order by lot, where only what is popular can be known, it asks for
// nearly nothing, and every source, and all of them together, spend less than 1 % of the requests
// or are right half of the time. What a start is given comes once, whatever it is: where it alone is
// more than that, because the trace is short, the others are judged without it.
bool ReachesGoals(const WarmingResult& result, const std::vector<std::string>& sources,
                  bool is_shuffled) {
  const auto pays = [](double spending, double precision, double little) {
    return spending < little || precision >= 0.5;
  };
  const std::string prediction = "prediction";
  if (!pays(result.spending(prediction), result.late_precision(prediction), kProbing)) {
    return false;
  }
  if (!is_shuffled) return true;
  if (sources == std::vector{prediction} && result.looks() >= kMuch) return false;
  if (pays(result.spending(), result.late_precision(), kMuch)) return true;
  WarmingResult running = result;
  return running.late.erase("startup") > 0 && result.spending("startup") >= kMuch &&
         pays(running.spending(), running.late_precision(), kMuch);
}

std::vector<std::vector<std::string>> Runs(const Trace& trace) {
  std::vector<std::vector<std::string>> runs = {{}, {"startup"}, {"schedule"}};
  std::vector<std::string> all = {"startup", "schedule"};
  if (!trace.related.empty()) {
    runs.push_back({"rule"});
    all.push_back("rule");
  }
  runs.push_back({"prediction"});
  all.push_back("prediction");
  runs.push_back(all);
  return runs;
}

// 0, or the exit code.
int Print(const Trace& trace, bool is_shuffled, double share, WarmingOptions options) {
  options.capacity_entries = EntriesOf(trace, share);
  double without = 0;
  int exit_code = 0;
  for (const std::vector<std::string>& sources : Runs(trace)) {
    options.sources = sources;
    const absl::StatusOr<WarmingResult> result = SimulateWarming(trace, options);
    if (!result.ok()) {
      std::fprintf(stderr, "%s\n", std::string(result.status().message()).c_str());
      return 1;
    }
    if (sources.empty()) without = result->hit_ratio();
    const std::string name = sources.empty()      ? "none"
                             : sources.size() > 1 ? "all"
                                                  : sources.front();
    const WarmedCounts& warmed = result->warmed;
    absl::PrintF("%s,%s,%g,%s,%d,%.4f,%+.4f,%.4f,%d,%d,%d,%d,%d,%.3f,%.5f,%.3f,%.5f,%.4g\n", trace.name,
                 is_shuffled ? "shuffled" : "recorded", share, name, result->requests,
                 result->hit_ratio(), result->hit_ratio() - without, result->first_hit_ratio(),
                 result->read, warmed.warmed, warmed.used, warmed.unused, warmed.displaced,
                 result->precision(), result->spending(), result->late_precision(),
                 result->looks(), result->budget);
    std::fflush(stdout);
    if (!ReachesGoals(*result, sources, is_shuffled)) {
      std::fprintf(stderr,
                   "goal missed: %s%s, %s: prediction is to be right half of the time where it "
                   "spends, and every source to spend less than 1 %% of the requests by lot or to "
                   "be right half of the time\n",
                   trace.name.c_str(), is_shuffled ? " by lot" : "", name.c_str());
      exit_code = 1;
    }
  }
  return exit_code;
}

int Main(int argc, char** argv) {
  CLI::App app("Hit ratio with and without warming, over traces and two workloads, as CSV");
  std::vector<std::string> files;
  double share = 0.1;
  WarmingOptions options;
  options.restarts = true;
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
  double interval_seconds = 45;
  app.add_option("--interval", interval_seconds, "seconds between refreshes of the hot keys")
      ->capture_default_str()
      ->check(FiniteNumber(1.0, 86400.0));
  double tick_seconds = 1;
  app.add_option("--tick", tick_seconds, "seconds between two requests of a trace without a clock")
      ->capture_default_str()
      ->check(FiniteNumber(1e-6, 60.0));
  bool shuffle_all = false;
  app.add_flag("--shuffle-all", shuffle_all, "not only the workloads, in an order by lot, too");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.delay = absl::Seconds(delay_seconds);
  options.hot_interval = absl::Seconds(interval_seconds);
  absl::PrintF(
      "trace,order,size,source,requests,hit_ratio,gain,first_hit_ratio,read,warmed,used,unused,"
      "displaced,precision,late_spending,late_precision,late_looks,budget\n");
  int exit_code = 0;
  const auto print = [&](const Trace& trace, bool shuffled) {
    exit_code = std::max(exit_code, Print(trace, false, share, options));
    if (shuffled) exit_code = std::max(exit_code, Print(Shuffled(trace, 1), true, share, options));
  };
  print(PersonaTrace(absl::Hours(2)), true);
  print(SessionTrace(absl::Hours(6)), true);
  for (const std::string& file : files) {
    const absl::StatusOr<Trace> trace = ReadTrace(file, absl::Seconds(tick_seconds));
    if (!trace.ok()) {
      std::fprintf(stderr, "%s\n", std::string(trace.status().message()).c_str());
      return 1;
    }
    print(*trace, shuffle_all);
  }
  return exit_code;
}

}  // namespace
}  // namespace meridian::sim

int main(int argc, char** argv) { return meridian::sim::Main(argc, argv); }
