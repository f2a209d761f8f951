// NodeMetrics is what a node tells at /metrics, besides its calls (server/rpc/rpc_metrics.h).
// docs/metrics.md lists every name. Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_APP_NODE_METRICS_H_
#define MERIDIAN_SERVER_APP_NODE_METRICS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/telemetry/metric_registry.h"
#include "server/l2/l2_observer.h"
#include "server/node/node_context.h"
#include "server/policy/policy_store.h"
#include "server/replication/replication_link.h"
#include "server/replication/replication_observer.h"
#include "server/rpc/watch_streams.h"

namespace meridian {

// L1, tiers, ring: read at every scrape. Nothing is owned; `context` outlives `registry`'s last use.
void AddNodeMetrics(const NodeContext& context, MetricRegistry& registry);

// meridian_watch_*. As above.
void AddWatchMetrics(const WatchHub& hub, const WatchStreams& streams, MetricRegistry& registry);

// meridian_policy_*. As above.
void AddPolicyMetrics(const PolicyStore& store, MetricRegistry& registry);

// meridian_build_info.
void AddBuildInfo(MetricRegistry& registry);

// Counts the commands to one region's Redis.
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

// Counts what replication does.
class ReplicationMetrics final : public ReplicationObserver {
 public:
  // `regions`: names of all regions, to turn ids back into names.
  ReplicationMetrics(MetricRegistry& registry, std::string own_region,
                     const std::vector<std::string>& regions);
  void AddLinks(MetricRegistry& registry, std::function<std::vector<LinkStatus>()> links);

  void OnForeignChange(uint16_t region_id, absl::Duration lag) override;
  void OnApplied(const std::string& target, size_t applied, size_t stale) override;
  void OnLinkState(const std::string& target, LinkState state, const std::string& problem) override;
  void OnLinkGap(const std::string& target, uint32_t slot) override;
  void OnTargetLoss(const std::string& target, size_t slots) override;
  void OnDropped(const std::string& target, const absl::Status& why) override;
  void OnTailError(const absl::Status& status) override;
  void OnTailGap(uint32_t slot) override;
  void OnLostChanges(uint32_t slot, size_t count) override;
  void OnRecovered(size_t values, size_t removals) override;
  void OnOwnClock(const absl::Status& status) override;
  void OnClockSkew(const absl::Status& status) override;

 private:
  const std::string own_region_;
  std::vector<std::pair<uint16_t, Histogram*>> lags_;  // By region id; owned by the registry.
  CounterFamily& applied_;
  CounterFamily& link_gaps_;
  CounterFamily& target_losses_;
  CounterFamily& dropped_;
  Counter& tail_errors_;
  Counter& tail_gaps_;
  Counter& lost_;
  CounterFamily& recovered_;
  Counter& clock_skew_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_NODE_METRICS_H_
