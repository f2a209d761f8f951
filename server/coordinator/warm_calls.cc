#include "server/coordinator/warm_calls.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/rpc/error.h"
#include "server/coordinator/field_error.h"
#include "server/node/limits.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kLargestPage = 1000;
constexpr int kMostEvents = 1000;
constexpr int kMostFields = 32;
constexpr size_t kLongestValue = 4096;  // Of a field.
constexpr absl::Duration kEventsRetry = absl::Seconds(1);

// What the warmer says; "FIELD_INVALID: keys[3]: ..." names its field.
grpc::Status ErrorOf(const absl::Status& status) {
  Error error = FromStatus(status);
  if (error.reason == reason::kFieldInvalid) {
    error.details.field = error.message.substr(0, error.message.find(':'));
  } else if (error.reason == reason::kNamespaceInvalid ||
             error.reason == reason::kNamespaceReserved) {
    error.details.field = "namespace";
  }
  if (error.reason == "EVENTS_LIMITED") error.details.retry_after = kEventsRetry;
  return ToGrpcStatus(error);
}

coordinator::v1::WarmJobState ToProto(WarmJobState state) {
  switch (state) {
    case WarmJobState::kQueued:
      return coordinator::v1::WARM_JOB_STATE_QUEUED;
    case WarmJobState::kRunning:
      return coordinator::v1::WARM_JOB_STATE_RUNNING;
    case WarmJobState::kPaused:
      return coordinator::v1::WARM_JOB_STATE_PAUSED;
    case WarmJobState::kDone:
      return coordinator::v1::WARM_JOB_STATE_DONE;
    case WarmJobState::kFailed:
      return coordinator::v1::WARM_JOB_STATE_FAILED;
    case WarmJobState::kCancelled:
      return coordinator::v1::WARM_JOB_STATE_CANCELLED;
  }
  return coordinator::v1::WARM_JOB_STATE_UNSPECIFIED;
}

// In whole milliseconds, as it is stored.
void ToProto(absl::Time time, google::protobuf::Timestamp* proto) {
  const int64_t ms = absl::ToUnixMillis(time);
  proto->set_seconds(ms / 1000);
  proto->set_nanos(static_cast<int32_t>(ms % 1000) * 1'000'000);
}

void ToProto(const WarmJob& job, coordinator::v1::WarmJob* proto) {
  proto->set_id(job.id);
  proto->set_source(job.source);
  proto->set_namespace_(job.name_space);
  proto->set_state(ToProto(job.state));
  proto->set_total_keys(job.total_keys);
  proto->set_warmed_keys(job.warmed_keys);
  proto->set_failed_keys(job.failed_keys);
  proto->set_absent_keys(job.absent_keys);
  proto->set_unkept_keys(job.unkept_keys);
  proto->set_priority(job.priority);
  proto->set_error(job.error);
  proto->set_name(job.name);
  ToProto(job.create_time, proto->mutable_create_time());
  ToProto(job.deadline, proto->mutable_deadline());
  if (job.start_time) ToProto(*job.start_time, proto->mutable_start_time());
  if (job.end_time) ToProto(*job.end_time, proto->mutable_end_time());
}

// A page ends with a job; the token is its time and id, so that jobs that come or go meanwhile
// neither repeat nor hide others.
std::string TokenOf(const WarmJob& job) {
  return absl::StrCat(absl::ToUnixMicros(job.create_time), "/", job.id);
}

bool IsAfter(const WarmJob& job, int64_t micros, const std::string& id) {
  return std::make_tuple(absl::ToUnixMicros(job.create_time), job.id) < std::make_tuple(micros, id);
}

