#include "server/coordinator/prediction_calls.h"

#include <algorithm>

#include "common/rpc/error.h"
#include "server/node/limits.h"

namespace meridian {

std::vector<SampledAccess> FromProto(const coordinator::v1::AccessReport& report,
                                     absl::Duration now) {
  std::vector<SampledAccess> accesses;
  const int most = static_cast<int>(AccessSampler::kMaxKept);
  for (int i = std::max(report.accesses_size() - most, 0); i < report.accesses_size(); ++i) {
    const coordinator::v1::Access& access = report.accesses(i);
    if (access.caller() == 0 || limits::CheckNamespace(access.namespace_()) ||
        limits::CheckKey(access.key(), "accesses.key")) {
      continue;
    }
    accesses.push_back({access.namespace_(), access.key(), access.caller(),
                        now - absl::Milliseconds(access.age_ms())});
  }
  return accesses;
}

grpc::Status ExplainPrediction(const PredictionLead& prediction,
                               const coordinator::v1::ExplainPredictionRequest& request,
                               coordinator::v1::ExplainPredictionResponse* response) {
  auto error = limits::CheckNamespace(request.namespace_());
  if (!error) error = limits::CheckKey(request.key(), "key");
  if (error) return ToGrpcStatus(*error);
  const auto explanation = prediction.Explain(request.namespace_(), request.key());
  if (!explanation.ok()) return ToGrpcStatus(FromStatus(explanation.status()));
  response->set_confidence(explanation->confidence);
  response->set_threshold(explanation->threshold);
  for (const PredictionSignal& signal : explanation->signals) {
    coordinator::v1::PredictionSignal* const proto = response->add_signals();
    proto->set_signal(signal.signal);
    proto->set_confidence(signal.confidence);
    proto->set_evidence(signal.evidence);
  }
  return grpc::Status::OK;
}

}  // namespace meridian
