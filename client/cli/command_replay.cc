#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/progress_line.h"
#include "client/cli/replay_batches.h"
#include "client/cli/replay_checks.h"
#include "client/cli/replay_ledger.h"
#include "client/cli/replay_runner.h"
#include "client/cli/replay_trace.h"
#include "client/cli/replay_workload.h"
#include "client/cli/session.h"
#include "client/cli/signal_watch.h"
#include "common/base/number_option.h"
#include "common/base/status_macros.h"

namespace meridian::cli {
namespace {

constexpr uint64_t kDefaultRequests = 300'000;
constexpr uint64_t kMostRequests = 10'000'000'000;
constexpr absl::Duration kReadyWithin = absl::Seconds(10);

struct ReplayArguments {
  std::string trace;
  std::string workload;
  std::string regions;
  std::string spread = "split";
  uint64_t requests = 0;
  uint64_t seed = 1;
  size_t batch = 100;
  int concurrency = 16;
  int verify_propagation = 0;
  bool diff = false;
};

absl::StatusOr<std::unique_ptr<RequestSource>> OpenSource(const ReplayArguments& arguments) {
  if (arguments.trace.empty()) {
    return std::make_unique<SourcesWorkload>(
        arguments.seed, arguments.requests == 0 ? kDefaultRequests : arguments.requests);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<TraceSource> trace, TraceSource::Open(arguments.trace));
  return trace;
}

// Names and addresses of the regions to replay in.
absl::StatusOr<std::vector<ClusterRegion>> RegionsOf(const Session& session,
                                                     const std::string& names) {
  if (names.empty() && (!session.options().targets.empty() || !session.options().region.empty())) {
    ASSIGN_OR_RETURN(const std::vector<std::string> targets, session.Targets());
    ClusterRegion only{session.options().region.empty() ? "target" : session.options().region, {}};
    for (const std::string& target : targets) only.nodes.push_back({"", target, ""});
    return std::vector<ClusterRegion>{only};
  }
  ASSIGN_OR_RETURN(ClusterFile file, session.Cluster());
  if (names.empty()) return file.regions;
  std::vector<ClusterRegion> regions;
  for (const absl::string_view name : absl::StrSplit(names, ',', absl::SkipEmpty())) {
    ASSIGN_OR_RETURN(ClusterRegion region, file.Region(std::string(name)));
    regions.push_back(std::move(region));
  }
  return regions;
}

absl::StatusOr<std::vector<ReplayRegion>> ConnectAll(const Session& session,
                                                     const std::vector<ClusterRegion>& regions) {
  std::vector<ReplayRegion> connected;
  for (const ClusterRegion& region : regions) {
    ASSIGN_OR_RETURN(std::unique_ptr<Client> client, session.ConnectTo(region.DataAddresses()));
    if (!client->WaitUntilReady(kReadyWithin).ok()) {
      return absl::UnavailableError(absl::StrCat(
          "no node of region ", region.name, " told its topology within ",
          absl::FormatDuration(kReadyWithin), ": is the cluster up? scripts/local-cluster status"));
    }
    connected.push_back({region.name, std::move(client)});
  }
  return connected;
}

// How far the replay is, for people.
std::string ProgressText(const ReplayRunner::Progress& progress, uint64_t expected,
                         absl::Time start) {
  const uint64_t requests = progress.requests;
  const uint64_t gets = progress.gets;
  const double seconds = std::max(absl::ToDoubleSeconds(absl::Now() - start), 1e-3);
  return absl::StrFormat(
      "%d%s requests, %.0f/s, hit rate %.1f %%, errors %d, mismatches %d", requests,
      expected == 0 ? "" : absl::StrCat(" of ", expected), static_cast<double>(requests) / seconds,
      gets == 0 ? 0.0 : 100.0 * static_cast<double>(progress.hits) / static_cast<double>(gets),
      progress.errors.load(), progress.mismatches.load());
}

uint64_t ExpectedRequests(const ReplayArguments& arguments, size_t regions) {
  const uint64_t requests =
      arguments.requests == 0 && arguments.trace.empty() ? kDefaultRequests : arguments.requests;
  return requests * (arguments.spread == "each" ? regions : 1);
}

absl::StatusOr<ReplayReport> Replay(const Session& session, const ReplayArguments& arguments,
                                    const std::vector<ClusterRegion>& named) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RequestSource> source, OpenSource(arguments));
  ASSIGN_OR_RETURN(const std::vector<ReplayRegion> regions, ConnectAll(session, named));
  ReplayReport report;
  report.source = arguments.trace.empty() ? "the workload of the sources" : arguments.trace;
  for (const ReplayRegion& region : regions) report.regions.push_back(region.name);
  absl::BitGen random;
  const uint32_t run = absl::Uniform<uint32_t>(random);
  ReplayLedger ledger(regions.size(), run);
  ReplayBatchOptions options;
  options.regions = regions.size();
  options.batch = arguments.batch;
  options.seed = arguments.seed;
  options.spread = arguments.spread == "each" ? ReplaySpread::kEach : ReplaySpread::kSplit;
  if (arguments.requests != 0) options.limit = arguments.requests;
  ReplayBatches batches(*source, options);
  ReplayRunner runner(regions, *source, batches, ledger, session.timeout());
  {
    const absl::Time start = absl::Now();
    const uint64_t expected = ExpectedRequests(arguments, regions.size());
    const ProgressLine line(
        [&runner, expected, start] { return ProgressText(runner.progress(), expected, start); });
    const SignalWatch watch;
    report.stats = runner.Run(arguments.concurrency, SignalWatch::received());
    report.elapsed = absl::Now() - start;
  }
  RETURN_IF_ERROR(batches.status());
  report.signal = SignalWatch::received();
  report.interrupted = runner.gave_up() || report.signal != 0;
  if (report.interrupted) return report;
  if (arguments.verify_propagation > 0 && regions.size() > 1) {
    session.Note(absl::StrCat("measuring propagation between regions, ",
                              arguments.verify_propagation, " times"));
    report.propagation =
        VerifyPropagation(regions, arguments.verify_propagation, run, session.timeout());
  }
  if (arguments.diff && regions.size() > 1) {
    session.Note("comparing the regions");
    report.diff = CompareRegions(regions, *source, ledger, arguments.seed, session.timeout());
  }
  return report;
}

