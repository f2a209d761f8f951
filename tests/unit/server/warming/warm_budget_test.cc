#include "server/warming/warm_budget.h"

#include <algorithm>
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

// Whatever it brings: net of what was used it never loses more than the credit and the probes.
TEST(WarmBudgetTest, Requirement2_10_OnCreditPrecisionIsHalfOrMoreWhereverItSpends) {
  constexpr WarmBudgetOptions kOptions{
      .ceiling = 1000, .first = 10, .probe_share = 0.0005, .credit = 50};
  for (const uint64_t used : {0u, 1000u, 3000u, 4500u, 5500u, 7000u, 9000u}) {
    Source source(kOptions);
    source.RunFor(absl::Hours(1), {.used = used});
    const auto warmed = static_cast<double>(source.outcomes.warmed);
    const auto hits = static_cast<double>(source.outcomes.used);
    const double probes = kOptions.probe_share * 1000 * 3600;
    EXPECT_GE(hits, warmed - hits - kOptions.credit - 1.5 * probes) << used;
    EXPECT_EQ(warmed > 100'000, used > 5000) << used << " " << warmed;
    if (used > 5000) continue;
    EXPECT_LT(warmed, 0.001 * 1000 * 3600) << used << ": more than it probes with";
  }
}

TEST(WarmBudgetTest, OnCreditNoMoreWaitsThanWhatItMayLose) {
  Source source({.ceiling = 1000, .first = 1000, .credit = 50});
  source.RunFor(absl::Minutes(10), {.waiting = 10'000});
  // The floor goes on: 0.05 % of 1000 requests a second.
  EXPECT_LE(source.outcomes.warmed, 50u + 300 + 20);
  EXPECT_EQ(source.budget.rate(), source.budget.floor());
  source.outcomes.used = source.outcomes.warmed;  // It was right after all.
  source.RunFor(kStep, {.used = 10'000});
  EXPECT_GT(source.budget.rate(), 50);
}

// Growth is paid for: a source that was found to be in vain grows by what it gains, not by the
// steps of a large ceiling.
TEST(WarmBudgetTest, WhoIsTrustedIsOnCreditFromTheFirstVerdictAgainstItOn) {
  constexpr WarmBudgetOptions kOptions{
      .ceiling = 1000, .first = 1000, .credit = 100, .trusted = true};
  for (const uint64_t used : {0u, 2000u, 4500u}) {
    Source source(kOptions);
    source.RunFor(kStep, {.used = used}, 100);
    EXPECT_EQ(source.outcomes.warmed, 5000u) << "trusted at first";
    const WarmOutcomes before = source.outcomes;
    source.RunFor(absl::Hours(3), {.used = used}, 100);
    const auto hits = static_cast<double>(source.outcomes.used - before.used);
    const auto vain = static_cast<double>(source.outcomes.unused - before.unused);
    const double probes = kOptions.probe_share * 100 * 3 * 3600;
    EXPECT_GT(hits + vain, 0.9 * probes) << used << ": it goes on probing";
    EXPECT_LE(vain - hits, kOptions.credit + 1.5 * probes) << used;
    EXPECT_LT(hits + vain, 0.01 * 100 * 3 * 3600) << used << ": of the requests";
  }
}

TEST(WarmBudgetTest, WhoIsTrustedMayBringInAllThatItsCeilingAllowsUntilThen) {
  Source source({.ceiling = 1000, .first = 1000, .credit = 100, .trusted = true});
  source.RunFor(absl::Minutes(10), {.waiting = 10'000});
  EXPECT_EQ(source.outcomes.warmed, 600'000u);
}

TEST(WarmBudgetTest, TrustIsEarnedBackAtTheCeiling) {
  Source source({.ceiling = 200, .first = 200, .credit = 100, .trusted = true});
  source.RunFor(absl::Minutes(5), {.used = 1000});
  EXPECT_FALSE(source.budget.memory().is_trusted);
  EXPECT_LT(source.budget.rate(), 1);
  source.RunFor(absl::Minutes(20), {.used = 9000});
  EXPECT_TRUE(source.budget.memory().is_trusted);
  EXPECT_TRUE(source.budget.at_ceiling());
  // Nobody trusts what nobody has configured.
  Source prediction({.ceiling = 200, .first = 10, .credit = 50});
  prediction.RunFor(absl::Minutes(20), {.used = 9000});
  EXPECT_TRUE(prediction.budget.at_ceiling());
  EXPECT_FALSE(prediction.budget.memory().is_trusted);
}

// A large loss at once is not carried for days: beyond the credit a quarter of it is, at most.
TEST(WarmBudgetTest, ADebtIsForgivenSlowly) {
  const auto debt_after = [](absl::Duration time, double requests) {
    WarmBudget budget({.ceiling = 1000, .first = 1000, .credit = 100, .trusted = true},
                      absl::ZeroDuration());
    const WarmOutcomes outcomes{5000, 0, 5000, 0, 0};
    absl::Duration now = kStep;
    budget.Update(outcomes, requests, now);
    EXPECT_EQ(budget.memory().gained, -125);
    while (now < time) budget.Update(outcomes, requests, now += kStep);
    const double debt = -budget.memory().gained;
    EXPECT_EQ(budget.rate() > budget.floor(), debt < 99.9) << debt;
    return debt;
  };
  EXPECT_NEAR(debt_after(absl::Hours(1), 1000), 62.5, 0.1);
  EXPECT_NEAR(debt_after(absl::Hours(2), 1000), 31.25, 0.1);
  // The floor reads 18 keys an hour.
  EXPECT_NEAR(debt_after(absl::Hours(1), 10), 116, 0.1);
  EXPECT_NEAR(debt_after(absl::Hours(2), 10), 107, 0.1);
  EXPECT_NEAR(debt_after(absl::Hours(4), 10), 89, 0.1);
}

TEST(WarmBudgetTest, WhatWaitsIsNoVerdictForTheNextLeader) {
  Source source({.ceiling = 1000, .first = 500, .credit = 50});
  source.RunFor(absl::Minutes(1), {.waiting = 10'000});
  EXPECT_LT(source.budget.rate(), 10);
  EXPECT_EQ(source.budget.memory().rate, 500);
}

TEST(WarmBudgetTest, TheNextLeaderGoesOnWithIt) {
  WarmBudget budget({.ceiling = 100, .first = 100}, absl::ZeroDuration());
  const WarmOutcomes outcomes{1000, 10, 900, 0, 0};
  budget.Restore({.rate = 3}, outcomes, absl::ZeroDuration());
  EXPECT_EQ(budget.rate(), 3);
  budget.Update(outcomes, 0, kStep);
  EXPECT_EQ(budget.rate(), 3) << "what was judged is judged again";
  budget.Restore({.rate = 1e9}, outcomes, absl::ZeroDuration());
  EXPECT_EQ(budget.rate(), 100) << "another configuration";
}

TEST(WarmBudgetTest, TheNextLeaderGoesOnWithItsCredit) {
  const WarmBudgetOptions options{.ceiling = 1000, .first = 1000, .credit = 50};
  const WarmOutcomes outcomes{1000, 450, 530, 0, 0};  // 20 wait.
  const auto room = [&](double gained) {
    WarmBudget budget(options, absl::ZeroDuration());
    budget.Restore({.rate = 1000, .gained = gained}, outcomes, absl::ZeroDuration());
    EXPECT_EQ(budget.memory().gained, std::clamp(gained, -62.5, 450.0));
    return budget.rate() * absl::ToDoubleSeconds(kStep);
  };
  EXPECT_DOUBLE_EQ(room(0), 30);
  EXPECT_DOUBLE_EQ(room(100), 130);
  EXPECT_LT(room(-30), 0.1) << "it begins anew with all its credit";
  EXPECT_LT(room(-1e300), 0.1);
  EXPECT_DOUBLE_EQ(room(1e300), 480) << "nobody has gained more than was used";
}

}  // namespace
}  // namespace meridian
