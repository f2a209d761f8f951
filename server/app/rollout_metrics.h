// The metrics of rollouts of policies.
//
// Thread safety: AddRolloutMetrics is called once; what it adds may be collected by any thread.

#ifndef MERIDIAN_SERVER_APP_ROLLOUT_METRICS_H_
#define MERIDIAN_SERVER_APP_ROLLOUT_METRICS_H_

#include "common/telemetry/metric_registry.h"
#include "server/rollout/policy_rollouts.h"

namespace meridian {

// `rollouts` outlives the last scrape.
void AddRolloutMetrics(const PolicyRollouts& rollouts, MetricRegistry& metrics);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_ROLLOUT_METRICS_H_
