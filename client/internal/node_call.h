// NodeCall is one unary call of CacheService to one node, and a second try on another node when the
// first cannot have done harm (second_try.h).
//
// It owns request and response, starts with Start(), and deletes itself after `done` ran. The
// deadline covers both tries.
// Thread safety: `done` runs once, on a thread of gRPC.

#ifndef MERIDIAN_CLIENT_INTERNAL_NODE_CALL_H_
#define MERIDIAN_CLIENT_INTERNAL_NODE_CALL_H_

#include <grpcpp/client_context.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "client/internal/cluster.h"
#include "client/internal/second_try.h"
#include "common/rpc/error.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"

namespace meridian {

template <typename Request, typename Response>
class NodeCall final : public grpc::ClientUnaryReactor {
 public:
  using Method = void (cache::v1::CacheService::StubInterface::async_interface::*)(
      grpc::ClientContext*, const Request*, Response*, grpc::ClientUnaryReactor*);
  // `error` is nullptr when the call was answered; the response may be moved from.
  using Done = std::function<void(const Error* error, Response* response)>;

  NodeCall(Cluster& cluster, std::shared_ptr<const ClusterView> view, uint16_t node, Method method,
           CallKind kind, std::chrono::system_clock::time_point deadline)
      : cluster_(cluster),
        view_(std::move(view)),
        node_(node),
        method_(method),
        kind_(kind),
        deadline_(deadline) {
    cluster_.BeginCall();
  }

  Request& request() { return request_; }

  void Start(Done done) {
    done_ = std::move(done);
    request_.mutable_header()->set_epoch(view_->table.epoch());
    Try();
  }

  void OnDone(const grpc::Status& status) override {
    if (status.ok()) {
      cluster_.NoteEpoch(response_.header().epoch());
      return Finish(nullptr);
    }
    Error error = FromGrpcStatus(status);
    const NodeChannel& node = *view_->nodes[node_];
    const std::string refusal = status.error_details().empty() ? "" : error.reason;
    switch (Judge(status.error_code(), kind_, LeftClient(node), refusal)) {
      case FailedCall::kTryAnother:
        if (TryAnother()) return;
        break;
      case FailedCall::kFinal:
        break;
      case FailedCall::kOutcomeUnknown:
        error.reason = reason::kOutcomeUnknown;
        error.message =
            "the write may or may not have happened, read to find out: " + error.message;
        break;
    }
    error.message += " (node " + node.address + ")";
    Finish(&error);
  }

 private:
  ~NodeCall() override = default;

  void Try() {
    context_.emplace();
    context_->set_deadline(deadline_);
    auto* async = view_->nodes[node_]->stub->async();
    (async->*method_)(&*context_, &request_, &response_, this);
    StartCall();
  }

  // Once, while there is time and another node.
  bool TryAnother() {
    if (tried_another_ || std::chrono::system_clock::now() >= deadline_) return false;
    const uint16_t other = view_->table.Another(node_, cluster_.NextTurn());
    if (other == node_) return false;
    tried_another_ = true;
    node_ = other;
    response_.Clear();
    Try();
    return true;
  }

  // gRPC names the peer only after it gave the call to a connection; before, the channel's target.
  bool LeftClient(const NodeChannel& node) const {
    const std::string peer = context_->peer();
    return peer != node.address && peer != "dns:///" + node.address && peer != "unknown";
  }

  // The context and the view hold channels: they go before EndCall lets the Cluster go, because the
  // last channel must not end on a thread of gRPC (it waits for those threads).
  void Finish(const Error* error) {
    done_(error, &response_);
    Cluster& cluster = cluster_;
    delete this;
    cluster.EndCall();
  }

  Cluster& cluster_;  // Outlives this: it waits for all calls.
  const std::shared_ptr<const ClusterView> view_;
  uint16_t node_;
  const Method method_;
  const CallKind kind_;
  const std::chrono::system_clock::time_point deadline_;
  bool tried_another_ = false;
  std::optional<grpc::ClientContext> context_;
  Request request_;
  Response response_;
  Done done_;
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_INTERNAL_NODE_CALL_H_