ExitCode RunReplay(const Session& session, const ReplayArguments& arguments) {
  const absl::StatusOr<std::vector<ClusterRegion>> regions = RegionsOf(session, arguments.regions);
  if (!regions.ok()) {
    session.Fail(regions.status());
    return kExitUsage;
  }
  const absl::StatusOr<ReplayReport> report = Replay(session, arguments, *regions);
  if (!report.ok()) return session.Fail(report.status());
  if (session.json()) {
    session.PrintJson(report->ToJson());
  } else {
    session.Print(report->ToText());
  }
  // As the shell reports a process that died of it.
  if (report->signal != 0) return static_cast<ExitCode>(128 + report->signal);
  return report->Good() ? kExitOk : kExitFailed;
}

void AddReplayOptions(CLI::App& command, ReplayArguments& arguments) {
  CLI::Option* trace =
      command.add_option("--trace", arguments.trace,
                         "recorded trace: lines time_s,key,value_size,ttl_s,op, gzip or plain");
  command
      .add_option("--workload", arguments.workload,
                  "generated traffic: sources (the default), the systems of docs/requirements.md")
      ->check(CLI::IsMember({"sources"}))
      ->excludes(trace);
  command
      .add_option("--requests", arguments.requests,
                  "how many (default: 300000; a trace: all of it)")
      ->check(WholeNumber(1, kMostRequests));
  command.add_option("--regions", arguments.regions,
                     "comma separated (default: all of the cluster file)");
  command
      .add_option("--spread", arguments.spread,
                  "split: each request goes to one region; each: all requests go to every region")
      ->check(CLI::IsMember({"split", "each"}))
      ->capture_default_str();
  command.add_option("--seed", arguments.seed, "of traffic and regions")
      ->check(WholeNumber(0, std::numeric_limits<uint64_t>::max()))
      ->capture_default_str();
  command.add_option("--batch", arguments.batch, "keys of a batch")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command.add_option("--concurrency", arguments.concurrency, "batches in flight")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command
      .add_option("--verify-propagation", arguments.verify_propagation,
                  "then: how soon the other regions see a set and an invalidation, N times")
      ->check(WholeNumber(0, 1'000'000));
  command.add_flag("--diff", arguments.diff,
                   "then: read up to 20000 of the keys in all regions, and report what differs");
}

}  // namespace

void AddReplay(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<ReplayArguments>();
  CLI::App* command = app.add_subcommand(
      "replay", "Send recorded or generated traffic to all regions and verify every answer");
  AddReplayOptions(*command, *arguments);
  command->footer(
      "Get, and on a miss Set. Values are made from key and generation, so that every value that "
      "comes "
      "back is checked to the last byte, and against what was acknowledged in its region. Values "
      "under 16 bytes are written with 16. Latency by tier is that of single Gets, one beside "
      "every "
      "batch. Exit code 0 only without errors, mismatches and differing keys. SIGINT and "
      "SIGTERM end it early: the report so far, exit code 130 or 143.\n\n"
      "Examples:\n"
      "  meridianctl replay --workload sources --requests 1000000 --diff\n"
      "  meridianctl replay --trace trace.csv.gz --regions us,eu,asia --verify-propagation 200\n"
      "  meridianctl replay --target 127.0.0.1:7400 --requests 10000 --json");
  // Batches of a loaded machine may take longer than one call of a person.
  command->callback([arguments, context, &app] {
    if (app.get_option("--timeout")->count() == 0) context.session.options().timeout = "10s";
    context.action = [arguments, context] { return RunReplay(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
