#include "server/figures/namespace_goals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "server/figures/alert_rules.h"
#include "server/figures/overview_json.h"
#include "server/figures/recommendations.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

constexpr uint64_t kFew = kFewReadsToJudge;

// A region whose node has counted this from `at` on, one step a call.
class NamespaceGoalsTest : public testing::Test {
 protected:
  NamespaceGoalsTest() { figures_.SetNodes({Follow("n1")}, {}); }

  void At(absl::Duration at, const ReadCounts& reads) {
    now_ = at;
    admin::v1::GetFiguresResponse answer = Answer("n1");
    AddReads("task", reads, &answer);
    SetGoals(0.9, 0.002, 0.002, &answer);  // Reads(): L1 answers in 1 ms, L2 in 4 ms.
    figures_.Take("n1", answer, now_);
    figures_.Tick(now_, Wall());
  }
  absl::Time Wall() const { return absl::FromUnixSeconds(1'800'000'000) + now_; }

  nlohmann::ordered_json OnThePage() const {
    return OverviewJson(figures_, {}, now_, Wall())["namespaces"][0];
  }
  std::string Verdict(const char* goal) const { return OnThePage()["verdicts"][goal]; }
  bool IsAlert(const std::string& name) const {
    const std::vector<AlertCondition> all = Conditions(figures_, {}, now_, Wall());
    return std::any_of(all.begin(), all.end(),
                       [&name](const AlertCondition& one) { return one.name == name; });
  }
  bool IsRecommended() const {
    const auto all = Recommendations({.figures = figures_, .now = now_});
    return std::any_of(all.begin(), all.end(),
                       [](const auto& one) { return one.name() == "hit_rate_below_goal"; });
  }

  RegionFigures figures_;
  absl::Duration now_;
};

TEST_F(NamespaceGoalsTest, AGoalIsMissedFromSoManyReadsOnAndNotWhereItIsMetExactly) {
  EXPECT_FALSE(JudgeHitRate(Reads(0, 0, kFew - 1), 0.9).IsMissed());
  EXPECT_TRUE(JudgeHitRate(Reads(0, 0, kFew), 0.9).IsMissed());
  EXPECT_FALSE(JudgeHitRate(Reads(900, 0, 100), 0.9).IsMissed());
  EXPECT_FALSE(JudgeHitRate(Reads(0, 0, kFew), 0).IsMissed()) << "there is none";
  EXPECT_FALSE(JudgeLatency(Latency(kFew - 1, 40), 0.005).IsMissed());
  EXPECT_TRUE(JudgeLatency(Latency(kFew, 40), 0.005).IsMissed());
  const double p95 = Latency(kFew, 4).Quantile(0.95);
  EXPECT_FALSE(JudgeLatency(Latency(kFew, 4), p95).IsMissed());
}

// Whatever was read: about as many as are needed, of L1, L2 and misses.
TEST_F(NamespaceGoalsTest, AlertRecommendationAndPageSayTheSame) {
  int missed = 0, reached = 0, few = 0;
  for (const auto& [l1, l2, misses] : {std::tuple<uint64_t, uint64_t, uint64_t>{0, 0, 0},
                                       {kFew - 1, 0, 0},
                                       {kFew, 0, 0},
                                       {kFew - 20, 0, 19},
                                       {kFew - 20, 0, 20},
                                       {0, kFew - 1, 1},
                                       {0, kFew, 1},
                                       {300, 10, 180},
                                       {300, kFew, 200},
                                       {3000, kFew, 10}}) {
    figures_.Clear();
    figures_.SetNodes({Follow("n1")}, {});
    At(absl::ZeroDuration(), Reads(0, 0, 0));
    At(absl::Seconds(20), Reads(l1, l2, misses));
    SCOPED_TRACE(testing::Message() << l1 << " " << l2 << " " << misses);
    EXPECT_EQ(IsAlert("MeridianLowHitRate"), Verdict("hit_rate") == "missed");
    EXPECT_EQ(IsRecommended(), Verdict("hit_rate") == "missed");
    EXPECT_EQ(IsAlert("MeridianSlowReads"), Verdict("l2_p95_ms") == "missed");
    EXPECT_EQ(Verdict("l1_p95_ms"), l1 < kFew ? "too_few_reads" : "reached");
    for (const char* goal : {"hit_rate", "l2_p95_ms"}) {
      missed += Verdict(goal) == "missed" ? 1 : 0;
      reached += Verdict(goal) == "reached" ? 1 : 0;
      few += Verdict(goal) == "too_few_reads" ? 1 : 0;
    }
  }
  EXPECT_GE(missed, 5);
  EXPECT_GE(reached, 3);
  EXPECT_GE(few, 5);
}

// The figures beside it are of the last minute.
TEST_F(NamespaceGoalsTest, WhatIsJudgedIsThatOfFiveMinutesNotOfTheLastOne) {
  At(absl::ZeroDuration(), Reads(0, 0, 0));
  At(absl::Seconds(10), Reads(0, 0, 1000));
  for (int i = 2; i <= 12; ++i) At(i * absl::Seconds(10), Reads(500, 0, 1000));
  EXPECT_TRUE(OnThePage()["hit_rate"].is_null());
  EXPECT_NEAR(OnThePage()["judged"]["hit_rate"].get<double>(), 1.0 / 3, 1e-9);
  EXPECT_EQ(Verdict("hit_rate"), "missed");
  EXPECT_TRUE(IsAlert("MeridianLowHitRate"));
  for (int i = 13; i <= 40; ++i) At(i * absl::Seconds(10), Reads(500, 0, 1000));
  EXPECT_TRUE(OnThePage()["judged"]["hit_rate"].is_null());
  EXPECT_EQ(Verdict("hit_rate"), "too_few_reads");
  EXPECT_FALSE(IsAlert("MeridianLowHitRate"));
}

}  // namespace
}  // namespace meridian
