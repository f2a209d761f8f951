// Goals of micro benchmarks: RunWithGoals runs what the flags ask for, as benchmark_main does, and
// then judges what it has seen.

#ifndef MERIDIAN_BENCH_MICRO_GOALS_H_
#define MERIDIAN_BENCH_MICRO_GOALS_H_

#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace meridian {

// A counter of some runs that is to stay below a limit.
struct BenchGoal {
  std::string_view benchmark;  // What the name begins with.
  std::string_view run;        // What the name contains, as "threads:1"; empty: every run.
  std::string_view counter;
  double below = 0;
};

// Prints as the console reporter does, and remembers what is judged. Of runs that are repeated the
// median is judged.
class GoalReporter final : public benchmark::ConsoleReporter {
 public:
  explicit GoalReporter(std::vector<BenchGoal> goals) : goals_(std::move(goals)) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.error_occurred) failed_ = true;
      const bool repeated = run.repetitions > 1;
      if (repeated && run.aggregate_name != "median") continue;
      const std::string name = run.benchmark_name();
      for (const BenchGoal& goal : goals_) {
        const auto counter = run.counters.find(std::string(goal.counter));
        if (!name.starts_with(goal.benchmark) || name.find(goal.run) == std::string::npos ||
            counter == run.counters.end()) {
          continue;
        }
        judged_.push_back({name, goal, counter->second.value});
      }
    }
  }

  // 0: all goals are reached; 1: one is missed, or a run has failed. Nothing to judge is no miss:
  // the flags have left it out.
  int Judge() const {
    bool missed = failed_;
    for (const Judged& judged : judged_) {
      const bool reached = judged.value < judged.goal.below;
      missed |= !reached;
      std::printf("%s: %s %s is %.0f, the goal is below %.0f\n", reached ? "reached" : "MISSED",
                  judged.name.c_str(), std::string(judged.goal.counter).c_str(), judged.value,
                  judged.goal.below);
    }
    return missed ? 1 : 0;
  }

 private:
  struct Judged {
    std::string name;
    BenchGoal goal;
    double value;
  };

  const std::vector<BenchGoal> goals_;
  std::vector<Judged> judged_;
  bool failed_ = false;
};

// Exit code of the program: that of Judge; 2 for flags that nobody knows.
inline int RunWithGoals(int argc, char** argv, std::vector<BenchGoal> goals) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  GoalReporter reporter(std::move(goals));
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::Shutdown();
  return reporter.Judge();
}

}  // namespace meridian

#endif  // MERIDIAN_BENCH_MICRO_GOALS_H_
