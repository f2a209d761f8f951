#include "server/coordinator/coordinator_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/error.h"
#include "common/rpc/failed_reactors.h"
#include "common/rpc/topology_proto.h"
#include "server/coordinator/hot_key_calls.h"
#include "server/coordinator/policy_calls.h"
#include "server/coordinator/prediction_calls.h"
#include "server/coordinator/register_stream.h"
#include "server/coordinator/warm_calls.h"
#include "server/coordinator/watch_stream.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

constexpr uint32_t kTicketRetryMs = 250;

}  // namespace

grpc::ServerBidiReactor<coordinator::v1::RegisterRequest, coordinator::v1::RegisterResponse>*
CoordinatorServiceHandler::Register(grpc::CallbackServerContext* context) {
  return RegisterStream::Start(coordinator_, hot_keys_, prediction_, rollouts_);
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::GetTopology(
    grpc::CallbackServerContext* context, const coordinator::v1::GetTopologyRequest* request,
    coordinator::v1::GetTopologyResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (!coordinator_.leader().leading) {
    reactor->Finish(NotLeaderError(coordinator_));
  } else {
    ToProto(*coordinator_.topology(), response->mutable_topology());
    reactor->Finish(grpc::Status::OK);
  }
  return reactor;
}

grpc::ServerWriteReactor<coordinator::v1::WatchTopologyResponse>*
CoordinatorServiceHandler::WatchTopology(grpc::CallbackServerContext* context,
                                         const coordinator::v1::WatchTopologyRequest* request) {
  return WatchStream::Start(coordinator_, request->known_epoch());
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::GetStatus(
    grpc::CallbackServerContext* context, const coordinator::v1::GetStatusRequest* request,
    coordinator::v1::GetStatusResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.executor().Post([this, reactor, response] {
    FillStatus(response);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

void CoordinatorServiceHandler::FillStatus(coordinator::v1::GetStatusResponse* response) const {
  const LeaderView leader = coordinator_.leader();
  response->set_id(coordinator_.options().id);
  response->set_region(coordinator_.options().membership.region);
  response->set_leader(leader.leading);
  response->set_leader_address(leader.address);
  response->set_fencing_token(leader.token);
  response->set_epoch(coordinator_.topology()->epoch());
  if (!leader.leading) return;
  for (const NodeView& view : coordinator_.Nodes()) {
    coordinator::v1::NodeStatus* node = response->add_nodes();
    ToProto(view.member, node->mutable_member());
    node->set_heartbeat_age_ms(absl::ToInt64Milliseconds(view.heartbeat_age));
    node->set_epoch(view.epoch);
    node->set_warmth(view.warmth);
  }
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::OnLeader(
    grpc::CallbackServerContext* context, std::function<void(grpc::ServerUnaryReactor*)> call) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.executor().Post([this, reactor, call = std::move(call)] {
    if (coordinator_.leader().leading) {
      call(reactor);
    } else {
      reactor->Finish(NotLeaderError(coordinator_));
    }
  });
  return reactor;
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ListWarmJobs(
    grpc::CallbackServerContext* context, const coordinator::v1::ListWarmJobsRequest* request,
    coordinator::v1::ListWarmJobsResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    reactor->Finish(meridian::ListWarmJobs(warmer_, *request, response));
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::RunWarmJob(
    grpc::CallbackServerContext* context, const coordinator::v1::RunWarmJobRequest* request,
    coordinator::v1::RunWarmJobResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    meridian::RunWarmJob(warmer_, *request, response,
                         [reactor](const grpc::Status& status) { reactor->Finish(status); });
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ControlWarmJob(
    grpc::CallbackServerContext* context, const coordinator::v1::ControlWarmJobRequest* request,
    coordinator::v1::ControlWarmJobResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    meridian::ControlWarmJob(warmer_, *request, response,
                             [reactor](const grpc::Status& status) { reactor->Finish(status); });
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ListWarmSources(
    grpc::CallbackServerContext* context, const coordinator::v1::ListWarmSourcesRequest* request,
    coordinator::v1::ListWarmSourcesResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    reactor->Finish(meridian::ListWarmSources(warmer_, *request, response));
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ExplainPrediction(
    grpc::CallbackServerContext* context, const coordinator::v1::ExplainPredictionRequest* request,
    coordinator::v1::ExplainPredictionResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    reactor->Finish(meridian::ExplainPrediction(prediction_, *request, response));
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ReportEvents(
    grpc::CallbackServerContext* context, const coordinator::v1::ReportEventsRequest* request,
    coordinator::v1::ReportEventsResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    meridian::ReportEvents(warmer_, *request, response,
                           [reactor](const grpc::Status& status) { reactor->Finish(status); });
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ListHotKeys(
    grpc::CallbackServerContext* context, const coordinator::v1::ListHotKeysRequest* request,
    coordinator::v1::ListHotKeysResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    meridian::ListHotKeys(hot_keys_, *request, response,
                          [reactor](const grpc::Status& status) { reactor->Finish(status); });
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ListAlerts(
    grpc::CallbackServerContext* context, const coordinator::v1::ListAlertsRequest* request,
    coordinator::v1::ListAlertsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.executor().Post([this, reactor, request, response] {
    // While nobody leads a standby tells of that.
    const LeaderView leader = coordinator_.leader();
    if (!leader.leading && !leader.address.empty()) {
      return reactor->Finish(NotLeaderError(coordinator_));
    }
    for (coordinator::v1::Alert& alert : alerts_.List(request->include_resolved())) {
      *response->add_alerts() = std::move(alert);
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ListRecommendations(
    grpc::CallbackServerContext* context,
    const coordinator::v1::ListRecommendationsRequest* request,
    coordinator::v1::ListRecommendationsResponse* response) {
  if (!request->namespace_().empty()) {
    if (const auto error = limits::CheckNamespace(request->namespace_())) {
      return FailUnary(context, ToGrpcStatus(*error));
    }
  }
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    for (coordinator::v1::Recommendation& row : advisor_.Recommend(request->namespace_())) {
      *response->add_recommendations() = std::move(row);
    }
    reactor->Finish(grpc::Status::OK);
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::GetAnalytics(
    grpc::CallbackServerContext* context, const coordinator::v1::GetAnalyticsRequest* request,
    coordinator::v1::GetAnalyticsResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    analytics_.Get(*request, [reactor, response](const grpc::Status& status,
                                                 coordinator::v1::GetAnalyticsResponse answer) {
      *response = std::move(answer);
      reactor->Finish(status);
    });
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ApplyPolicy(
    grpc::CallbackServerContext* context, const coordinator::v1::ApplyPolicyRequest* request,
    coordinator::v1::ApplyPolicyResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    rollouts_.rollouts().Apply(*request, AnswerTo(response, [reactor](const grpc::Status& status) {
      reactor->Finish(status);
    }));
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::GetPolicy(
    grpc::CallbackServerContext* context, const coordinator::v1::GetPolicyRequest* request,
    coordinator::v1::GetPolicyResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    rollouts_.rollouts().Get(
        request->version(),
        AnswerTo(response, [reactor](const grpc::Status& status) { reactor->Finish(status); }));
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ListRollouts(
    grpc::CallbackServerContext* context, const coordinator::v1::ListRolloutsRequest* request,
    coordinator::v1::ListRolloutsResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    reactor->Finish(meridian::ListRollouts(rollouts_.rollouts(), *request, response));
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::ControlRollout(
    grpc::CallbackServerContext* context, const coordinator::v1::ControlRolloutRequest* request,
    coordinator::v1::ControlRolloutResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    rollouts_.rollouts().Control(
        request->policy_version(), request->action(), request->expected_percent(),
        AnswerTo(response->mutable_rollout(),
                 [reactor](const grpc::Status& status) { reactor->Finish(status); }));
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceHandler::AcquireRolloutTicket(
    grpc::CallbackServerContext* context,
    const coordinator::v1::AcquireRolloutTicketRequest* request,
    coordinator::v1::AcquireRolloutTicketResponse* response) {
  return OnLeader(context, [this, request, response](grpc::ServerUnaryReactor* reactor) {
    if (request->give_back()) {
      return tickets_.GiveBack(request->node(), [reactor] { reactor->Finish(grpc::Status::OK); });
    }
    const std::vector<NodeView> nodes = coordinator_.Nodes();
    const bool known = std::any_of(nodes.begin(), nodes.end(), [request](const NodeView& view) {
      return view.member.id == request->node();
    });
    if (!known) {
      ErrorDetails details;
      details.field = "node";
      return reactor->Finish(MakeError(
          grpc::StatusCode::NOT_FOUND, reason::kNodeUnknown,
          absl::StrCat("no member is called ", QuoteKey(request->node())), std::move(details)));
    }
    tickets_.Ask(request->node(), [reactor, response](const std::string& why) {
      response->set_why(why);
      response->set_granted(why.empty());
      if (!response->granted()) response->set_retry_after_ms(kTicketRetryMs);
      reactor->Finish(grpc::Status::OK);
    });
  });
}

}  // namespace meridian
