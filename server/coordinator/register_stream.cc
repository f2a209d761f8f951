#include "server/coordinator/register_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/base/version.h"
#include "common/rpc/error.h"
#include "common/rpc/timestamp.h"
#include "common/rpc/topology_proto.h"
#include "server/coordinator/hot_key_calls.h"
#include "server/coordinator/prediction_calls.h"

namespace meridian {
namespace {

NodeReport ReportOf(const coordinator::v1::RegisterRequest& request) {
  NodeReport report;
  report.member = FromProto(request.member());
  report.epoch = request.epoch();
  report.warmth = request.warmth();
  report.handed_off_epoch = request.handed_off_epoch();
  report.unreachable_peers = {request.unreachable_peers().begin(),
                              request.unreachable_peers().end()};
  return report;
}

}  // namespace

grpc::Status NotLeaderError(const Coordinator& coordinator) {
  const LeaderView leader = coordinator.leader();
  ErrorDetails details;
  details.metadata["leader"] = leader.address;
  return MakeError(grpc::StatusCode::UNAVAILABLE, reason::kNotLeader,
                   leader.address.empty()
                       ? "this coordinator does not lead, and knows of no leader"
                       : absl::StrCat("this coordinator does not lead; ask ", leader.address),
                   std::move(details));
}

RegisterStream* RegisterStream::Start(Coordinator& coordinator, HotKeyLead& hot_keys,
                                      PredictionLead& prediction, RolloutLead& rollouts) {
  auto stream = std::shared_ptr<RegisterStream>(
      new RegisterStream(coordinator, hot_keys, prediction, rollouts));
  stream->self_ = stream;
  coordinator.executor().Post([stream] { stream->StartRead(&stream->request_); });
  return stream.get();
}

void RegisterStream::OnReadDone(bool ok) {
  coordinator_.executor().Post([self = self_, ok] { self->HandleRead(ok); });
}

void RegisterStream::OnWriteDone(bool ok) {
  coordinator_.executor().Post([self = self_, ok] {
    self->writing_ = false;
    if (ok) self->MaybeWrite();  // Otherwise the read fails too, and ends the stream.
  });
}

void RegisterStream::OnDone() {
  coordinator_.executor().Post([self = std::move(self_)] {
    self->coordinator_.Unsubscribe(self.get());
    if (!self->id_.empty()) self->coordinator_.Disconnect(self->id_, self->session_);
  });
}

void RegisterStream::HandleRead(bool ok) {
  if (finished_) return;
  if (!ok) return FinishOnce(grpc::Status::OK);  // The node has left; OnDone says so.
  if (const grpc::Status status = HandleRequest(); !status.ok()) return FinishOnce(status);
  answer_due_ = true;
  const TopologyHolder::Snapshot current = coordinator_.topology();
  if (current->epoch() > request_.epoch() && current->epoch() > sent_epoch_) pending_ = current;
  MaybeWrite();
  StartRead(&request_);
}

grpc::Status RegisterStream::CheckFirst() const {
  const std::string& region = coordinator_.options().membership.region;
  if (request_.region() != region) {
    ErrorDetails details;
    details.field = "region";
    details.metadata["region"] = region;
    return MakeError(grpc::StatusCode::INVALID_ARGUMENT, reason::kRegionMismatch,
                     absl::StrCat("node ", QuoteKey(request_.member().id()), " is of region ",
                                  QuoteKey(request_.region()), ", this coordinator of ", region),
                     std::move(details));
  }
  return grpc::Status::OK;
}

grpc::Status RegisterStream::HandleRequest() {
  if (!coordinator_.leader().leading) return NotLeaderError(coordinator_);
  if (request_.has_now()) {
    if (request_.region() == coordinator_.options().membership.region) {
      coordinator_.NodeSaid(request_.member().id(), FromProto(request_.now()));
      if (!coordinator_.leader().leading) return NotLeaderError(coordinator_);
    }
    const absl::Duration skew = FromProto(request_.now()) - coordinator_.clock().Now();
    if (absl::AbsDuration(skew) > HybridClock::kMaxSkew) {
      ErrorDetails details;
      details.field = "now";
      details.metadata["skew_ms"] = absl::StrCat(absl::ToInt64Milliseconds(skew));
      const std::string problem =
          absl::StrCat("the node's clock differs by ", absl::FormatDuration(skew), ", more than ",
                       absl::FormatDuration(HybridClock::kMaxSkew));
      coordinator_.RefuseClock(request_.member().id(), problem);
      return MakeError(grpc::StatusCode::FAILED_PRECONDITION, reason::kClockSkew, problem,
                       std::move(details));
    }
  }
  const NodeReport report = ReportOf(request_);
  absl::Status status;
  if (id_.empty()) {
    if (grpc::Status first = CheckFirst(); !first.ok()) return first;
    session_ = coordinator_.NewSession();
    status = coordinator_.Register(report, session_);
    if (status.ok()) {
      id_ = report.member.id;
      incarnation_ = report.member.incarnation;
      coordinator_.Subscribe(this);
    }
  } else if (report.member.id != id_) {
    return MakeError(grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid,
                     "a stream belongs to the node that registered on it",
                     {.field = "member.id", .retry_after = {}, .metadata = {}});
  } else {
    // Heartbeats need not repeat the incarnation: the stream is the process's own.
    NodeReport heartbeat = report;
    heartbeat.member.incarnation = incarnation_;
    status = coordinator_.Heartbeat(heartbeat);
  }
  if (!status.ok()) return ToGrpcStatus(FromStatus(status));
  if (request_.has_hot_keys()) hot_keys_.Report(id_, FromProto(request_.hot_keys()));
  if (request_.has_accesses() && prediction_.enabled()) {
    prediction_.Report(FromProto(request_.accesses(), coordinator_.clock().Monotonic()));
  }
  if (request_.has_policies()) {
    if (request_.policies().problem().empty()) {
      sent_policies_ = std::max(sent_policies_, request_.policies().revision());
    }
    rollouts_.rollouts().Report(id_, request_.policies());
  }
  return grpc::Status::OK;
}

void RegisterStream::MaybeWrite() {
  if (writing_ || finished_) return;
  if (!answer_due_ && (pending_ == nullptr || !rollouts_.rollouts().Knows())) return;
  response_.Clear();
  response_.set_heartbeat_interval_ms(static_cast<uint32_t>(
      absl::ToInt64Milliseconds(coordinator_.options().membership.heartbeat_interval)));
  // By which policies it serves a node knows before it owns slots.
  if (pending_ != nullptr && rollouts_.rollouts().Knows()) {
    ToProto(*pending_, response_.mutable_topology());
    sent_epoch_ = pending_->epoch();
    pending_.reset();
  }
  const Coordinator::Policies& policies = coordinator_.policies();
  if (policies != nullptr && policies->revision() > sent_policies_) {
    *response_.mutable_policies() = *policies;
    sent_policies_ = policies->revision();
  }
  if (coordinator_.planned() != nullptr) {
    ToProto(*coordinator_.planned(), response_.mutable_planned());
  }
  answer_due_ = false;
  writing_ = true;
  StartWrite(&response_);
}

void RegisterStream::OnTopology(const TopologyHolder::Snapshot& topology) {
  pending_ = topology;
  MaybeWrite();
}

void RegisterStream::OnPolicies(const Coordinator::Policies&) {
  answer_due_ = true;
  MaybeWrite();
}

void RegisterStream::OnPlanned() {
  answer_due_ = true;
  MaybeWrite();
}

void RegisterStream::OnLeadershipLost() { FinishOnce(NotLeaderError(coordinator_)); }

void RegisterStream::FinishOnce(const grpc::Status& status) {
  if (finished_) return;
  finished_ = true;
  coordinator_.Unsubscribe(this);
  Finish(status);
}

}  // namespace meridian
