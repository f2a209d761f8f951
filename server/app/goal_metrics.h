// What the policies ask of the namespaces, as gauges: what alerts compare with.
//
// Thread safety: may be called concurrently with all else.

#ifndef MERIDIAN_SERVER_APP_GOAL_METRICS_H_
#define MERIDIAN_SERVER_APP_GOAL_METRICS_H_

#include "common/telemetry/metric_registry.h"
#include "server/node/node_context.h"

namespace meridian {

// meridian_cache_hit_goal_ratio, meridian_read_duration_goal_seconds: of the namespaces that were
// read, by the policies in force; without a goal there is no sample. `context` outlives
// `registry`'s last use.
void AddGoalMetrics(const NodeContext& context, MetricRegistry& registry);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_GOAL_METRICS_H_
