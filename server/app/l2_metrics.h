// L2Metrics is what a node tells of its connections to the regions' Redises: at /metrics, and in
// the log. Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_APP_L2_METRICS_H_
#define MERIDIAN_SERVER_APP_L2_METRICS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/telemetry/metric_registry.h"
#include "server/l2/l2_observer.h"
#include "server/node/l2_store.h"
#include "server/node/l2_usage.h"

namespace meridian {

class L2Metrics {
 public:
  explicit L2Metrics(MetricRegistry& registry);
  ~L2Metrics();
  // The observer of a region's connections. Lives as long as this.
  L2Observer& For(const std::string& region);
  // Breaker and connection states at every scrape. `stores` must be callable as long as `registry`.
  void AddStates(MetricRegistry& registry,
                 std::function<std::vector<std::pair<std::string, L2Health>>()> stores);

 private:
  class RegionObserver;
  HistogramFamily& durations_;
  CounterFamily& errors_;
  CounterFamily& reconnects_;
  CounterFamily& redirects_;
  CounterFamily& replica_reads_;
  CounterFamily& primary_changes_;
  std::vector<std::unique_ptr<RegionObserver>> observers_;
};

// What the servers of a region's Redis use, as far as it is known. `usage` must be callable as long
// as `registry`.
void AddL2UsageMetrics(MetricRegistry& registry, const std::string& region,
                       std::function<std::optional<L2Usage>()> usage);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_L2_METRICS_H_
