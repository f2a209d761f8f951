// Recommendations says what would make the cache better, from what nodes have counted and what they
// predict for the traffic that they have seen: hit rates (requirements 3-05, 3-15), TTL, size,
// compression, promotion, hot keys, uneven load, a Redis that is too large (0-04), namespaces that
// should be selective (4-04).
//
// Promise: silent when there is nothing to say; nothing is said of fewer than kFewReadsToRecommend
//   reads in the last 5 minutes (of a goal: kFewReadsToJudge, as the alert); what is predicted is
//   passed on only when a replay of things as they are comes near what was measured.
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_FIGURES_RECOMMENDATIONS_H_
#define MERIDIAN_SERVER_FIGURES_RECOMMENDATIONS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/cluster/hot_key.h"
#include "meridian/admin/v1/admin_service.pb.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/figures/region_figures.h"

namespace meridian {

// What nodes answer to a question "what if", together: means by their reads.
class WhatIfSum {
 public:
  void Add(const admin::v1::WhatIfRequest& asked, const admin::v1::WhatIfResponse& answer);

  bool empty() const { return requests_ == 0; }
  uint64_t requests() const { return requests_; }
  double hit_rate() const { return Mean(hit_rate_); }  // Of L1, as are the next two.
  double replayed() const { return Mean(replayed_); }
  double predicted() const { return Mean(predicted_); }
  // The replay of things as they are is near what was measured.
  bool IsSure() const;
  // Points of the hit rate, 0..1.
  double Gain() const { return predicted() - hit_rate(); }

  const admin::v1::WhatIfRequest& asked() const { return asked_; }
  absl::Duration present_ttl() const { return present_ttl_; }

 private:
  double Mean(double sum) const {
    return requests_ == 0 ? 0 : sum / static_cast<double>(requests_);
  }

  admin::v1::WhatIfRequest asked_;
  uint64_t requests_ = 0;
  double hit_rate_ = 0;
  double replayed_ = 0;
  double predicted_ = 0;
  absl::Duration present_ttl_;
};

// What is known of a namespace beside its counts.
struct NamespaceForecast {
  std::vector<WhatIfSum> longer_ttl;  // Ascending by TTL.
  std::optional<WhatIfSum> larger;    // With twice the memory.
};

struct RecommendationInputs {
  const RegionFigures& figures;
  absl::Duration now;
  std::map<std::string, NamespaceForecast> forecasts = {};
  std::vector<HotKey> hot_keys = {};  // Hottest first.
};

inline constexpr uint64_t kFewReadsToRecommend = 500;

// Critical first.
std::vector<coordinator::v1::Recommendation> Recommendations(const RecommendationInputs& inputs);

// The namespaces of which it is worth to ask "what if": low hit rates first, at most `limit`.
std::vector<std::string> DoubtfulNamespaces(const RegionFigures& figures, size_t limit);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_RECOMMENDATIONS_H_