// Empty: it can be an event. `field` names it.
std::optional<Error> CheckEvent(const coordinator::v1::Event& event, const std::string& field) {
  const auto invalid = [](std::string where, std::string why) {
    Error error{grpc::StatusCode::INVALID_ARGUMENT,
                std::string(reason::kFieldInvalid),
                absl::StrCat(where, ": ", why),
                {}};
    error.details.field = std::move(where);
    return error;
  };
  if (const absl::Status status = CheckName(event.kind()); !status.ok()) {
    return invalid(field + ".kind", std::string(status.message()));
  }
  if (!event.namespace_().empty() && limits::CheckNamespace(event.namespace_())) {
    return invalid(field + ".namespace",
                   absl::StrCat(QuoteKey(event.namespace_()), " is no namespace"));
  }
  if (auto error = limits::CheckWritableNamespace(event.namespace_());
      error && !event.namespace_().empty()) {
    error->details.field = field + ".namespace";
    error->message = absl::StrCat(error->details.field, ": ", error->message);
    return error;
  }
  if (event.key().size() > limits::kMaxKeyBytes) {
    return invalid(field + ".key", absl::StrCat(event.key().size(), " bytes; at most ",
                                                limits::kMaxKeyBytes, " are allowed"));
  }
  if (event.fields_size() > kMostFields) {
    return invalid(field + ".fields", absl::StrCat(event.fields_size(), " fields; at most ",
                                                   kMostFields, " are allowed"));
  }
  for (const auto& [name, value] : event.fields()) {
    if (const absl::Status status = CheckName(name); !status.ok()) {
      return invalid(field + ".fields", std::string(status.message()));
    }
    if (value.size() > kLongestValue) {
      return invalid(absl::StrCat(field, ".fields.", name),
                     absl::StrCat(value.size(), " bytes; at most ", kLongestValue, " are allowed"));
    }
  }
  return std::nullopt;
}

}  // namespace

grpc::Status ListWarmJobs(const Warmer& warmer, const coordinator::v1::ListWarmJobsRequest& request,
                          coordinator::v1::ListWarmJobsResponse* response) {
  const uint32_t page = request.page_size() == 0 ? kDefaultPage : request.page_size();
  if (page > kLargestPage) {
    return FieldError("page_size", absl::StrCat(page, " is not 1..", kLargestPage));
  }
  int64_t micros = 0;
  std::string id;
  if (!request.page_token().empty()) {
    const size_t slash = request.page_token().find('/');
    if (slash == std::string::npos ||
        !absl::SimpleAtoi(request.page_token().substr(0, slash), &micros)) {
      return FieldError("page_token", "is not of an answer before");
    }
    id = request.page_token().substr(slash + 1);
  }
  const absl::StatusOr<std::vector<WarmJob>> jobs = warmer.List();
  if (!jobs.ok()) return ErrorOf(jobs.status());
  auto job = jobs->begin();
  if (!request.page_token().empty()) {
    job = std::find_if(jobs->begin(), jobs->end(),
                       [&](const WarmJob& each) { return IsAfter(each, micros, id); });
  }
  for (; job != jobs->end(); ++job) {
    if (static_cast<uint32_t>(response->jobs_size()) == page) {
      response->set_next_page_token(TokenOf(*(job - 1)));
      break;
    }
    ToProto(*job, response->add_jobs());
  }
  return grpc::Status::OK;
}

grpc::Status ListWarmSources(const Warmer& warmer,
                             const coordinator::v1::ListWarmSourcesRequest& request,
                             coordinator::v1::ListWarmSourcesResponse* response) {
  if (!request.namespace_().empty()) {
    if (const auto error = limits::CheckNamespace(request.namespace_())) {
      return ToGrpcStatus(*error);
    }
  }
  const auto sources = warmer.ListSources(request.namespace_());
  if (!sources.ok()) return ErrorOf(sources.status());
  for (const WarmSources::View& source : *sources) {
    coordinator::v1::WarmSource* const proto = response->add_sources();
    proto->set_source(source.source);
    proto->set_namespace_(source.name_space);
    proto->set_warmed_entries(source.outcomes.warmed);
    proto->set_used_entries(source.outcomes.used);
    proto->set_unused_entries(source.outcomes.unused);
    proto->set_displaced_entries(source.outcomes.displaced);
    if (source.precision) proto->set_precision(*source.precision);
    proto->set_net_benefit(source.net_benefit);
    proto->set_budget(source.budget);
    proto->set_refused_keys(source.refused);
  }
  return grpc::Status::OK;
}

