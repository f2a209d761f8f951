// RpcMetrics counts the calls of CacheService: requests by method, code and namespace, and how long
// they took by method. Reads that warm are not among them: nobody waits for those. Cost of OnCall:
// two lookups of a series, some 200 ns a call, whatever its batch. Thread safety: OnCall may be
// called concurrently.

#ifndef MERIDIAN_SERVER_RPC_RPC_METRICS_H_
#define MERIDIAN_SERVER_RPC_RPC_METRICS_H_

#include <grpcpp/support/status.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "common/telemetry/metric_registry.h"

namespace meridian {

enum class RpcMethod { kGet, kBatchGet, kSet, kBatchSet, kInvalidate, kBatchInvalidate, kTouch };

// All calls so far.
struct CallCounts {
  uint64_t calls = 0;
  uint64_t failed = 0;  // Not through the caller's fault.
  HistogramSnapshot latency;
};

class RpcMetrics {
 public:
  // `registry` is not owned and outlives this.
  explicit RpcMetrics(MetricRegistry& registry);

  // A refused call (INVALID_ARGUMENT) is counted under the namespace "", because its name may be
  // anything.
  void OnCall(RpcMethod method, std::string_view name_space, grpc::StatusCode code,
              absl::Duration duration);

  // Keys of a call that warms, at the node that was called.
  void OnWarmRead(std::string_view name_space, size_t keys);

  // All calls so far.
  uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  CallCounts Counts() const;

 private:
  static constexpr size_t kMethods = 7;
  std::atomic<uint64_t> calls_{0};
  std::atomic<uint64_t> failed_{0};
  CounterFamily& requests_;
  CounterFamily& warm_reads_;
  std::array<Histogram*, kMethods> durations_;  // Owned by the registry.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_RPC_METRICS_H_
