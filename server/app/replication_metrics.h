// ReplicationMetrics is what a node tells of replication, at /metrics and in the log. Thread
// safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_APP_REPLICATION_METRICS_H_
#define MERIDIAN_SERVER_APP_REPLICATION_METRICS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/telemetry/metric_registry.h"
#include "server/node/slot_horizons.h"
#include "server/replication/replication_link.h"
#include "server/replication/replication_observer.h"
#include "server/replication/staleness_sampler.h"
#include "server/replication/store_upkeep.h"

namespace meridian {

// Adds what the sampler has seen.
void AddStalenessMetrics(MetricRegistry& registry, std::function<StalenessReport()> report);

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
  void OnGone(const std::string& target, bool removal) override;
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
  CounterFamily& gone_;
  Counter& tail_errors_;
  Counter& tail_gaps_;
  Counter& lost_;
  CounterFamily& recovered_;
  Counter& clock_skew_;
  std::atomic<int64_t> next_skew_log_ms_{0};  // Monotonic: there may be one with every change.
};

// How many slots are fenced; see SlotFencer. `horizons` outlives the registry's reads.
void AddHorizonMetrics(MetricRegistry& registry, const SlotHorizons& horizons);

// What is measured of the regional store; see StoreUpkeep.
void AddStoreUseMetrics(MetricRegistry& registry, std::function<StoreUse()> use);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_REPLICATION_METRICS_H_
