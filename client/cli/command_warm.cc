#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/coordinator.h"
#include "client/cli/duration_text.h"
#include "client/cli/session.h"
#include "client/cli/text_input.h"
#include "client/cli/text_table.h"
#include "common/base/strings.h"
#include "common/base/utf8.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

using coordinator::v1::CoordinatorService;
using coordinator::v1::WarmJob;
using Stub = CoordinatorService::Stub;

constexpr uint32_t kPage = 1000;
constexpr absl::Duration kLookEvery = absl::Milliseconds(200);

struct WarmArguments {
  std::string coordinator;
  std::string id;
  std::string schedule;
  std::string name_space;
  std::vector<std::string> keys;
  int32_t priority = 0;
  std::string deadline;
  bool literal = false;
  std::string event;
  std::string event_key;
  std::vector<std::string> fields;
  bool live = false;
  bool wait = false;
};

std::string StateText(const WarmJob& job) {
  const std::string name = coordinator::v1::WarmJobState_Name(job.state());
  return absl::AsciiStrToLower(absl::StripPrefix(name, "WARM_JOB_STATE_"));
}

bool IsOver(const WarmJob& job) {
  return job.state() == coordinator::v1::WARM_JOB_STATE_DONE ||
         job.state() == coordinator::v1::WARM_JOB_STATE_FAILED ||
         job.state() == coordinator::v1::WARM_JOB_STATE_CANCELLED;
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

// How long it ran; "-" when it has not begun. One that runs has run until `now`.
std::string TookText(const WarmJob& job, absl::Time now) {
  if (!job.has_start_time()) return "-";
  const absl::Duration took =
      (job.has_end_time() ? TimeOf(job.end_time()) : now) - TimeOf(job.start_time());
  return absl::FormatDuration(
      absl::Floor(std::max(took, absl::ZeroDuration()),
                  took < absl::Minutes(1) ? absl::Milliseconds(1) : absl::Seconds(1)));
}

// Of its keys those that need not be read any more, whatever became of them.
std::string Progress(const WarmJob& job) {
  const uint64_t over =
      job.warmed_keys() + job.unkept_keys() + job.absent_keys() + job.failed_keys();
  const uint64_t total = std::max<uint64_t>(job.total_keys(), 1);
  return absl::StrCat(over, "/", job.total_keys(), " (", 100 * over / total, " %)");
}

std::string TimeLine(std::string_view name, bool is_known,
                     const google::protobuf::Timestamp& time) {
  return is_known ? absl::StrCat("\n", ToAbsl(name), TimeText(time), " UTC") : "";
}

std::string JobText(const WarmJob& job) {
  return absl::StrCat("id        ", job.id(), "\nsource    ", job.source(), "\nnamespace ",
                      job.namespace_(), "\nstate     ", StateText(job), "\nprogress  ",
                      Progress(job), "\nwarmed    ", job.warmed_keys(), "\nnot kept  ",
                      job.unkept_keys(), "\nabsent    ", job.absent_keys(), "\nfailed    ",
                      job.failed_keys(), "\npriority  ", job.priority(),
                      job.name().empty() ? "" : absl::StrCat("\nname      ", job.name()),
                      "\nqueued    ", TimeText(job.create_time()), " UTC",
                      TimeLine("started   ", job.has_start_time(), job.start_time()),
                      TimeLine("ended     ", job.has_end_time(), job.end_time()),
                      TimeLine("deadline  ", job.has_deadline(), job.deadline()), "\ntook      ",
                      TookText(job, absl::Now()),
                      job.error().empty() ? "" : absl::StrCat("\nnote      ", job.error()));
}

void PrintJob(const Session& session, const WarmJob& job) {
  if (session.json()) {
    session.PrintJson(ToJson(job));
  } else {
    session.Print(JobText(job));
  }
}

// All jobs, newest first; false fills `error`.
bool FetchJobs(const Session& session, const std::vector<std::string>& addresses,
               coordinator::v1::ListWarmJobsResponse* all, ResultError* error) {
  coordinator::v1::ListWarmJobsRequest request;
  request.set_page_size(kPage);
  do {
    coordinator::v1::ListWarmJobsResponse page;
    if (!CallLeader(session, addresses, &Stub::ListWarmJobs, request, &page, error)) return false;
    all->mutable_jobs()->MergeFrom(page.jobs());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return true;
}

bool FetchJob(const Session& session, const std::vector<std::string>& addresses,
              const std::string& id, WarmJob* found, ResultError* error) {
  coordinator::v1::ListWarmJobsResponse all;
  if (!FetchJobs(session, addresses, &all, error)) return false;
  for (const WarmJob& job : all.jobs()) {
    if (job.id() != id) continue;
    *found = job;
    return true;
  }
  error->code = absl::StatusCode::kNotFound;
  error->reason = "WARM_JOB_UNKNOWN";
  error->message = absl::StrCat("there is no warm job ", id, ", or it is long over");
  return false;
}

ExitCode RunList(const Session& session, const WarmArguments& arguments) {
  ResultError error;
  coordinator::v1::ListWarmJobsResponse all;
  const auto addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
  if (addresses.empty() || !FetchJobs(session, addresses, &all, &error)) {
    return session.Fail(error);
  }
  if (arguments.live) {
    auto* const jobs = all.mutable_jobs();
    jobs->erase(std::remove_if(jobs->begin(), jobs->end(), IsOver), jobs->end());
  }
  if (session.json()) {
    session.PrintJson(ToJson(all));
    return kExitOk;
  }
  const absl::Time now = absl::Now();
  TextTable table({"id", "source", "namespace", "state", "progress", "warmed", "not kept", "absent",
                   "failed", "priority", "queued (UTC)", "took", "note"});
  for (const WarmJob& job : all.jobs()) {
    table.Add({job.id(), job.source(), job.namespace_(), StateText(job), Progress(job),
               absl::StrCat(job.warmed_keys()), absl::StrCat(job.unkept_keys()),
               absl::StrCat(job.absent_keys()), absl::StrCat(job.failed_keys()),
               absl::StrCat(job.priority()), TimeText(job.create_time()), TookText(job, now),
               job.error()});
  }
  session.Print(table.ToText());
  return kExitOk;
}

ExitCode RunShow(const Session& session, const WarmArguments& arguments) {
  ResultError error;
  WarmJob job;
  const auto addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
  if (addresses.empty() || !FetchJob(session, addresses, arguments.id, &job, &error)) {
    return session.Fail(error);
  }
  PrintJob(session, job);
  return kExitOk;
}

// Looks at the job until it is over; says how far it is whenever that has changed.
ExitCode Wait(const Session& session, const std::vector<std::string>& addresses, WarmJob job) {
  ResultError error;
  std::string said;
  while (!IsOver(job)) {
    const std::string now = absl::StrCat(StateText(job), " ", Progress(job));
    if (now != said) session.Note(now);
    said = now;
    absl::SleepFor(kLookEvery);
    // A change of leader takes some seconds; the job goes on with the next one.
    const absl::Time give_up = absl::Now() + 2 * session.timeout();
    const std::string id = job.id();
    while (!FetchJob(session, addresses, id, &job, &error)) {
      if (error.code != absl::StatusCode::kUnavailable || absl::Now() > give_up) {
        return session.Fail(error);
      }
      absl::SleepFor(kLookEvery);
    }
  }
  PrintJob(session, job);
  return job.state() == coordinator::v1::WARM_JOB_STATE_DONE ? kExitOk : kExitFailed;
}

ExitCode RunRun(const Session& session, const WarmArguments& arguments) {
  if (arguments.schedule.empty() == (arguments.name_space.empty() || arguments.keys.empty())) {
    session.Note("error: name what to warm, in one way: NAMESPACE KEY..., or --schedule NAME");
    return kExitUsage;
  }
  coordinator::v1::RunWarmJobRequest request;
  request.set_name(arguments.schedule);
  request.set_namespace_(arguments.name_space);
  request.set_priority(arguments.priority);
  const auto keys = ReadList(arguments.keys);
  if (!keys.ok()) return session.Fail(keys.status());
  for (const std::string& key : *keys) {
    if (arguments.literal) {
      request.add_literal_keys(key);
    } else if (IsUtf8(key)) {
      request.add_keys(key);
    } else {
      session.Note(absl::StrCat("error: key ", QuoteKey(key),
                                " is not UTF-8; with --literal keys may hold any bytes"));
      return kExitUsage;
    }
  }
  if (!arguments.deadline.empty()) {
    const absl::Duration deadline = *ParseDuration(arguments.deadline);  // The parser has checked.
    request.set_deadline_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(deadline)));
    if (request.deadline_ms() == 0) {
      session.Note("error: --deadline: less than a millisecond");
      return kExitUsage;
    }
  }
  ResultError error;
  coordinator::v1::RunWarmJobResponse answer;
  const auto addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
  if (addresses.empty() ||
      !CallLeader(session, addresses, &Stub::RunWarmJob, request, &answer, &error)) {
    return session.Fail(error);
  }
  if (!answer.warning().empty()) session.Note(absl::StrCat("warning: ", answer.warning()));
  if (arguments.wait) return Wait(session, addresses, answer.job());
  PrintJob(session, answer.job());
  return kExitOk;
}

