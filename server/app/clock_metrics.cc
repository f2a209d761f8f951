#include "server/app/clock_metrics.h"

#include <utility>

#include "absl/time/time.h"

namespace meridian {

void AddClockMetrics(std::function<bool()> refused,
                     std::function<std::vector<ClockOffset>()> offsets, MetricRegistry& registry) {
  registry.AddGauge("meridian_clock_refused",
                    "1 while this clock is more than 60 s off: a node gives no versions, a "
                    "coordinator does not lead; else 0.",
                    [refused = std::move(refused)] { return refused() ? 1.0 : 0.0; });
  registry.AddGauges(
      {"meridian_clock_offset_seconds", "How far this clock is ahead of another's.", {"reference"}},
      [offsets = std::move(offsets)] {
        std::vector<MetricSample> samples;
        for (const ClockOffset& offset : offsets()) {
          samples.push_back({{offset.reference}, absl::ToDoubleSeconds(offset.ahead)});
        }
        return samples;
      });
}

}  // namespace meridian
