#include "client/cpp/event_reporter.h"

#include <grpcpp/client_context.h>

#include <chrono>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/cpp/convert.h"
#include "common/base/status_macros.h"
#include "common/rpc/error.h"
#include "common/rpc/server_settings.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"

namespace meridian {
namespace {

constexpr int kMostTries = 8;                        // Two that name each other do not keep us.
constexpr size_t kMaxReportBytes = size_t{1} << 20;  // As the coordinator takes.

ReportResult Failed(const Error& error) { return {0, 0, ToResultError(error)}; }

Error TooLarge(const std::string& why) {
  Error error{grpc::StatusCode::INVALID_ARGUMENT, std::string(reason::kFieldInvalid), why, {}};
  error.details.field = "events";
  return error;
}

}  // namespace

class EventReporter::Impl {
 public:
  explicit Impl(EventReporterOptions options)
      : options_(std::move(options)), security_(ChannelSecurityOf(options_.tls)) {}
  ~Impl();

  void Report(const std::vector<ServiceEvent>& events, std::function<void(ReportResult)> done);

 private:
  using Stub = coordinator::v1::CoordinatorService::Stub;
  struct Call {
    coordinator::v1::ReportEventsRequest request;
    coordinator::v1::ReportEventsResponse response;
    std::optional<grpc::ClientContext> context;
    std::chrono::system_clock::time_point deadline;
    std::deque<std::string> addresses;  // To be asked; the first one is being asked.
    int tries = 0;
    std::function<void(ReportResult)> done;
  };
  using SharedCall = std::shared_ptr<Call>;

  void Try(SharedCall call) ABSL_LOCKS_EXCLUDED(mu_);
  void HandleAnswer(SharedCall call, const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  bool MayTryAgain(const Call& call) ABSL_LOCKS_EXCLUDED(mu_);

  const EventReporterOptions options_;
  const ChannelSecurity security_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::string leader_ ABSL_GUARDED_BY(mu_);  // That answered last; empty: not known.
  std::map<std::string, std::shared_ptr<Stub>> stubs_ ABSL_GUARDED_BY(mu_);
  std::set<SharedCall> calls_ ABSL_GUARDED_BY(mu_);  // On their way.
  int unfinished_ ABSL_GUARDED_BY(mu_) = 0;          // Calls that hold a channel.
};

EventReporter::Impl::~Impl() {
  std::set<SharedCall> calls;  // gRPC may run their callbacks here: not under the lock.
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    calls = calls_;
  }
  for (const SharedCall& call : calls) call->context->TryCancel();
  calls.clear();
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(
      +[](int* unfinished) { return *unfinished == 0; }, &unfinished_));
}

void EventReporter::Impl::Report(const std::vector<ServiceEvent>& events,
                                 std::function<void(ReportResult)> done) {
  if (events.size() > kMaxEvents) {
    return done(Failed(
        TooLarge(absl::StrCat(events.size(), " events; at most ", kMaxEvents, " are allowed"))));
  }
  auto call = std::make_shared<Call>();
  for (const ServiceEvent& event : events) {
    coordinator::v1::Event* const added = call->request.add_events();
    added->set_kind(event.kind);
    added->set_namespace_(event.name_space);
    added->set_key(event.key);
    added->mutable_fields()->insert(event.fields.begin(), event.fields.end());
  }
  if (call->request.ByteSizeLong() > kMaxReportBytes) {
    return done(Failed(TooLarge(absl::StrCat(call->request.ByteSizeLong(), " bytes; at most ",
                                             kMaxReportBytes, " are allowed"))));
  }
  call->deadline = std::chrono::system_clock::now() + absl::ToChronoMicroseconds(options_.timeout);
  call->addresses.assign(options_.coordinators.begin(), options_.coordinators.end());
  call->done = std::move(done);
  {
    absl::MutexLock lock(&mu_);
    if (!leader_.empty()) call->addresses.push_front(leader_);
    ++unfinished_;
  }
  Try(std::move(call));
}

void EventReporter::Impl::Try(SharedCall call) {
  std::shared_ptr<Stub> stub;
  Call* const raw = call.get();
  raw->context.emplace();
  // One that hangs leaves time for the others.
  const auto now = std::chrono::system_clock::now();
  const bool is_last = raw->addresses.size() == 1;
  raw->context->set_deadline(is_last ? raw->deadline : now + (raw->deadline - now) / 2);
  raw->response.Clear();
  ++raw->tries;
  {
    absl::MutexLock lock(&mu_);
    std::shared_ptr<Stub>& known = stubs_[raw->addresses.front()];
    if (known == nullptr) {
      known = coordinator::v1::CoordinatorService::NewStub(
          CreateChannelTo(raw->addresses.front(), security_));
    }
    stub = known;
    calls_.insert(call);
    if (stopping_) raw->context->TryCancel();
  }
  stub->async()->ReportEvents(&*raw->context, &raw->request, &raw->response,
                              [this, call = std::move(call)](const grpc::Status& status) mutable {
                                HandleAnswer(std::move(call), status);
                              });
}

bool EventReporter::Impl::MayTryAgain(const Call& call) {
  absl::MutexLock lock(&mu_);
  return !stopping_ && !call.addresses.empty() && call.tries < kMostTries &&
         std::chrono::system_clock::now() < call.deadline;
}

void EventReporter::Impl::HandleAnswer(SharedCall call, const grpc::Status& status) {
  const std::string asked = call->addresses.front();
  call->addresses.pop_front();
  const Error error = FromGrpcStatus(status);
  {
    absl::MutexLock lock(&mu_);
    calls_.erase(call);
    if (status.ok()) leader_ = asked;
    if (!status.ok() && leader_ == asked) leader_.clear();
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    const auto leader = error.details.metadata.find("leader");
    if (leader != error.details.metadata.end() && !leader->second.empty()) {
      call->addresses.push_front(leader->second);
    }
    if (MayTryAgain(*call)) return Try(std::move(call));
  }
  if (status.ok()) {
    call->done({call->response.accepted_events(), call->response.matched_events(), nullptr});
  } else {
    Error whose = error;
    whose.message += " (coordinator " + asked + ")";
    call->done(Failed(whose));
  }
  // What the call holds of its channel goes before it is counted as ended: the last channel must
  // not end on a thread of gRPC.
  call.reset();
  absl::MutexLock lock(&mu_);
  --unfinished_;
}

absl::StatusOr<std::unique_ptr<EventReporter>> EventReporter::Create(EventReporterOptions options) {
  if (options.coordinators.empty()) {
    return absl::InvalidArgumentError("coordinators: there is none");
  }
  for (const std::string& address : options.coordinators) {
    if (IsHostPort(address)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("coordinators: '", address, "' is not host:port"));
  }
  if (options.timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("timeout: must be positive");
  }
  if (!options.tls.empty()) RETURN_IF_ERROR(CheckTlsFiles(options.tls, absl::Now()));
  return std::unique_ptr<EventReporter>(
      new EventReporter(std::make_unique<Impl>(std::move(options))));
}

EventReporter::EventReporter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventReporter::~EventReporter() = default;

ReportResult EventReporter::Report(const std::vector<ServiceEvent>& events) {
  ReportResult result;
  absl::Notification reported;
  impl_->Report(events, [&](ReportResult answer) {
    result = std::move(answer);
    reported.Notify();
  });
  reported.WaitForNotification();
  return result;
}

void EventReporter::Report(const std::vector<ServiceEvent>& events,
                           std::function<void(ReportResult)> done) {
  impl_->Report(events, std::move(done));
}

}  // namespace meridian