ExitCode RunControl(const Session& session, const WarmArguments& arguments,
                    coordinator::v1::WarmJobAction action) {
  coordinator::v1::ControlWarmJobRequest request;
  request.set_id(arguments.id);
  request.set_action(action);
  ResultError error;
  coordinator::v1::ControlWarmJobResponse answer;
  const auto addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
  if (addresses.empty() ||
      !CallLeader(session, addresses, &Stub::ControlWarmJob, request, &answer, &error)) {
    return session.Fail(error);
  }
  PrintJob(session, answer.job());
  return kExitOk;
}

ExitCode RunEvent(const Session& session, const WarmArguments& arguments) {
  coordinator::v1::ReportEventsRequest request;
  coordinator::v1::Event* const event = request.add_events();
  event->set_kind(arguments.event);
  event->set_namespace_(arguments.name_space);
  event->set_key(arguments.event_key);
  for (const std::string& field : arguments.fields) {
    const size_t equals = field.find('=');
    if (equals == 0 || equals == std::string::npos) {
      session.Note(absl::StrCat("error: ", field, " is not NAME=VALUE"));
      return kExitUsage;
    }
    const std::string name = field.substr(0, equals);
    if (!event->mutable_fields()->insert({name, field.substr(equals + 1)}).second) {
      session.Note(absl::StrCat("error: field ", name,
                                " is given twice; commas separate several values of one"));
      return kExitUsage;
    }
  }
  return ShowFromLeader<coordinator::v1::ReportEventsResponse>(
      session, arguments.coordinator, &Stub::ReportEvents, request,
      [&session](const coordinator::v1::ReportEventsResponse& answer) {
        session.Print(answer.matched_events() > 0 ? "taken" : "taken; no rule is for it");
      });
}

