// What /metrics says of a process' clock and those of others.
// Thread safety: AddClockMetrics is called once; what it adds may be collected by any thread.

#ifndef MERIDIAN_SERVER_APP_CLOCK_METRICS_H_
#define MERIDIAN_SERVER_APP_CLOCK_METRICS_H_

#include <functional>
#include <vector>

#include "common/telemetry/metric_registry.h"
#include "server/node/clock_guard.h"

namespace meridian {

// `refused`: whether the clock is too far off for what this process does.
void AddClockMetrics(std::function<bool()> refused,
                     std::function<std::vector<ClockOffset>()> offsets, MetricRegistry& registry);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_CLOCK_METRICS_H_
