// The gauges of warming, which are asked for at every scrape; WarmMetrics has the counters.
//
// Thread safety: AddWarmingMetrics is called once; what it adds may be collected by any thread.

#ifndef MERIDIAN_SERVER_APP_WARMING_METRICS_H_
#define MERIDIAN_SERVER_APP_WARMING_METRICS_H_

#include "common/telemetry/metric_registry.h"
#include "server/coordinator/prediction_lead.h"
#include "server/policy/file_follower.h"
#include "server/warming/warmer.h"

namespace meridian {

// They outlive the last scrape.
void AddPredictionMetrics(const PredictionLead& prediction, MetricRegistry& metrics);
void AddWarmingMetrics(const Warmer& warmer, MetricRegistry& metrics);
void AddWarmSettingsMetrics(const FileFollower& settings, MetricRegistry& metrics);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_WARMING_METRICS_H_