ExitCode RunSources(const Session& session, const WarmArguments& arguments) {
  coordinator::v1::ListWarmSourcesRequest request;
  request.set_namespace_(arguments.name_space);
  return ShowFromLeader<coordinator::v1::ListWarmSourcesResponse>(
      session, arguments.coordinator, &Stub::ListWarmSources, request,
      [&session](const coordinator::v1::ListWarmSourcesResponse& answer) {
        TextTable table({"source", "namespace", "warmed", "used", "unused", "displaced",
                         "precision", "net benefit", "keys/s", "refused"});
        for (const coordinator::v1::WarmSource& source : answer.sources()) {
          table.Add({source.source(), source.namespace_(), absl::StrCat(source.warmed_entries()),
                     absl::StrCat(source.used_entries()), absl::StrCat(source.unused_entries()),
                     absl::StrCat(source.displaced_entries()),
                     source.has_precision() ? absl::StrFormat("%.2f", source.precision()) : "-",
                     absl::StrFormat("%+.2f", source.net_benefit()),
                     absl::StrFormat("%.4g", source.budget()),
                     absl::StrCat(source.refused_keys())});
        }
        session.Print(table.ToText());
      });
}

ExitCode RunExplain(const Session& session, const WarmArguments& arguments) {
  coordinator::v1::ExplainPredictionRequest request;
  request.set_namespace_(arguments.name_space);
  request.set_key(arguments.event_key);
  return ShowFromLeader<coordinator::v1::ExplainPredictionResponse>(
      session, arguments.coordinator, &Stub::ExplainPrediction, request,
      [&session](const coordinator::v1::ExplainPredictionResponse& answer) {
        session.Print(absl::StrFormat(
            "confidence %.2f, %s the threshold of %.2f", answer.confidence(),
            answer.confidence() >= answer.threshold() ? "not below" : "below", answer.threshold()));
        if (answer.signals().empty()) {
          session.Print("no signal expects it");
          return;
        }
        TextTable table({"signal", "confidence", "evidence"});
        for (const coordinator::v1::PredictionSignal& signal : answer.signals()) {
          table.Add(
              {signal.signal(), absl::StrFormat("%.2f", signal.confidence()), signal.evidence()});
        }
        session.Print(table.ToText());
      });
}

using Arguments = std::shared_ptr<WarmArguments>;

void AddControl(CLI::App& warm, CommandContext context, const Arguments& arguments,
                const char* name, const char* help, coordinator::v1::WarmJobAction action) {
  CLI::App* command = warm.add_subcommand(name, help);
  command->add_option("id", arguments->id, "of the job, as `warm list` shows it")->required();
  command->footer(absl::StrCat("Examples:\n  meridianctl warm ", name, " manual-3.1"));
  command->callback([arguments, context, action] {
    context.action = [arguments, context, action] {
      return RunControl(context.session, *arguments, action);
    };
  });
}

