// What nodes say of the entries that were warmed (AdminService.GetFigures), for Warmer; and what
// warming counts, for alerts.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_COORDINATOR_WARM_FIGURES_H_
#define MERIDIAN_SERVER_COORDINATOR_WARM_FIGURES_H_

#include <functional>
#include <string>
#include <vector>

#include "meridian/admin/v1/admin_service.pb.h"
#include "server/figures/alert_rules.h"
#include "server/figures/region_figures.h"
#include "server/warming/warm_metrics.h"
#include "server/warming/warm_sources.h"

namespace meridian {

inline WarmFigures WarmFiguresOf(const admin::v1::GetFiguresResponse& figures) {
  WarmFigures result;
  result.incarnation = figures.incarnation();
  for (const admin::v1::WarmedFigures& row : figures.warmed()) {
    result.warmed.push_back({row.source(), row.namespace_(), row.warmed_entries(),
                             row.used_entries(), row.unused_entries(), row.displaced_entries()});
  }
  for (const admin::v1::NamespaceFigures& row : figures.namespaces()) {
    result.requests[row.namespace_()] += row.l1_hits() + row.l2_hits() + row.misses();
  }
  return result;
}

// Tells `report` what every member says that is alive: of one that is not, its last answer says no
// longer what is in its memory.
inline void ReportWarmFigures(
    const RegionFigures& figures, absl::Duration now,
    const std::function<void(const std::string& node, const WarmFigures&)>& report) {
  for (const auto& [id, node] : figures.nodes()) {
    if (node.answered && node.IsAlive(now)) report(id, WarmFiguresOf(node.figures));
  }
}

inline WarmCounts WarmCountsOf(const WarmMetrics& metrics,
                               const std::vector<WarmSources::View>& sources) {
  WarmCounts counts;
  metrics.keys.ForEach([&counts](const std::vector<std::string>& labels, const Counter& counter) {
    WarmedKeys& keys = counts.namespaces[labels[0]];
    keys.all += counter.value();
    if (labels[2] == "failed" || labels[2] == "late") keys.failed += counter.value();
  });
  for (const WarmSources::View& source : sources) {
    WarmedKeys& keys = counts.namespaces[source.name_space];
    keys.used += source.outcomes.used - source.earlier.used;
    keys.unused += source.outcomes.unused - source.earlier.unused;
  }
  return counts;
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_WARM_FIGURES_H_
