#include "server/app/warming_metrics.h"

#include <vector>

namespace meridian {

void AddWarmingMetrics(const Warmer& warmer, MetricRegistry& metrics) {
  metrics.AddGauges(
      {"meridian_warm_jobs", "Warm jobs of the leader that are not over, by state.", {"state"}},
      [&warmer]() -> std::vector<MetricSample> {
        const WarmQueue::Totals jobs = warmer.counters().jobs;
        return {{{"queued"}, static_cast<double>(jobs.queued)},
                {{"running"}, static_cast<double>(jobs.running)},
                {{"paused"}, static_cast<double>(jobs.paused)}};
      });
  metrics.AddGauge("meridian_warm_keys_left", "Keys that the warm jobs have still to read.",
                   [&warmer] { return static_cast<double>(warmer.counters().jobs.keys_left); });
  metrics.AddGauge("meridian_warm_reads_limit",
                   "Reads of warm jobs that the nodes' load allows at once; 0: paused.",
                   [&warmer] { return static_cast<double>(warmer.counters().reads_at_once); });
}

}  // namespace meridian
