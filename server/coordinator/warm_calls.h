// The calls of CoordinatorService about warm jobs and events: requests and errors of the wire on
// the one side, a Warmer on the other.
//
// Thread safety: as the functions of Warmer, on its executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_WARM_CALLS_H_
#define MERIDIAN_SERVER_COORDINATOR_WARM_CALLS_H_

#include <grpcpp/support/status.h>

#include <functional>

#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/warming/warmer.h"

namespace meridian {

using WarmCallDone = std::function<void(const grpc::Status&)>;

grpc::Status ListWarmJobs(const Warmer& warmer, const coordinator::v1::ListWarmJobsRequest& request,
                          coordinator::v1::ListWarmJobsResponse* response);

grpc::Status ListWarmSources(const Warmer& warmer,
                             const coordinator::v1::ListWarmSourcesRequest& request,
                             coordinator::v1::ListWarmSourcesResponse* response);

// `response` is filled when `done` gets OK; both outlive it.
void RunWarmJob(Warmer& warmer, const coordinator::v1::RunWarmJobRequest& request,
                coordinator::v1::RunWarmJobResponse* response, WarmCallDone done);
void ControlWarmJob(Warmer& warmer, const coordinator::v1::ControlWarmJobRequest& request,
                    coordinator::v1::ControlWarmJobResponse* response, WarmCallDone done);

void ReportEvents(Warmer& warmer, const coordinator::v1::ReportEventsRequest& request,
                  coordinator::v1::ReportEventsResponse* response, WarmCallDone done);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_WARM_CALLS_H_
