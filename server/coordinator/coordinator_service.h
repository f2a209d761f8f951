// CoordinatorServer's gRPC face: thin handlers that check, ask the Coordinator and answer.
//
// A standby answers NOT_LEADER, with the address of who leads, to what only the leader knows.
// Thread safety: gRPC's threads call it concurrently. REQUIRES: the coordinator and its executor
// outlive the server that this is registered on.

#ifndef MERIDIAN_SERVER_COORDINATOR_COORDINATOR_SERVICE_H_
#define MERIDIAN_SERVER_COORDINATOR_COORDINATOR_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include <functional>

#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "server/coordinator/cluster_analytics.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/hot_key_lead.h"
#include "server/coordinator/prediction_lead.h"
#include "server/coordinator/rollout_lead.h"
#include "server/coordinator/ticket_lead.h"
#include "server/figures/advisor.h"
#include "server/figures/alert_book.h"
#include "server/warming/warmer.h"

namespace meridian {

class CoordinatorServiceHandler final
    : public coordinator::v1::CoordinatorService::CallbackService {
 public:
  CoordinatorServiceHandler(Coordinator& coordinator, Warmer& warmer, HotKeyLead& hot_keys,
                            PredictionLead& prediction, RolloutLead& rollouts,
                            const AlertBook& alerts, const Advisor& advisor, TicketLead& tickets,
                            ClusterAnalytics& analytics)
      : coordinator_(coordinator),
        warmer_(warmer),
        hot_keys_(hot_keys),
        prediction_(prediction),
        rollouts_(rollouts),
        alerts_(alerts),
        advisor_(advisor),
        tickets_(tickets),
        analytics_(analytics) {}

  grpc::ServerBidiReactor<coordinator::v1::RegisterRequest, coordinator::v1::RegisterResponse>*
  Register(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetTopology(grpc::CallbackServerContext* context,
                                        const coordinator::v1::GetTopologyRequest* request,
                                        coordinator::v1::GetTopologyResponse* response) override;
  grpc::ServerWriteReactor<coordinator::v1::WatchTopologyResponse>* WatchTopology(
      grpc::CallbackServerContext* context,
      const coordinator::v1::WatchTopologyRequest* request) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const coordinator::v1::GetStatusRequest* request,
                                      coordinator::v1::GetStatusResponse* response) override;

  grpc::ServerUnaryReactor* ListWarmJobs(grpc::CallbackServerContext* context,
                                         const coordinator::v1::ListWarmJobsRequest* request,
                                         coordinator::v1::ListWarmJobsResponse* response) override;
  grpc::ServerUnaryReactor* RunWarmJob(grpc::CallbackServerContext* context,
                                       const coordinator::v1::RunWarmJobRequest* request,
                                       coordinator::v1::RunWarmJobResponse* response) override;
  grpc::ServerUnaryReactor* ControlWarmJob(
      grpc::CallbackServerContext* context, const coordinator::v1::ControlWarmJobRequest* request,
      coordinator::v1::ControlWarmJobResponse* response) override;
  grpc::ServerUnaryReactor* ListWarmSources(
      grpc::CallbackServerContext* context, const coordinator::v1::ListWarmSourcesRequest* request,
      coordinator::v1::ListWarmSourcesResponse* response) override;
  grpc::ServerUnaryReactor* ExplainPrediction(
      grpc::CallbackServerContext* context,
      const coordinator::v1::ExplainPredictionRequest* request,
      coordinator::v1::ExplainPredictionResponse* response) override;
  grpc::ServerUnaryReactor* ReportEvents(grpc::CallbackServerContext* context,
                                         const coordinator::v1::ReportEventsRequest* request,
                                         coordinator::v1::ReportEventsResponse* response) override;
  grpc::ServerUnaryReactor* ListHotKeys(grpc::CallbackServerContext* context,
                                        const coordinator::v1::ListHotKeysRequest* request,
                                        coordinator::v1::ListHotKeysResponse* response) override;

  grpc::ServerUnaryReactor* ListAlerts(grpc::CallbackServerContext* context,
                                       const coordinator::v1::ListAlertsRequest* request,
                                       coordinator::v1::ListAlertsResponse* response) override;
  grpc::ServerUnaryReactor* ListRecommendations(
      grpc::CallbackServerContext* context,
      const coordinator::v1::ListRecommendationsRequest* request,
      coordinator::v1::ListRecommendationsResponse* response) override;

  grpc::ServerUnaryReactor* GetAnalytics(grpc::CallbackServerContext* context,
                                         const coordinator::v1::GetAnalyticsRequest* request,
                                         coordinator::v1::GetAnalyticsResponse* response) override;

  grpc::ServerUnaryReactor* AcquireRolloutTicket(
      grpc::CallbackServerContext* context,
      const coordinator::v1::AcquireRolloutTicketRequest* request,
      coordinator::v1::AcquireRolloutTicketResponse* response) override;

  grpc::ServerUnaryReactor* ApplyPolicy(grpc::CallbackServerContext* context,
                                        const coordinator::v1::ApplyPolicyRequest* request,
                                        coordinator::v1::ApplyPolicyResponse* response) override;
  grpc::ServerUnaryReactor* GetPolicy(grpc::CallbackServerContext* context,
                                      const coordinator::v1::GetPolicyRequest* request,
                                      coordinator::v1::GetPolicyResponse* response) override;
  grpc::ServerUnaryReactor* ListRollouts(grpc::CallbackServerContext* context,
                                         const coordinator::v1::ListRolloutsRequest* request,
                                         coordinator::v1::ListRolloutsResponse* response) override;
  grpc::ServerUnaryReactor* ControlRollout(
      grpc::CallbackServerContext* context, const coordinator::v1::ControlRolloutRequest* request,
      coordinator::v1::ControlRolloutResponse* response) override;

 private:
  void FillStatus(coordinator::v1::GetStatusResponse* response) const;

  // Runs `call` on the executor, where the leader is known; refuses when another leads.
  grpc::ServerUnaryReactor* OnLeader(grpc::CallbackServerContext* context,
                                     std::function<void(grpc::ServerUnaryReactor*)> call);

  Coordinator& coordinator_;     // Not owned; outlives this.
  Warmer& warmer_;               // Not owned; outlives this.
  HotKeyLead& hot_keys_;         // Not owned; outlives this.
  PredictionLead& prediction_;   // Not owned; outlives this.
  RolloutLead& rollouts_;        // Not owned; outlives this.
  const AlertBook& alerts_;      // Not owned; outlives this.
  const Advisor& advisor_;       // Not owned; outlives this.
  TicketLead& tickets_;          // Not owned; outlives this.
  ClusterAnalytics& analytics_;  // Not owned; outlives this.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_COORDINATOR_SERVICE_H_
