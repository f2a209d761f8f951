#include "server/membership/grpc_coordinator_transport.h"

#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/rpc/error.h"
#include "common/rpc/server_settings.h"
#include "common/rpc/topology_proto.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "server/membership/policies_proto.h"

namespace meridian {
namespace {

coordinator::v1::RegisterRequest ToRequest(const NodeHeartbeat& heartbeat) {
  coordinator::v1::RegisterRequest request;
  ToProto(heartbeat.member, request.mutable_member());
  request.set_region(heartbeat.region);
  request.set_epoch(heartbeat.epoch);
  const int64_t ns = absl::ToUnixNanos(heartbeat.now);
  request.mutable_now()->set_seconds(ns / 1'000'000'000);
  request.mutable_now()->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
  request.set_warmth(heartbeat.warmth);
  request.set_handed_off_epoch(heartbeat.handed_off_epoch);
  for (const std::string& id : heartbeat.unreachable_peers) request.add_unreachable_peers(id);
  for (const SampledAccess& access : heartbeat.accesses) {
    coordinator::v1::Access* added = request.mutable_accesses()->add_accesses();
    added->set_namespace_(access.name_space);
    added->set_key(access.key);
    added->set_caller(access.caller);
    const int64_t age_ms = absl::ToInt64Milliseconds(heartbeat.sent_at - access.at);
    added->set_age_ms(static_cast<uint32_t>(std::max<int64_t>(age_ms, 0)));
  }
  if (!heartbeat.accesses.empty()) {
    request.mutable_accesses()->set_callers_per_sample(heartbeat.callers_per_access_sample);
  }
  request.mutable_policies()->set_revision(heartbeat.policy_revision);
  request.mutable_policies()->set_problem(heartbeat.policy_problem);
  if (!heartbeat.hot_keys.has_value()) return request;
  request.mutable_hot_keys();  // Also of none.
  for (const HotKey& key : *heartbeat.hot_keys) {
    coordinator::v1::HotKey* added = request.mutable_hot_keys()->add_keys();
    added->set_namespace_(key.name_space);
    added->set_key(key.key);
    added->set_rate(key.per_second);
  }
  return request;
}

absl::Status ToAbslStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

// One Register call. Lives until OnDone; the hold keeps OnDone away while Send may start a write.
class GrpcCoordinatorTransport::Call final
    : public grpc::ClientBidiReactor<coordinator::v1::RegisterRequest,
                                     coordinator::v1::RegisterResponse> {
 public:
  Call(GrpcCoordinatorTransport& transport, const std::shared_ptr<grpc::Channel>& channel,
       Events events)
      : transport_(transport),
        stub_(coordinator::v1::CoordinatorService::NewStub(channel)),
        events_(std::move(events)) {}

  void Begin(std::shared_ptr<Call> self) {
    self_ = std::move(self);
    stub_->async()->Register(&context_, this);
    AddHold();
    StartRead(&response_);
    StartCall();
  }

  void Cancel() { context_.TryCancel(); }

  void Send(const NodeHeartbeat& heartbeat) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (closed_) return;
    if (writing_) {
      coordinator::v1::RegisterRequest next = ToRequest(heartbeat);
      if (waiting_.has_value() && waiting_->has_hot_keys() && !next.has_hot_keys()) {
        next.mutable_hot_keys()->Swap(waiting_->mutable_hot_keys());
      }
      if (waiting_.has_value() && waiting_->has_accesses() && !next.has_accesses()) {
        next.mutable_accesses()->Swap(waiting_->mutable_accesses());
      }
      waiting_ = std::move(next);
      return;
    }
    request_ = ToRequest(heartbeat);
    writing_ = true;
    StartWrite(&request_);
  }

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    if (!ok || closed_ || !waiting_.has_value()) return;
    request_ = *std::move(waiting_);
    waiting_.reset();
    writing_ = true;
    StartWrite(&request_);
  }

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_) {
    if (!ok) {
      {
        absl::MutexLock lock(&mu_);
        closed_ = true;
      }
      RemoveHold();
      return;
    }
    CoordinatorReply reply;
    reply.heartbeat_interval = absl::Milliseconds(response_.heartbeat_interval_ms());
    if (response_.has_topology()) reply.topology = Parse(response_.topology());
    if (response_.has_planned()) reply.planned = Parse(response_.planned());
    if (response_.has_policies()) reply.policies = FromProto(response_.policies());
    if (malformed_.empty()) events_.on_reply(std::move(reply));
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    StreamEnd end;
    if (!malformed_.empty()) {
      end = {"MALFORMED_TOPOLOGY", malformed_, ""};
    } else if (status.ok()) {
      end = {"CLOSED", "the coordinator closed the stream", ""};
    } else {
      Error error = FromGrpcStatus(status);
      end = {error.reason, error.message, error.details.metadata["leader"]};
    }
    events_.on_end(std::move(end));
    const std::shared_ptr<Call> self = std::move(self_);
    transport_.Forget(this);
  }

 private:
  // nullopt: it cannot be used, and the call ends.
  std::optional<Topology> Parse(const cache::v1::Topology& proto) {
    absl::StatusOr<Topology> topology = FromProto(proto);
    if (topology.ok()) return *std::move(topology);
    malformed_ = std::string(topology.status().message());
    Cancel();
    return std::nullopt;
  }

  GrpcCoordinatorTransport& transport_;
  std::unique_ptr<coordinator::v1::CoordinatorService::Stub> stub_;
  const Events events_;
  std::shared_ptr<Call> self_;
  grpc::ClientContext context_;
  coordinator::v1::RegisterResponse response_;
  std::string malformed_;  // Used by the read side only, then by OnDone.

  absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;  // No write may begin.
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  coordinator::v1::RegisterRequest request_ ABSL_GUARDED_BY(mu_);  // gRPC's while writing_.
  std::optional<coordinator::v1::RegisterRequest> waiting_ ABSL_GUARDED_BY(mu_);
};

// What the client holds.
class GrpcCoordinatorTransport::Stream final : public CoordinatorStream {
 public:
  explicit Stream(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  ~Stream() override { call_->Cancel(); }
  void Send(const NodeHeartbeat& heartbeat) override { call_->Send(heartbeat); }

 private:
  const std::shared_ptr<Call> call_;
};

struct GrpcCoordinatorTransport::TicketCall {
  std::unique_ptr<coordinator::v1::CoordinatorService::Stub> stub;
  grpc::ClientContext context;
  coordinator::v1::AcquireRolloutTicketRequest request;
  coordinator::v1::AcquireRolloutTicketResponse response;
};

struct GrpcCoordinatorTransport::UpdateCall {
  std::unique_ptr<coordinator::v1::CoordinatorService::Stub> stub;
  grpc::ClientContext context;
  coordinator::v1::ReportEventsRequest request;
  coordinator::v1::ReportEventsResponse response;
};

GrpcCoordinatorTransport::GrpcCoordinatorTransport(ChannelSecurity security)
    : security_(std::move(security)) {}

GrpcCoordinatorTransport::~GrpcCoordinatorTransport() {
  absl::MutexLock lock(&mu_);
  for (Call* call : calls_) call->Cancel();
  for (grpc::ClientContext* call : unary_) call->TryCancel();
  const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return calls_.empty() && unary_.empty();
  };
  mu_.Await(absl::Condition(&none));
}

const std::shared_ptr<grpc::Channel>& GrpcCoordinatorTransport::ChannelTo(
    const std::string& address) {
  std::shared_ptr<grpc::Channel>& channel = channels_[address];
  if (channel == nullptr) channel = CreateChannelTo(address, security_);
  return channel;
}

std::unique_ptr<CoordinatorStream> GrpcCoordinatorTransport::Open(const std::string& address,
                                                                  Events events) {
  std::shared_ptr<Call> call;
  {
    absl::MutexLock lock(&mu_);
    call = std::make_shared<Call>(*this, ChannelTo(address), std::move(events));
    calls_.insert(call.get());
  }
  call->Begin(call);
  return std::make_unique<Stream>(std::move(call));
}

void GrpcCoordinatorTransport::AcquireTicket(const std::string& address, const std::string& node,
                                             absl::Duration timeout, TicketCallback done) {
  CallForTicket(address, node, /*give_back=*/false, timeout, std::move(done));
}

void GrpcCoordinatorTransport::GiveTicketBack(const std::string& address, const std::string& node,
                                              absl::Duration timeout,
                                              std::function<void(absl::Status)> done) {
  CallForTicket(address, node, /*give_back=*/true, timeout,
                [done = std::move(done)](const absl::StatusOr<TicketAnswer>& answer) {
                  done(answer.status());
                });
}

void GrpcCoordinatorTransport::CallForTicket(const std::string& address, const std::string& node,
                                             bool give_back, absl::Duration timeout,
                                             TicketCallback done) {
  auto call = std::make_shared<TicketCall>();
  call->context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  call->request.set_node(node);
  call->request.set_give_back(give_back);
  {
    absl::MutexLock lock(&mu_);
    call->stub = coordinator::v1::CoordinatorService::NewStub(ChannelTo(address));
    unary_.insert(&call->context);
  }
  TicketCall& raw = *call;
  raw.stub->async()->AcquireRolloutTicket(
      &raw.context, &raw.request, &raw.response,
      [this, call = std::move(call), done = std::move(done)](const grpc::Status& status) {
        if (status.ok()) {
          done(TicketAnswer{call->response.granted(),
                            absl::Milliseconds(call->response.retry_after_ms()),
                            call->response.why()});
        } else {
          done(ToAbslStatus(status));
        }
        Forget(&call->context);
      });
}

void GrpcCoordinatorTransport::ReportUpdates(const std::string& address,
                                             const UpdateLog::Batch& updates,
                                             absl::Duration timeout, UpdateCallback done) {
  auto call = std::make_shared<UpdateCall>();
  call->context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  // The first has no key: it asks whether a rule is for any.
  for (size_t i = 0; i <= updates.keys.size(); ++i) {
    coordinator::v1::Event* const event = call->request.add_events();
    event->set_kind("update");
    event->set_namespace_(updates.name_space);
    if (i > 0) event->set_key(updates.keys[i - 1]);
  }
  {
    absl::MutexLock lock(&mu_);
    call->stub = coordinator::v1::CoordinatorService::NewStub(ChannelTo(address));
    unary_.insert(&call->context);
  }
  UpdateCall& raw = *call;
  raw.stub->async()->ReportEvents(
      &raw.context, &raw.request, &raw.response,
      [this, call = std::move(call), done = std::move(done)](const grpc::Status& status) {
        if (status.ok()) {
          const uint32_t accepted = call->response.accepted_events();
          done(UpdateAnswer{accepted > 0 ? accepted - 1 : 0, call->response.matched_events() > 0});
        } else {
          done(ToAbslStatus(status));
        }
        Forget(&call->context);
      });
}

void GrpcCoordinatorTransport::Forget(grpc::ClientContext* unary) {
  absl::MutexLock lock(&mu_);
  unary_.erase(unary);
}

void GrpcCoordinatorTransport::Forget(Call* call) {
  absl::MutexLock lock(&mu_);
  calls_.erase(call);
}

}  // namespace meridian
