// Analytics: what nodes have counted, under the names that dashboards of before use (requirements
// 3-01 to 3-06, docs/http_api.md), of one node, of many, or of many regions together.
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

struct AnalyticsSum {
  UnitCosts costs = {};
  absl::Time now = {};
  double hit_rate_goal = 0;  // Of the namespace that is asked for; 0: it has none.
};

// The analytics of regions, added up: averages are weighted by their counts, a TTL is one that all
// have alike.
admin::v1::GetAnalyticsResponse SumOf(std::span<const admin::v1::GetAnalyticsResponse> regions,
                                      const AnalyticsSum& how);

// What a hit rate (0..1) means, for people: by its goal, or without one (0) by requirements 3-05
// and 3-15.
std::string HitRateAdvice(double hit_rate, double goal = 0);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ANALYTICS_H_
