#include "server/coordinator/rollout_figures.h"

#include "common/telemetry/fine_latency.h"

namespace meridian {

std::optional<VersionFigures> FiguresByVersion(const RegionFigures& figures, absl::Duration now) {
  VersionFigures result;
  bool any = false;
  for (const auto& [id, node] : figures.nodes()) {
    if (!node.is_member) continue;
    any |= node.answered.has_value();
    result.complete &= node.answered.has_value() && node.IsAlive(now);
  }
  if (!any) return std::nullopt;
  result.latency_bounds = FineLatencyBounds();
  for (const auto& [key, counts] : figures.counts().reads) {
    VersionReads& reads = result.table[key];
    reads.hits = counts.hits();
    reads.misses = counts.miss.count();
    reads.errors = counts.errors;
    reads.latency = figures.read_times().Of(key);
  }
  return result;
}

}  // namespace meridian
