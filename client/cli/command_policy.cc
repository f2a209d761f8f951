#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/commands.h"
#include "client/cli/coordinator.h"
#include "client/cli/duration_text.h"
#include "client/cli/session.h"
#include "client/cli/text_input.h"
#include "client/cli/text_table.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

using coordinator::v1::CoordinatorService;
using coordinator::v1::GuardReading;
using coordinator::v1::Rollout;
using Stub = CoordinatorService::Stub;

constexpr uint32_t kPage = 1000;

struct PolicyArguments {
  std::string coordinator;
  std::string file;
  uint64_t version = 0;
  std::string plan;
  std::string hold;
  std::string interval;
  std::string comment;
  std::string min_hit_rate;
  std::string hit_rate_drop;
  std::string p99_rise;
  std::string error_rise;
  uint64_t min_reads = 0;
};

using Addresses = std::vector<std::string>;

std::string StateText(const Rollout& rollout) {
  const std::string name = coordinator::v1::RolloutState_Name(rollout.state());
  return absl::AsciiStrToLower(absl::StripPrefix(name, "ROLLOUT_STATE_"));
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

std::string ReadingText(const GuardReading& reading) {
  return absl::StrFormat("  %-8s  %s: %.4g, the others %.4g, bound %.4g, by %d reads%s",
                         reading.guard(), reading.namespace_(), reading.trial(), reading.base(),
                         reading.limit(), reading.reads(),
                         reading.breached() ? "  BREACHED"
                         : reading.sure()   ? ""
                                            : "  (too few to say)");
}

std::string RolloutText(const Rollout& rollout) {
  std::string text = absl::StrCat(
      "version   ", rollout.policy_version(), ", after ",
      rollout.base_version() == 0 ? "the nodes' own files" : absl::StrCat(rollout.base_version()),
      "\nstate     ", StateText(rollout), ", in ", rollout.percent(), " % of the slots\nplan      ",
      absl::StrJoin(rollout.plan().percents(), ", "), " %, ",
      DurationText(absl::Milliseconds(rollout.plan().hold_ms())), " each, guards look every ",
      DurationText(absl::Milliseconds(rollout.plan().guards().interval_ms())));
  if (!rollout.comment().empty()) absl::StrAppend(&text, "\ncomment   ", rollout.comment());
  if (!rollout.reason().empty()) absl::StrAppend(&text, "\nreason    ", rollout.reason());
  if (!rollout.waits_for().empty()) absl::StrAppend(&text, "\nwaits for ", rollout.waits_for());
  for (const auto& [node, why] : rollout.behind()) {
    absl::StrAppend(&text, "\nbehind    ", node, ": ", why);
  }
  absl::StrAppend(&text, "\nevents");
  for (const auto& event : rollout.events()) {
    absl::StrAppend(&text, "\n  ", TimeText(event.time()), " UTC  ", event.what(), ", ",
                    event.percent(), " %, by ", event.by(), event.reason().empty() ? "" : ": ",
                    event.reason());
  }
  if (!rollout.readings().empty()) absl::StrAppend(&text, "\nguards");
  for (const GuardReading& reading : rollout.readings()) {
    absl::StrAppend(&text, "\n", ReadingText(reading));
  }
  absl::StrAppend(
      &text, "\nchanges\n",
      rollout.diff().empty()
          ? "  none against the defaults"
          : absl::StrCat(
                "  ",
                absl::StrJoin(absl::StrSplit(rollout.diff(), '\n', absl::SkipEmpty()), "\n  ")));
  return text;
}

void PrintRollout(const Session& session, const Rollout& rollout) {
  if (session.json()) {
    session.PrintJson(ToJson(rollout));
  } else {
    session.Print(RolloutText(rollout));
  }
}

// Newest first; false fills `error`.
bool FetchRollouts(const Session& session, const Addresses& addresses, uint32_t most,
                   coordinator::v1::ListRolloutsResponse* all, ResultError* error) {
  coordinator::v1::ListRolloutsRequest request;
  request.set_page_size(most);
  return CallLeader(session, addresses, &Stub::ListRollouts, request, all, error);
}

// Empty: fine. `set` is called when something was given.
template <typename Set>
bool TakeShare(const Session& session, const char* option, const std::string& text, Set set) {
  if (text.empty()) return true;
  double value = 0;
  if (!absl::SimpleAtod(text, &value)) {
    session.Note(absl::StrCat("error: ", option, " ", text, " is not a number such as 0.05"));
    return false;
  }
  set(value);
  return true;
}

bool FillPlan(const Session& session, const PolicyArguments& arguments,
              coordinator::v1::ApplyPolicyRequest* request) {
  coordinator::v1::RolloutPlan& plan = *request->mutable_plan();
  for (const auto& text : absl::StrSplit(arguments.plan, ',', absl::SkipWhitespace())) {
    uint32_t percent = 0;
    if (!absl::SimpleAtoi(text, &percent)) {
      session.Note(
          absl::StrCat("error: --plan ", arguments.plan, " is not a list such as 10,50,100"));
      return false;
    }
    plan.add_percents(percent);
  }
  if (!arguments.hold.empty()) {
    plan.set_hold_ms(
        static_cast<uint64_t>(absl::ToInt64Milliseconds(*ParseDuration(arguments.hold))));
  }
  coordinator::v1::RolloutGuards& guards = *plan.mutable_guards();
  if (!arguments.interval.empty()) {
    guards.set_interval_ms(
        static_cast<uint64_t>(absl::ToInt64Milliseconds(*ParseDuration(arguments.interval))));
  }
  if (arguments.min_reads > 0) guards.set_min_reads(arguments.min_reads);
  return TakeShare(session, "--min-hit-rate", arguments.min_hit_rate,
                   [&](double value) { guards.set_min_hit_rate(value); }) &&
         TakeShare(session, "--hit-rate-drop", arguments.hit_rate_drop,
                   [&](double value) { guards.set_max_hit_rate_drop(value); }) &&
         TakeShare(session, "--p99-rise", arguments.p99_rise,
                   [&](double value) { guards.set_max_p99_rise(value); }) &&
         TakeShare(session, "--error-rise", arguments.error_rise,
                   [&](double value) { guards.set_max_error_rise(value); });
}

enum class Applying { kValidate, kDiff, kApply };

ExitCode RunApply(const Session& session, const PolicyArguments& arguments, Applying how) {
  coordinator::v1::ApplyPolicyRequest request;
  const auto yaml = ReadValue(arguments.file == "-" ? "-" : absl::StrCat("@", arguments.file));
  if (!yaml.ok()) return session.Fail(yaml.status());
  request.set_yaml(*yaml);
  request.set_dry_run(how != Applying::kApply);
  request.set_comment(arguments.comment);
  if (how == Applying::kApply && !FillPlan(session, arguments, &request)) return kExitUsage;
  ResultError error;
  coordinator::v1::ApplyPolicyResponse answer;
  const auto addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
  if (addresses.empty() ||
      !CallLeader(session, addresses, &Stub::ApplyPolicy, request, &answer, &error)) {
    return session.Fail(error);
  }
  if (session.json()) {
    session.PrintJson(ToJson(answer));
  } else if (how == Applying::kValidate) {
    session.Print("valid");
  } else if (how == Applying::kDiff) {
    session.Print(answer.diff().empty() ? std::string("no difference")
                                        : std::string(absl::StripSuffix(answer.diff(), "\n")));
  } else {
    session.Print(RolloutText(answer.rollout()));
  }
  return kExitOk;
}

ExitCode RunStatus(const Session& session, const PolicyArguments& arguments) {
  ResultError error;
  coordinator::v1::ListRolloutsResponse newest;
  coordinator::v1::GetPolicyResponse in_force;
  const auto addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
  if (addresses.empty() || !FetchRollouts(session, addresses, 1, &newest, &error) ||
      !CallLeader(session, addresses, &Stub::GetPolicy, coordinator::v1::GetPolicyRequest(),
                  &in_force, &error)) {
    return session.Fail(error);
  }
  const uint64_t version = in_force.policy().version();
  if (session.json()) {
    nlohmann::ordered_json json;
    json["version_in_force"] = version;
    if (newest.rollouts_size() > 0) json["rollout"] = ToJson(newest.rollouts(0));
    session.PrintJson(json);
    return kExitOk;
  }
  std::string text = absl::StrCat(
      "in force  ", version == 0 ? "the nodes' own files" : absl::StrCat("version ", version));
  if (newest.rollouts_size() > 0) {
    absl::StrAppend(&text, "\n\n", RolloutText(newest.rollouts(0)));
  } else {
    absl::StrAppend(&text, "\nno version was ever applied");
  }
  session.Print(text);
  return kExitOk;
}

ExitCode RunControl(const Session& session, const PolicyArguments& arguments,
                    coordinator::v1::RolloutAction action) {
  ResultError error;
  const auto addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
  if (addresses.empty()) return session.Fail(error);
  coordinator::v1::ControlRolloutRequest request;
  request.set_policy_version(arguments.version);
  request.set_action(action);
  const bool promotes = action == coordinator::v1::ROLLOUT_ACTION_PROMOTE;
  if (arguments.version == 0 || promotes) {
    coordinator::v1::ListRolloutsResponse known;
    const uint32_t most = arguments.version == 0 ? 1 : kPage;
    if (!FetchRollouts(session, addresses, most, &known, &error)) return session.Fail(error);
    for (const Rollout& rollout : known.rollouts()) {
      if (arguments.version != 0 && arguments.version != rollout.policy_version()) continue;
      request.set_policy_version(rollout.policy_version());
      // Asked twice, as when an answer is lost, it goes on by one stage all the same. Back means
      // back, wherever it is by then.
      if (promotes) request.set_expected_percent(rollout.percent());
      break;
    }
  }
  coordinator::v1::ControlRolloutResponse answer;
  if (!CallLeader(session, addresses, &Stub::ControlRollout, request, &answer, &error)) {
    return session.Fail(error);
  }
  PrintRollout(session, answer.rollout());
  return kExitOk;
}

ExitCode RunHistory(const Session& session, const PolicyArguments& arguments) {
  ResultError error;
  coordinator::v1::ListRolloutsResponse all;
  const auto addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
  if (addresses.empty() || !FetchRollouts(session, addresses, kPage, &all, &error)) {
    return session.Fail(error);
  }
  if (session.json()) {
    session.PrintJson(ToJson(all));
    return kExitOk;
  }
  TextTable table({"version", "after", "state", "slots", "applied (UTC)", "comment", "reason"});
  for (const Rollout& rollout : all.rollouts()) {
    table.Add({absl::StrCat(rollout.policy_version()), absl::StrCat(rollout.base_version()),
               StateText(rollout), absl::StrCat(rollout.percent(), " %"),
               TimeText(rollout.create_time()), rollout.comment(), rollout.reason()});
  }
  session.Print(table.ToText());
  return kExitOk;
}

ExitCode RunShow(const Session& session, const PolicyArguments& arguments) {
  ResultError error;
  coordinator::v1::GetPolicyRequest request;
  request.set_version(arguments.version);
  coordinator::v1::GetPolicyResponse answer;
  const auto addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
  if (addresses.empty() ||
      !CallLeader(session, addresses, &Stub::GetPolicy, request, &answer, &error)) {
    return session.Fail(error);
  }
  if (session.json()) {
    session.PrintJson(ToJson(answer));
  } else if (answer.policy().yaml().empty()) {
    session.Note("the nodes' own files are in force; `meridianctl policies` shows a node's");
  } else {
    session.PrintValue(answer.policy().yaml());
  }
  return kExitOk;
}

using Arguments = std::shared_ptr<PolicyArguments>;

template <typename Run>
void OnCommand(CLI::App* command, CommandContext context, const Arguments& arguments, Run run) {
  command->callback([context, arguments, run] {
    context.action = [context, arguments, run] { return run(context.session, *arguments); };
  });
}

void AddApply(CLI::App& policy, CommandContext context, const Arguments& arguments) {
  CLI::App* apply = policy.add_subcommand("apply", "Begin the rollout of a file of policies");
  apply->add_option("file", arguments->file, "YAML with tiers: and namespaces:; -: from stdin")
      ->required();
  apply->add_option("--plan", arguments->plan,
                    "shares of the slots in percent, such as 10,50,100; the last is 100");
  apply->add_option("--hold", arguments->hold, "how long each stage is watched, such as 30m")
      ->check(PositiveDurationProblem);
  apply->add_option("--interval", arguments->interval, "how often the guards look, such as 10s")
      ->check(PositiveDurationProblem);
  apply->add_option("--comment", arguments->comment, "why, for the history");
  apply->add_option("--min-hit-rate", arguments->min_hit_rate,
                    "guard: hit rate (0..1) that each namespace must keep");
  apply->add_option("--hit-rate-drop", arguments->hit_rate_drop,
                    "guard: points (0..1) that it may be below the other slots");
  apply->add_option("--p99-rise", arguments->p99_rise,
                    "guard: share that p99 may be above the other slots; 0.05: 5 %");
  apply->add_option("--error-rise", arguments->error_rise,
                    "guard: points that the share of failed reads may be above the other slots");
  apply->add_option("--min-reads", arguments->min_reads, "reads below which a guard says nothing");
  apply->footer(
      "What is not said is as the coordinator is configured (docs/config.md). A guard that is "
      "broken takes\nthe version back everywhere within one interval; `policy status` says "
      "which.\n\n"
      "Examples:\n"
      "  meridianctl policy apply policies.yaml\n"
      "  meridianctl policy apply policies.yaml --plan 10,50,100 --hold 30m --comment 'longer task "
      "TTL'");
  OnCommand(apply, context, arguments, [](const Session& session, const PolicyArguments& given) {
    return RunApply(session, given, Applying::kApply);
  });
}

void AddDry(CLI::App& policy, CommandContext context, const Arguments& arguments, const char* name,
            const char* help, Applying how) {
  CLI::App* command = policy.add_subcommand(name, help);
  command->add_option("file", arguments->file, "YAML with tiers: and namespaces:; -: from stdin")
      ->required();
  command->footer(absl::StrCat("Examples:\n  meridianctl policy ", name, " policies.yaml"));
  OnCommand(command, context, arguments,
            [how](const Session& session, const PolicyArguments& given) {
              return RunApply(session, given, how);
            });
}

void AddControl(CLI::App& policy, CommandContext context, const Arguments& arguments,
                const char* name, const char* help, coordinator::v1::RolloutAction action) {
  CLI::App* command = policy.add_subcommand(name, help);
  command->add_option("version", arguments->version, "default: the newest");
  command->footer(absl::StrCat("Examples:\n  meridianctl policy ", name));
  OnCommand(command, context, arguments,
            [action](const Session& session, const PolicyArguments& given) {
              return RunControl(session, given, action);
            });
}

}  // namespace

