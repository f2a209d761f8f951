// What a node says of the entries that were warmed (AdminService.GetFigures), for Warmer.
//
// Thread safety: a pure function.

#ifndef MERIDIAN_SERVER_COORDINATOR_WARM_FIGURES_H_
#define MERIDIAN_SERVER_COORDINATOR_WARM_FIGURES_H_

#include "meridian/admin/v1/admin_service.pb.h"
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

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_WARM_FIGURES_H_