void RunWarmJob(Warmer& warmer, const coordinator::v1::RunWarmJobRequest& request,
                coordinator::v1::RunWarmJobResponse* response, WarmCallDone done) {
  WarmRequest asked;
  asked.schedule = request.name();
  asked.name_space = request.namespace_();
  asked.keys.assign(request.keys().begin(), request.keys().end());
  asked.priority = request.priority();
  asked.literal_keys.assign(request.literal_keys().begin(), request.literal_keys().end());
  constexpr uint64_t kMostMs = 1ull << 52;  // What is more is wrong all the same.
  asked.deadline =
      absl::Milliseconds(static_cast<int64_t>(std::min(request.deadline_ms(), kMostMs)));
  warmer.Run(asked,
             [&warmer, response, done = std::move(done)](const absl::StatusOr<WarmJob>& job) {
               if (job.ok()) {
                 ToProto(*job, response->mutable_job());
                 response->set_warning(warmer.WarningOf(*job));
               }
               done(job.ok() ? grpc::Status::OK : ErrorOf(job.status()));
             });
}

void ControlWarmJob(Warmer& warmer, const coordinator::v1::ControlWarmJobRequest& request,
                    coordinator::v1::ControlWarmJobResponse* response, WarmCallDone done) {
  WarmAction action = WarmAction::kPause;
  switch (request.action()) {
    case coordinator::v1::WARM_JOB_ACTION_PAUSE:
      action = WarmAction::kPause;
      break;
    case coordinator::v1::WARM_JOB_ACTION_RESUME:
      action = WarmAction::kResume;
      break;
    case coordinator::v1::WARM_JOB_ACTION_CANCEL:
      action = WarmAction::kCancel;
      break;
    default:
      return done(FieldError("action", "is not PAUSE, RESUME or CANCEL"));
  }
  if (request.id().empty()) return done(FieldError("id", "is empty"));
  warmer.Control(request.id(), action,
                 [response, done = std::move(done)](const absl::StatusOr<WarmJob>& job) {
                   if (job.ok()) ToProto(*job, response->mutable_job());
                   done(job.ok() ? grpc::Status::OK : ErrorOf(job.status()));
                 });
}

void ReportEvents(Warmer& warmer, const coordinator::v1::ReportEventsRequest& request,
                  coordinator::v1::ReportEventsResponse* response, WarmCallDone done) {
  if (request.events_size() > kMostEvents) {
    return done(FieldError("events", absl::StrCat(request.events_size(), " events; at most ",
                                                  kMostEvents, " are allowed")));
  }
  std::vector<WarmEvent> events;
  events.reserve(static_cast<size_t>(request.events_size()));
  for (int i = 0; i < request.events_size(); ++i) {
    const coordinator::v1::Event& event = request.events(i);
    if (const auto error = CheckEvent(event, absl::StrCat("events[", i, "]"))) {
      return done(ToGrpcStatus(*error));
    }
    events.push_back({event.kind(),
                      event.namespace_(),
                      event.key(),
                      {event.fields().begin(), event.fields().end()}});
  }
  warmer.Report(
      events, [response, done = std::move(done)](const absl::StatusOr<EventIntake::Taken>& taken) {
        if (!taken.ok()) return done(ErrorOf(taken.status()));
        response->set_accepted_events(static_cast<uint32_t>(taken->accepted));
        response->set_matched_events(static_cast<uint32_t>(taken->matched));
        done(grpc::Status::OK);
      });
}

}  // namespace meridian
