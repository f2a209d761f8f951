#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/perf_report.h"
#include "client/cli/progress_line.h"
#include "client/cli/session.h"
#include "client/cli/signal_watch.h"
#include "client/cli/text_input.h"
#include "client/cpp/check.h"
#include "common/base/number_option.h"
#include "common/base/status_macros.h"

namespace meridian::cli {
namespace {

constexpr absl::Duration kReadyWithin = absl::Seconds(10);
constexpr absl::Duration kLongestLoad = absl::Minutes(10);

struct PerfArguments {
  std::string name_space = "perf";
  std::vector<std::string> keys;
  std::string tests = "pairs,hit-rate,load";
  std::string wait = "200ms";
  std::string origin_delay = "0ms";
  std::string load_time = "5s";
  std::string report = "cache_performance_report";
  bool no_report = false;
  uint32_t value_bytes = 1024;
  PairsOptions pairs;
  HitRateOptions hit_rate;
  LoadOptions load;

  bool Wants(std::string_view test) const {
    return absl::StrContains(absl::StrCat(",", tests, ","),
                             absl::StrCat(",", std::string(test), ","));
  }
};

// What is done now, and how far.
struct Progress {
  std::atomic<const char*> what{"beginning"};
  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> whole{1};

  void Begin(const char* name, uint64_t parts) {
    done = 0;
    whole = std::max<uint64_t>(parts, 1);
    what = name;
  }
  std::string Text() const { return absl::StrCat(what.load(), " ", ProgressBar(done, whole)); }
};

void RemoveKeys(Client& client, const PerfArguments& arguments, absl::Duration timeout,
                PerfReport* report, Progress* progress) {
  constexpr size_t kAtOnce = 1000;
  const std::vector<std::string> keys = WrittenKeys(*report);
  report->written_keys = keys.size();
  progress->Begin("removing the keys", keys.size());
  CallOptions options;
  options.timeout = timeout;
  for (size_t begin = 0; begin < keys.size(); begin += kAtOnce) {
    const size_t end = std::min(begin + kAtOnce, keys.size());
    const std::vector<std::string_view> some(keys.begin() + static_cast<ptrdiff_t>(begin),
                                             keys.begin() + static_cast<ptrdiff_t>(end));
    for (const WriteResult& result : client.BatchInvalidate(arguments.name_space, some, options)) {
      report->not_removed_keys += result.ok() ? 0 : 1;
    }
    progress->done = end;
  }
}

// So that no test pays for connections.
void ConnectToNodes(PerfTarget& target, const PerfValues& values) {
  constexpr uint64_t kReads = 32;
  for (uint64_t i = 0; i < kReads && !target.stopped(); ++i) {
    target.Get(values.Key("connect", i), /*from_origin=*/false);
  }
}

void RunTests(std::vector<ReplayRegion>& region, const PerfArguments& arguments,
              absl::Duration timeout, PerfReport* report, Progress* progress) {
  const std::atomic<int>& stop = SignalWatch::received();
  LivePerfTarget target(*region.front().client, arguments.name_space, timeout, stop);
  ConnectToNodes(target, report->values);
  if (arguments.Wants("pairs") && stop == 0) {
    progress->Begin("pairs", arguments.pairs.iterations);
    report->pairs = RunPairs(target, arguments.pairs, report->values, progress->done);
  }
  if (arguments.Wants("hit-rate") && stop == 0) {
    progress->Begin("80/20", arguments.hit_rate.requests);
    report->hit_rate = RunHitRate(target, arguments.hit_rate, report->values, progress->done);
  }
  if (arguments.Wants("load") && stop == 0) {
    progress->Begin("load",
                    static_cast<uint64_t>(absl::ToInt64Milliseconds(arguments.load.duration)));
    report->load = RunLoad(region, arguments.load, report->values, arguments.name_space, timeout,
                           stop, progress->done);
  }
}

absl::StatusOr<PerfReport> Measure(const Session& session, const PerfArguments& arguments) {
  PerfReport report;
  report.began = absl::Now();
  report.name_space = arguments.name_space;
  ASSIGN_OR_RETURN(const std::vector<std::string> targets, session.Targets());
  report.target = absl::StrJoin(targets, ", ");
  ASSIGN_OR_RETURN(std::unique_ptr<Client> client, session.Connect());
  if (!client->WaitUntilReady(std::max(kReadyWithin, session.timeout())).ok()) {
    return absl::UnavailableError(
        absl::StrCat("no node told the topology: is the cluster up? (", report.target, ")"));
  }
  absl::BitGen random;
  report.values.run = absl::Uniform<uint32_t>(random);
  report.values.bytes = arguments.value_bytes;
  report.values.origin_delay = *ParseDuration(arguments.origin_delay);
  report.backends = FetchBackends(session);
  std::vector<ReplayRegion> region(1);
  region.front() = {"target", std::move(client)};
  {
    const SignalWatch watch;
    Progress progress;
    const ProgressLine line([&progress] { return progress.Text(); });
    RunTests(region, arguments, session.timeout(), &report, &progress);
    report.signal = SignalWatch::received();
    RemoveKeys(*region.front().client, arguments, session.timeout(), &report, &progress);
  }
  report.recommendations = RecommendationsOf(report);
  return report;
}

// Where a report cannot go, nothing is measured first.
absl::Status CheckReportPath(const std::string& base) {
  const std::filesystem::path folder = std::filesystem::path(base).parent_path();
  std::error_code failed;
  if (folder.empty() || std::filesystem::is_directory(folder, failed)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--report ", base, ": there is no folder ", folder.string()));
}

ExitCode RunPerf(const Session& session, PerfArguments& arguments) {
  arguments.pairs.wait = *ParseDuration(arguments.wait);  // The parser has checked them.
  arguments.load.duration = *ParseDuration(arguments.load_time);
  if (const auto wrong = CheckNamespace(arguments.name_space)) return session.Fail(*wrong);
  if (arguments.load.duration > kLongestLoad) {
    session.Note("error: --load-time is 10m at most");
    return kExitUsage;
  }
  const bool save = !arguments.no_report;
  if (const absl::Status path = CheckReportPath(arguments.report); save && !path.ok()) {
    session.Fail(path);
    return kExitUsage;
  }
  const auto keys = ReadList(arguments.keys);
  if (!keys.ok()) return session.Fail(keys.status());
  arguments.pairs.keys = *keys;
  const absl::StatusOr<PerfReport> report = Measure(session, arguments);
  if (!report.ok()) return session.Fail(report.status());
  if (session.json()) {
    session.PrintJson(PerfJson(*report));
  } else {
    session.Print(PerfText(*report));
  }
  if (save) {
    if (const absl::Status saved = SavePerfReport(*report, arguments.report); !saved.ok()) {
      return session.Fail(saved);
    }
    session.Note(absl::StrCat("saved ", arguments.report, ".txt, .json and .html"));
  }
  // As the shell reports a process that died of it.
  if (report->signal != 0) return static_cast<ExitCode>(128 + report->signal);
  return report->Good() ? kExitOk : kExitFailed;
}

std::string TestsProblem(const std::string& text) {
  for (const absl::string_view test : absl::StrSplit(text, ',')) {
    if (test != "pairs" && test != "hit-rate" && test != "load") {
      return absl::StrCat("\"", test, "\" is not pairs, hit-rate or load");
    }
  }
  return "";
}

void AddPerfOptions(CLI::App& command, PerfArguments& arguments) {
  command.add_option("key", arguments.keys,
                     "keys that the namespace's origin knows, for the pairs: uncached is then "
                     "from the origin; @FILE or -: one a line");
  command.add_option("--namespace", arguments.name_space, "data type to write and read in")
      ->check(EmptyProblem)
      ->capture_default_str();
  command.add_option("--tests", arguments.tests, "which, comma separated")
      ->check(TestsProblem)
      ->capture_default_str();
  command
      .add_option("--iterations", arguments.pairs.iterations,
                  "pairs of an uncached and a cached read")
      ->check(WholeNumber(1, 10'000))
      ->capture_default_str();
  command.add_option("--wait", arguments.wait, "between the two reads of a pair")
      ->check(DurationProblem)
      ->capture_default_str();
  command
      .add_option("--origin-delay", arguments.origin_delay,
                  "how long the stand-in of an origin takes at each miss of the first two tests")
      ->check(DurationProblem)
      ->capture_default_str();
  command.add_option("--requests", arguments.hit_rate.requests, "of the 80/20 test")
      ->check(WholeNumber(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--popular", arguments.hit_rate.popular,
                  "popular items of the 80/20 test, of five times as many")
      ->check(WholeNumber(1, 20'000))
      ->capture_default_str();
  command
      .add_option("--load-time", arguments.load_time, "how long the load test runs, 10m at most")
      ->check(PositiveDurationProblem)
      ->capture_default_str();
  command
      .add_option("--concurrency", arguments.load.concurrency, "batches in flight in the load test")
      ->check(WholeNumber(1, 256))
      ->capture_default_str();
  command.add_option("--batch", arguments.load.batch, "keys of a batch in the load test")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command.add_option("--keys", arguments.load.keys, "keys of the load test")
      ->check(WholeNumber(1, 100'000))
      ->capture_default_str();
  command.add_option("--sets", arguments.load.set_percent, "writes of the load test, in percent")
      ->check(WholeNumber(0, 100))
      ->capture_default_str();
  command.add_option("--value-bytes", arguments.value_bytes, "size of the values, such as 16KiB")
      ->transform(CLI::Validator(ByteSize(kSmallestReplayValue, 1 << 20), ""))
      ->capture_default_str();
  command.add_option("--report", arguments.report, "saved as PATH.txt, PATH.json and PATH.html")
      ->check(EmptyProblem)
      ->capture_default_str();
  command.add_flag("--no-report", arguments.no_report, "save nothing");
}

}  // namespace

void AddPerf(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<PerfArguments>();
  CLI::App* command = app.add_subcommand(
      "perf", "Measure what the cache brings: uncached and cached reads, hit rate, load");
  AddPerfOptions(*command, *arguments);
  command->footer(
      "Three tests: pairs of an uncached and a cached read; 50 requests of which 80 % are for a "
      "fifth of the\nitems; and load for a while. Keys are the tester's own (perf:RUN:...), every "
      "value that comes back is\nchecked, and all keys are removed at the end. Without an origin "
      "an uncached read is a miss and the Set\nafter it. SIGINT and SIGTERM end it early: the "
      "report so far, exit code 130 or 143. Exit code 1: requests\nfailed, or a value was "
      "wrong.\n\n"
      "Examples:\n"
      "  meridianctl perf\n"
      "  meridianctl perf --origin-delay 50ms --tests pairs,hit-rate --requests 500\n"
      "  meridianctl perf --namespace assessment assessment:1:details assessment:2:details --tests "
      "pairs\n"
      "  meridianctl perf --region eu --load-time 30s --concurrency 32 --report eu-report");
  // A loaded machine may take longer than one call of a person.
  command->callback([arguments, context, &app] {
    if (app.get_option("--timeout")->count() == 0) context.session.options().timeout = "10s";
    context.action = [arguments, context] { return RunPerf(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
