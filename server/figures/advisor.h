// Advisor asks nodes what another TTL or size would have brought to the namespaces whose hit rates
// are low, and keeps what they answered, for Recommendations.
//
// Bounded: kNamespaces at a time, of each kNodes nodes, one question after the other; a round each
// 15 s, and none while the last one is under way. An answer is kept for kKept.
// Thread safety: everything runs on the executor of the collector. REQUIRES: as FigureCollector.

#ifndef MERIDIAN_SERVER_FIGURES_ADVISOR_H_
#define MERIDIAN_SERVER_FIGURES_ADVISOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/figures/figure_collector.h"
#include "server/figures/recommendations.h"

namespace meridian {

class Advisor {
 public:
  static constexpr size_t kNamespaces = 3;
  static constexpr size_t kNodes = 4;
  static constexpr absl::Duration kRound = absl::Seconds(15);
  static constexpr absl::Duration kKept = absl::Minutes(2);
  static constexpr absl::Duration kTimeout = absl::Seconds(2);

  // Nothing is owned; all outlives this. `hot_keys`: hottest first; may be empty.
  Advisor(FigureCollector& collector, const Clock& clock, Executor& executor,
          FigureTransport& transport, std::function<std::vector<HotKey>()> hot_keys);

  // Of a namespace; empty: all, and what is about none.
  std::vector<coordinator::v1::Recommendation> Recommend(const std::string& name_space) const;

 private:
  struct Question {
    std::string address;
    admin::v1::WhatIfRequest request;
  };
  struct Kept {
    NamespaceForecast forecast;
    absl::Duration at;
  };

  void Look();
  // Asks the next one of those that wait.
  void AskNext();
  void Take(const Question& question, const absl::StatusOr<admin::v1::WhatIfResponse>& answer);
  // When the first answers have told how things are: what to ask about them.
  void AskMore(const Question& first, const admin::v1::WhatIfResponse& present);
  void EndRound();

  FigureCollector& collector_;
  const Clock& clock_;
  Executor& executor_;
  FigureTransport& transport_;
  const std::function<std::vector<HotKey>()> hot_keys_;
  std::map<std::string, Kept> kept_;

  // Of the round that is under way.
  bool asking_ = false;
  uint64_t round_ = 0;  // Answers to earlier rounds are late.
  absl::Duration next_round_ = -absl::InfiniteDuration();
  std::deque<Question> questions_;
  // By namespace, then by TTL asked (0: for more memory).
  std::map<std::string, std::map<uint64_t, WhatIfSum>> sums_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ADVISOR_H_
