// CoordinatorServer's gRPC face: thin handlers that check, ask the Coordinator and answer.
//
// What is not built yet answers UNIMPLEMENTED with reason NOT_BUILT.
// Thread safety: gRPC's threads call it concurrently. REQUIRES: the coordinator and its executor
// outlive the server that this is registered on.

#ifndef MERIDIAN_SERVER_COORDINATOR_COORDINATOR_SERVICE_H_
#define MERIDIAN_SERVER_COORDINATOR_COORDINATOR_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "server/coordinator/coordinator.h"

namespace meridian {

class CoordinatorServiceHandler final
    : public coordinator::v1::CoordinatorService::CallbackService {
 public:
  explicit CoordinatorServiceHandler(Coordinator& coordinator) : coordinator_(coordinator) {}

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

#define MERIDIAN_NOT_BUILT(Call)                                                       \
  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context,                 \
                                 const coordinator::v1::Call##Request* request,        \
                                 coordinator::v1::Call##Response* response) override { \
    return NotBuilt(context, #Call);                                                   \
  }
  MERIDIAN_NOT_BUILT(ReportEvents)
  MERIDIAN_NOT_BUILT(ListWarmJobs)
  MERIDIAN_NOT_BUILT(RunWarmJob)
  MERIDIAN_NOT_BUILT(ControlWarmJob)
  MERIDIAN_NOT_BUILT(ExplainPrediction)
  MERIDIAN_NOT_BUILT(ApplyPolicy)
  MERIDIAN_NOT_BUILT(ListRollouts)
  MERIDIAN_NOT_BUILT(ControlRollout)
  MERIDIAN_NOT_BUILT(AcquireRolloutTicket)
  MERIDIAN_NOT_BUILT(ListAlerts)
  MERIDIAN_NOT_BUILT(ListHotKeys)
#undef MERIDIAN_NOT_BUILT

 private:
  static grpc::ServerUnaryReactor* NotBuilt(grpc::CallbackServerContext* context, const char* call);
  void FillStatus(coordinator::v1::GetStatusResponse* response) const;

  Coordinator& coordinator_;  // Not owned; outlives this.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_COORDINATOR_SERVICE_H_