void AddPolicy(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<PolicyArguments>();
  CLI::App* policy = app.add_subcommand(
      "policy", "Roll out versions of the policies through the region's coordinator");
  policy->require_subcommand(1);
  policy
      ->add_option("--coordinator", arguments->coordinator,
                   "HOST:PORT of a coordinator (default: of the cluster file, or the one that "
                   "the nodes follow)")
      ->check(EmptyProblem);
  AddDry(*policy, context, arguments, "validate", "Check a file of policies", Applying::kValidate);
  AddDry(*policy, context, arguments, "diff", "Show what a file of policies would change",
         Applying::kDiff);
  AddApply(*policy, context, arguments);
  CLI::App* status =
      policy->add_subcommand("status", "Show what is in force, and the newest rollout");
  status->footer("Examples:\n  meridianctl policy status\n  meridianctl policy status --json");
  OnCommand(status, context, arguments, RunStatus);
  AddControl(*policy, context, arguments, "promote", "Go to the next stage of a rollout now",
             coordinator::v1::ROLLOUT_ACTION_PROMOTE);
  AddControl(*policy, context, arguments, "rollback",
             "Take a version back everywhere; also one that has reached all slots",
             coordinator::v1::ROLLOUT_ACTION_ROLL_BACK);
  CLI::App* history = policy->add_subcommand("history", "Show the rollouts, newest first");
  history->footer("Examples:\n  meridianctl policy history\n  meridianctl policy history --json");
  OnCommand(history, context, arguments, RunHistory);
  CLI::App* show = policy->add_subcommand("show", "Print a version as it was applied");
  show->add_option("version", arguments->version, "default: the one that is in force");
  show->footer("Examples:\n  meridianctl policy show 3 > policies.yaml");
  OnCommand(show, context, arguments, RunShow);
}

}  // namespace meridian::cli