void AddRun(CLI::App& warm, CommandContext context, const Arguments& arguments) {
  CLI::App* run = warm.add_subcommand("run", "Load keys into the memory of their owners");
  run->add_option("namespace", arguments->name_space, "data type");
  run->add_option("key", arguments->keys,
                  "keys or templates: user:{1..500}, {calm,brisk}-x; @FILE or -: one a line");
  run->add_option("--schedule", arguments->schedule, "what this schedule of the coordinator warms")
      ->check(EmptyProblem);
  run->add_option("--priority", arguments->priority, "larger runs first")->capture_default_str();
  run->add_option("--deadline", arguments->deadline,
                  "give up after this time, 1s to 30d (default: as the coordinator or the schedule "
                  "says)")
      ->check(PositiveDurationProblem);
  run->add_flag("--literal", arguments->literal,
                "keys as they are, any bytes: braces stand for nothing else");
  run->add_flag("--wait", arguments->wait,
                "show progress until it is over; exit code 1: it failed");
  run->footer(
      "The job is stored when the command returns, and goes on whichever coordinator leads. The "
      "same\nkeys that wait already are not queued twice. Keys come from the regional Redis or the "
      "origin.\n\n"
      "Examples:\n"
      "  meridianctl warm run task 'task:{1..500}' --wait\n"
      "  meridianctl warm run persona '{calm,frustrated}-{flowing,burst}'\n"
      "  meridianctl warm run task 'task:{1..1000000}' --deadline 20m --priority -1\n"
      "  meridianctl warm run --schedule nightly");
  run->callback([arguments, context] {
    context.action = [arguments, context] { return RunRun(context.session, *arguments); };
  });
}

void AddEvent(CLI::App& warm, CommandContext context, const Arguments& arguments) {
  CLI::App* event = warm.add_subcommand("event", "Report that something happened, for the rules");
  event->add_option("kind", arguments->event, "access, update, login or a name of your own")
      ->required();
  event->add_option("field", arguments->fields, "NAME=VALUE; commas separate several values");
  event->add_option("--namespace", arguments->name_space, "data type of the key");
  event->add_option("--key", arguments->event_key, "the key that it is about");
  event->footer(
      "The warm jobs are stored when the command returns; `warm list` shows them.\n\n"
      "Examples:\n"
      "  meridianctl warm event login user=7\n"
      "  meridianctl warm event access --namespace task --key task:42 project=7 assignees=3,4");
  event->callback([arguments, context] {
    context.action = [arguments, context] { return RunEvent(context.session, *arguments); };
  });
}

}  // namespace

void AddWarm(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<WarmArguments>();
  CLI::App* warm = app.add_subcommand("warm", "Load keys into memory before they are asked for");
  warm->require_subcommand(1);
  AddCoordinatorOption(*warm, arguments->coordinator);
  CLI::App* list = warm->add_subcommand("list", "Show the jobs, newest first");
  list->add_flag("--live", arguments->live, "only those that are not over");
  list->footer("Examples:\n  meridianctl warm list --region us\n  meridianctl warm list --json");
  list->callback([arguments, context] {
    context.action = [arguments, context] { return RunList(context.session, *arguments); };
  });
  CLI::App* show = warm->add_subcommand("show", "Show one job and its progress");
  show->add_option("id", arguments->id, "of the job, as `warm list` shows it")->required();
  show->footer("Examples:\n  meridianctl warm show nightly-20261121T020000Z");
  show->callback([arguments, context] {
    context.action = [arguments, context] { return RunShow(context.session, *arguments); };
  });
  CLI::App* sources =
      warm->add_subcommand("sources", "Show what each source of warming brings, and its budget");
  sources->add_option("--namespace", arguments->name_space, "only this data type")
      ->check(EmptyProblem);
  sources->footer(
      "Precision and net benefit are of late: entries that were hit, of those whose end is known;\n"
      "loads spared less loads spent in vain, for each of them. keys/s is what it may read now.\n\n"
      "Examples:\n  meridianctl warm sources\n  meridianctl warm sources --namespace task --json");
  sources->callback([arguments, context] {
    context.action = [arguments, context] { return RunSources(context.session, *arguments); };
  });
  CLI::App* explain =
      warm->add_subcommand("explain", "Show whether and why a key is expected to be wanted");
  explain->add_option("namespace", arguments->name_space, "data type")->required();
  explain->add_option("key", arguments->event_key, "the key")->required();
  explain->footer("Examples:\n  meridianctl warm explain task task:42");
  explain->callback([arguments, context] {
    context.action = [arguments, context] { return RunExplain(context.session, *arguments); };
  });
  AddRun(*warm, context, arguments);
  AddEvent(*warm, context, arguments);
  AddControl(*warm, context, arguments, "pause", "Stop a job after the keys in flight",
             coordinator::v1::WARM_JOB_ACTION_PAUSE);
  AddControl(*warm, context, arguments, "resume", "Go on with a job that was paused",
             coordinator::v1::WARM_JOB_ACTION_RESUME);
  AddControl(*warm, context, arguments, "cancel", "Stop a job for good",
             coordinator::v1::WARM_JOB_ACTION_CANCEL);
}

}  // namespace meridian::cli
