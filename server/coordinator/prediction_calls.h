// Prediction on the wire: what nodes report of their callers' reads, and why a key is expected.
//
// Thread safety: as PredictionLead.

#ifndef MERIDIAN_SERVER_COORDINATOR_PREDICTION_CALLS_H_
#define MERIDIAN_SERVER_COORDINATOR_PREDICTION_CALLS_H_

#include <grpcpp/support/status.h>

#include <vector>

#include "absl/time/time.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/coordinator/prediction_lead.h"

namespace meridian {

// Those that are valid of the last AccessSampler::kMaxKept, as of `now` on the monotonic clock.
std::vector<SampledAccess> FromProto(const coordinator::v1::AccessReport& report,
                                     absl::Duration now);

grpc::Status ExplainPrediction(const PredictionLead& prediction,
                               const coordinator::v1::ExplainPredictionRequest& request,
                               coordinator::v1::ExplainPredictionResponse* response);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_PREDICTION_CALLS_H_
