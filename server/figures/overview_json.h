// The JSON of /v1/cluster/overview (docs/http_api.md), made of RegionFigures.
//
// Cost: some ms for ten nodes, ten namespaces and 15 minutes. Thread safety: a pure function.

#ifndef MERIDIAN_SERVER_FIGURES_OVERVIEW_JSON_H_
#define MERIDIAN_SERVER_FIGURES_OVERVIEW_JSON_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/time.h"
#include "server/figures/analytics.h"
#include "server/figures/region_figures.h"

namespace meridian {

// What the figures do not know.
struct OverviewFrame {
  std::string region = {};
  std::string coordinator = {};
  uint64_t epoch = 0;
  absl::Duration uptime = {};
  UnitCosts costs = {};
  size_t alerts_pending = 0;
  size_t alerts_firing = 0;
  size_t alerts_critical = 0;  // Of those that fire.
  size_t recommendations = 0;
};

// "JOINING" and so on, as the pages have it.
const char* StateName(MemberState state);

nlohmann::ordered_json OverviewJson(const RegionFigures& figures, const OverviewFrame& frame,
                                    absl::Duration now, absl::Time wall);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_OVERVIEW_JSON_H_
