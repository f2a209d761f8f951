#include "server/app/rollout_metrics.h"

#include <vector>

namespace meridian {

void AddRolloutMetrics(const PolicyRollouts& rollouts, MetricRegistry& metrics) {
  metrics.AddGauge("meridian_policy_version",
                   "Version of the policies in force, of a rollout that of the other slots; 0: the "
                   "nodes' own files.",
                   [&rollouts] { return static_cast<double>(rollouts.counters().base_version); });
  metrics.AddGauge("meridian_rollout_percent",
                   "Share of the slots that try another version of the policies; 0: none does.",
                   [&rollouts] { return static_cast<double>(rollouts.counters().trial_percent); });
  metrics.AddCallbackCounters(
      {"meridian_rollouts_total",
       "Rollouts of policies, by what became of them: started, done, rolled_back.",
       {"event"}},
      [&rollouts]() -> std::vector<MetricSample> {
        const RolloutCounters counters = rollouts.counters();
        return {{{"started"}, static_cast<double>(counters.started)},
                {{"done"}, static_cast<double>(counters.done)},
                {{"rolled_back"}, static_cast<double>(counters.rolled_back)}};
      });
  metrics.AddCallbackCounters(
      {"meridian_rollout_breaches_total", "Rollouts that a guard has taken back."},
      [&rollouts]() -> std::vector<MetricSample> {
        return {{{}, static_cast<double>(rollouts.counters().breaches)}};
      });
}

}  // namespace meridian
