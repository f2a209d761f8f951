// Analytics: what nodes have counted, under the names that dashboards of before use (requirements
// 3-01 to 3-06, docs/http_api.md), of one node or of many together.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_FIGURES_ANALYTICS_H_
#define MERIDIAN_SERVER_FIGURES_ANALYTICS_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "meridian/admin/v1/admin_service.pb.h"

namespace meridian {

// What things cost.
struct UnitCosts {
  double origin_query = 0;    // Of one query that an origin is asked; 0: not known.
  std::string currency = {};  // Such as "USD".
};

struct AnalyticsQuestion {
  std::string_view name_space = {};        // Empty: all together.
  std::optional<absl::Duration> ttl = {};  // That the policy gives; nullopt: not known, NaN then.
  UnitCosts costs = {};
  absl::Time now = {};
};

// The figures of one or several nodes, added up.
admin::v1::GetAnalyticsResponse AnalyticsOf(std::span<const admin::v1::GetFiguresResponse> nodes,
                                            const AnalyticsQuestion& question);

// What a hit rate (0..1) means by requirements 3-05 and 3-15, for people.
std::string HitRateAdvice(double hit_rate);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ANALYTICS_H_
