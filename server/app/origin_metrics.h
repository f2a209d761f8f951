// OriginMetrics is what a node tells of misses at /metrics: origins, leases, who waits.
// docs/metrics.md lists every name. Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_APP_ORIGIN_METRICS_H_
#define MERIDIAN_SERVER_APP_ORIGIN_METRICS_H_

#include <string_view>

#include "common/telemetry/metric_registry.h"
#include "server/node/miss_path.h"
#include "server/node/node_context.h"
#include "server/origin/origin_loader.h"

namespace meridian {

class OriginMetrics final : public OriginObserver {
 public:
  explicit OriginMetrics(MetricRegistry& registry);

  void OnCall(std::string_view name_space, absl::Duration took) override;

 private:
  HistogramFamily& durations_;
};

// What is asked for at every scrape. Nothing is owned; all outlive `registry`'s last use.
void AddOriginMetrics(const NodeContext& context, const OriginLoader& origins,
                      const MissPath& misses, MetricRegistry& registry);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_ORIGIN_METRICS_H_
