#include "server/coordinator/rollout_figures.h"

#include <cstddef>

namespace meridian {
namespace {

void AddCounts(const HistogramSnapshot& from, std::vector<uint64_t>* to) {
  for (size_t i = 0; i < from.counts.size(); ++i) (*to)[i] += from.counts[i];
}

}  // namespace

std::optional<VersionFigures> FiguresByVersion(const RegionFigures& figures, absl::Duration now) {
  VersionFigures result;
  bool any = false;
  for (const auto& [id, node] : figures.nodes()) {
    if (!node.is_member) continue;
    any |= node.answered.has_value();
    result.complete &= node.answered.has_value() && node.IsAlive(now);
  }
  if (!any) return std::nullopt;
  result.latency_bounds = LatencyBounds();
  for (const auto& [key, counts] : figures.counts().reads) {
    VersionReads& reads = result.table[key];
    reads.hits = counts.hits();
    reads.misses = counts.miss.count();
    reads.errors = counts.errors;
    reads.latency.resize(result.latency_bounds.size() + 1);
    for (const HistogramSnapshot* tier : {&counts.l1, &counts.l2, &counts.miss}) {
      AddCounts(*tier, &reads.latency);
    }
  }
  return result;
}

}  // namespace meridian
