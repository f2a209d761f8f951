#include "server/warming/warm_budget.h"

#include <cmath>
#include <cstdint>

#include "gtest/gtest.h"

namespace meridian {
namespace {

constexpr absl::Duration kStep = absl::Seconds(5);

// A source that spends all of its budget, and what becomes of what it brings.
class Source {
 public:
  explicit Source(WarmBudgetOptions options) : budget(options, now) {}

  // Of each ten thousand entries that it brings so many are used, displace, and never end.
  struct Traffic {
    uint64_t used = 0;
    uint64_t displaced = 0;
    uint64_t waiting = 0;
  };
  void RunFor(absl::Duration time, Traffic traffic, double requests = 1000) {
    for (absl::Duration passed; passed < time; passed += kStep) {
      now += kStep;
      left_ += budget.rate() * absl::ToDoubleSeconds(kStep);
      const double whole = std::floor(left_);
      left_ -= whole;
      for (uint64_t i = 0; i < static_cast<uint64_t>(whole); ++i) {
        random_ = random_ * 6364136223846793005 + 1442695040888963407;
        const uint64_t dice = (random_ >> 33) % 10'000;
        ++outcomes.warmed;
        if (dice < traffic.used) {
          ++outcomes.used;
        } else if (dice < traffic.used + traffic.waiting) {
        } else {
          ++outcomes.unused;
        }
        random_ = random_ * 6364136223846793005 + 1442695040888963407;
        if ((random_ >> 33) % 10'000 < traffic.displaced) ++outcomes.displaced;
      }
      budget.Update(outcomes, requests, now);
    }
  }

  absl::Duration now = absl::Hours(1);
  WarmBudget budget;
  WarmOutcomes outcomes;

 private:
  double left_ = 0;
  uint64_t random_ = 1;
};

TEST(WarmBudgetTest, OnRandomTrafficItFallsToAlmostNothing) {
  Source source({.ceiling = 1000, .first = 1000});
  source.RunFor(absl::Minutes(10), {.used = 200});
  EXPECT_DOUBLE_EQ(source.budget.rate(), source.budget.floor());
  const uint64_t before = source.outcomes.warmed;
  source.RunFor(absl::Hours(1), {.used = 200});
  const double spent = static_cast<double>(source.outcomes.warmed - before);
  EXPECT_LT(spent / (1000 * 3600), 0.01) << "of the requests";
  EXPECT_GT(spent, 0) << "it goes on probing";
  EXPECT_NEAR(*source.budget.precision(), 0.02, 0.02);
  EXPECT_LT(source.budget.net_benefit(), -0.9);
}

TEST(WarmBudgetTest, AUsefulSourceGrowsToItsCeilingAndStaysThere) {
  Source source({.ceiling = 500, .first = 20});
  source.RunFor(absl::Minutes(10), {.used = 8000});
  EXPECT_TRUE(source.budget.at_ceiling());
  EXPECT_NEAR(*source.budget.precision(), 0.8, 0.05);
  EXPECT_NEAR(source.budget.net_benefit(), 0.6, 0.1);
}

TEST(WarmBudgetTest, ASourceThatBecomesUsefulIsFoundOutAndOneThatIsNoMoreIsNot) {
  Source source({.ceiling = 500, .first = 500});
  source.RunFor(absl::Minutes(10), {.used = 100});
  EXPECT_LT(source.budget.rate(), 10);
  source.RunFor(absl::Minutes(10), {.used = 9000});
  EXPECT_TRUE(source.budget.at_ceiling());
  source.RunFor(absl::Minutes(10), {.used = 100});
  EXPECT_LT(source.budget.rate(), 10);
}

TEST(WarmBudgetTest, WhereItSpendsMoreThanHalfIsUsed) {
  for (const uint64_t used : {1000u, 3000u, 4500u, 5500u, 7000u, 9000u}) {
    Source source({.ceiling = 500, .first = 100});
    source.RunFor(absl::Hours(1), {.used = used});
    EXPECT_EQ(source.budget.rate() > 100, used > 5000) << used;
  }
}

TEST(WarmBudgetTest, VictimsThatAreAskedForAgainCostAsMuch) {
  Source source({.ceiling = 500, .first = 500});
  source.RunFor(absl::Minutes(10), {.used = 8000, .displaced = 9000});
  EXPECT_LT(source.budget.rate(), 10);
  EXPECT_LT(source.budget.net_benefit(), 0);
}

TEST(WarmBudgetTest, WhatNobodyAsksForIsInVainWhenItsTimeIsOverThoughItIsStillThere) {
  Source source({.ceiling = 100, .first = 100, .patience = absl::Minutes(5)});
  source.RunFor(absl::Minutes(4), {.waiting = 10'000});
  EXPECT_TRUE(source.budget.at_ceiling()) << "nothing is known yet";
  EXPECT_FALSE(source.budget.precision().has_value());
  source.RunFor(absl::Minutes(6), {.waiting = 10'000});
  EXPECT_LT(source.budget.rate(), 10);
  EXPECT_LT(*source.budget.precision(), 0.01);
}

TEST(WarmBudgetTest, WhatIsUsedLateWasNotInVainAfterAll) {
  WarmBudget budget({.ceiling = 100, .first = 100, .verdict = 1e9, .patience = absl::Minutes(2)},
                    absl::ZeroDuration());
  WarmOutcomes outcomes;
  outcomes.warmed = 100;
  absl::Duration now;
  for (int i = 0; i < 60; ++i) budget.Update(outcomes, 0, now += kStep);
  EXPECT_LT(budget.net_benefit(), -0.9);
  outcomes.used = 100;
  budget.Update(outcomes, 0, now += kStep);
  EXPECT_GT(budget.net_benefit(), 0.9);
}

TEST(WarmBudgetTest, WhatIsLostWithItsNodeIsNotInVain) {
  WarmBudget budget({.ceiling = 100, .first = 100, .patience = absl::Minutes(2)},
                    absl::ZeroDuration());
  WarmOutcomes outcomes;
  outcomes.warmed = outcomes.lost = 1000;
  absl::Duration now;
  for (int i = 0; i < 120; ++i) budget.Update(outcomes, 0, now += kStep);
  EXPECT_TRUE(budget.at_ceiling());
}

TEST(WarmBudgetTest, TheNextLeaderGoesOnWithIt) {
  WarmBudget budget({.ceiling = 100, .first = 100}, absl::ZeroDuration());
  const WarmOutcomes outcomes{1000, 10, 900, 0, 0};
  budget.Restore(3, outcomes, absl::ZeroDuration());
  EXPECT_EQ(budget.rate(), 3);
  budget.Update(outcomes, 0, kStep);
  EXPECT_EQ(budget.rate(), 3) << "what was judged is judged again";
  budget.Restore(1e9, outcomes, absl::ZeroDuration());
  EXPECT_EQ(budget.rate(), 100) << "another configuration";
}

}  // namespace
}  // namespace meridian
