#include "server/rpc/rpc_metrics.h"

#include "common/rpc/error.h"

namespace meridian {
namespace {

constexpr std::string_view kNames[] = {"Get",        "BatchGet",        "Set",  "BatchSet",
                                       "Invalidate", "BatchInvalidate", "Touch"};

// As the alert MeridianErrors.
bool IsFailure(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::DATA_LOSS:
      return true;
    default:
      return false;
  }
}

}  // namespace

RpcMetrics::RpcMetrics(MetricRegistry& registry)
    : requests_(registry.AddCounters({"meridian_requests_total",
                                      "Calls of CacheService by method, gRPC code and namespace.",
                                      {"method", "code", "namespace"}})),
      warm_reads_(registry.AddCounters(
          {"meridian_warm_reads_total", "Keys that warming asked this node for.", {"namespace"}})) {
  HistogramFamily& durations =
      registry.AddHistograms({"meridian_request_duration_seconds",
                              "Time from a call's arrival to its answer, by method.",
                              {"method"}});
  for (size_t i = 0; i < kMethods; ++i) durations_[i] = &durations.With({kNames[i]});
}

void RpcMetrics::OnCall(RpcMethod method, std::string_view name_space, grpc::StatusCode code,
                        absl::Duration duration) {
  const size_t index = static_cast<size_t>(method);
  const bool refused = code == grpc::StatusCode::INVALID_ARGUMENT;
  requests_.With({kNames[index], CodeName(code), refused ? "" : name_space}).Add();
  durations_[index]->Observe(duration);
  calls_.fetch_add(1, std::memory_order_relaxed);
  if (IsFailure(code)) failed_.fetch_add(1, std::memory_order_relaxed);
}

void RpcMetrics::OnWarmRead(std::string_view name_space, size_t keys) {
  warm_reads_.With({name_space}).Add(keys);
}

CallCounts RpcMetrics::Counts() const {
  CallCounts counts;
  counts.failed = failed_.load(std::memory_order_relaxed);
  counts.calls = calls();
  for (const Histogram* durations : durations_) counts.latency += durations->Snapshot();
  return counts;
}

}  // namespace meridian
