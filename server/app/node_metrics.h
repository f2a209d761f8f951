// What a node tells at /metrics of its cache, policies and watchers; its calls are in
// server/rpc/rpc_metrics.h, Redis and replication in l2_metrics.h and replication_metrics.h.
// docs/metrics.md lists every name. Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_APP_NODE_METRICS_H_
#define MERIDIAN_SERVER_APP_NODE_METRICS_H_

#include "common/telemetry/metric_registry.h"
#include "server/membership/update_reporter.h"
#include "server/node/node_context.h"
#include "server/peer/mirror_cache.h"
#include "server/policy/policy_store.h"
#include "server/rpc/watch_streams.h"

namespace meridian {

// L1, tiers, ring: read at every scrape. Nothing is owned; `context` outlives `registry`'s last
// use.
void AddNodeMetrics(const NodeContext& context, MetricRegistry& registry);

// meridian_watch_*. As above.
void AddWatchMetrics(const WatchHub& hub, const WatchStreams& streams, MetricRegistry& registry);

// meridian_mirror_*. As above.
void AddMirrorMetrics(const MirrorCache& mirrors, MetricRegistry& registry);

// meridian_policy_*. As above.
void AddPolicyMetrics(const PolicyStore& store, MetricRegistry& registry);

// meridian_updates_total. As above.
void AddUpdateMetrics(const UpdateReporter& reporter, MetricRegistry& registry);

// meridian_build_info.
void AddBuildInfo(MetricRegistry& registry);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_NODE_METRICS_H_
