// What a region's nodes have counted of their reads (RegionFigures), as the guards of a rollout
// look at it.
//
// Thread safety: a pure function.

#ifndef MERIDIAN_SERVER_COORDINATOR_ROLLOUT_FIGURES_H_
#define MERIDIAN_SERVER_COORDINATOR_ROLLOUT_FIGURES_H_

#include <optional>

#include "absl/time/time.h"
#include "server/figures/region_figures.h"
#include "server/rollout/version_figures.h"

namespace meridian {

// nullopt: no node has told anything yet.
std::optional<VersionFigures> FiguresByVersion(const RegionFigures& figures, absl::Duration now);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_ROLLOUT_FIGURES_H_
