#include "server/policy/ttl_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "server/policy/volatility.h"

namespace meridian {
namespace {

using absl::Seconds;

// 2-05, type task.
NamespacePolicy Task() {
  NamespacePolicy policy;
  policy.ttl = Seconds(600);
  policy.volatility = {true, 1.0, 0.7, 0.4, Seconds(60), Seconds(300), Seconds(600)};
  return policy;
}

// 0-08: 45 s in L1, 120 s when hot, 20 s when cold.
NamespacePolicy Persona() {
  NamespacePolicy policy;
  policy.ttl = Seconds(300);
  policy.l1_ttl = Seconds(45);
  policy.adaptive_ttl.enabled = true;
  return policy;
}

absl::Duration Ttl(const NamespacePolicy& policy, const TtlFacts& facts) {
  return TtlFor(policy, facts).ttl;
}

TtlFacts Hits(uint32_t hits) { return TtlFacts{.hits = hits}; }
TtlFacts Score(double score) { return TtlFacts{.volatility = score}; }

TEST(TtlRulesTest, TheNamespacesTtlUnlessTheWriterGaveOne) {
  NamespacePolicy policy;
  policy.ttl = Seconds(300);
  EXPECT_EQ(Ttl(policy, {}), Seconds(300));
  EXPECT_EQ(TtlFor(policy, {}).cause, TtlCause::kNamespace);
  EXPECT_EQ(Ttl(policy, {.explicit_ttl = Seconds(7)}), Seconds(7));
  EXPECT_EQ(TtlFor(policy, {.explicit_ttl = Seconds(7)}).cause, TtlCause::kWriter);
}

// 4-02: 60 s while in progress, else 300 s.
TEST(TtlRulesTest, AStateHasItsTtlAndOthersHaveTheNamespaces) {
  NamespacePolicy policy;
  policy.ttl = Seconds(300);
  policy.ttl_by_state = {{"in_progress", Seconds(60)}};
  EXPECT_EQ(Ttl(policy, {.state = "in_progress"}), Seconds(60));
  EXPECT_EQ(TtlFor(policy, {.state = "in_progress"}).cause, TtlCause::kState);
  EXPECT_EQ(Ttl(policy, {.state = "completed"}), Seconds(300));
  EXPECT_EQ(Ttl(policy, {}), Seconds(300));
  EXPECT_EQ(Ttl(policy, {.explicit_ttl = Seconds(9), .state = "in_progress"}), Seconds(9));
}

// 2-05 and 2-06: the score selects the column; nothing known is the middle one.
TEST(TtlRulesTest, TheScoreSelectsTheColumnOfTheMatrix) {
  const NamespacePolicy policy = Task();
  EXPECT_EQ(Ttl(policy, Score(0.9)), Seconds(60));
  EXPECT_EQ(Ttl(policy, Score(0.5)), Seconds(300));
  EXPECT_EQ(Ttl(policy, Score(0.2)), Seconds(600));
  EXPECT_EQ(Ttl(policy, {}), Seconds(300));
  EXPECT_EQ(TtlFor(policy, Score(0.9)).cause, TtlCause::kVolatility);
  EXPECT_EQ(TtlFor(policy, Score(0.2)).cause, TtlCause::kNamespace);
}

TEST(TtlRulesTest, AStateCannotOutliveTheVolatilityCap) {
  NamespacePolicy policy = Task();
  policy.ttl_by_state = {{"done", Seconds(900)}, {"busy", Seconds(10)}};
  EXPECT_EQ(Ttl(policy, {.state = "done", .volatility = 0.9}), Seconds(60));
  EXPECT_EQ(Ttl(policy, {.state = "busy", .volatility = 0.9}), Seconds(10));
}

TEST(TtlRulesTest, BoundsHoldForWhatThePolicyGivesOnly) {
  NamespacePolicy policy = Task();
  policy.ttl_min = Seconds(100);
  policy.ttl_max = Seconds(500);
  EXPECT_EQ(Ttl(policy, Score(0.9)), Seconds(100));
  EXPECT_EQ(TtlFor(policy, Score(0.9)).cause, TtlCause::kMinimum);
  EXPECT_EQ(Ttl(policy, Score(0.1)), Seconds(500));
  EXPECT_EQ(TtlFor(policy, Score(0.1)).cause, TtlCause::kMaximum);
  EXPECT_EQ(Ttl(policy, {.explicit_ttl = Seconds(1), .volatility = 0.1}), Seconds(1));
  EXPECT_EQ(Ttl(policy, {.explicit_ttl = Seconds(9000), .volatility = 0.9}), Seconds(9000));
}

// 0-08: > 50 hits 120 s, < 5 hits 20 s, else 45 s.
TEST(TtlRulesTest, HitsMoveTheLifeInL1) {
  const NamespacePolicy policy = Persona();
  const absl::Duration left = Seconds(300);
  EXPECT_EQ(L1TtlFor(policy, {}, left), Seconds(45));
  EXPECT_EQ(L1TtlFor(policy, Hits(0), left), Seconds(20));
  EXPECT_EQ(L1TtlFor(policy, Hits(4), left), Seconds(20));
  EXPECT_EQ(L1TtlFor(policy, Hits(5), left), Seconds(45));
  EXPECT_EQ(L1TtlFor(policy, Hits(50), left), Seconds(45));
  EXPECT_EQ(L1TtlFor(policy, Hits(51), left), Seconds(120));
  EXPECT_EQ(L1TtlFor(policy, Hits(51), Seconds(80)), Seconds(80)) << "never longer than it lives";
}

TEST(TtlRulesTest, WithoutAnL1TtlAValueIsKeptAsLongAsItLives) {
  const NamespacePolicy policy;
  EXPECT_EQ(L1TtlFor(policy, {}, Seconds(7)), Seconds(7));
  EXPECT_EQ(L1TtlFor(policy, Hits(1000), Seconds(7)), Seconds(7));
  EXPECT_EQ(L1TtlFor(policy, Hits(0), Seconds(7)), Seconds(7));
}

// Where the sources disagree (3): a hot key lives longer, volatile data shorter; volatility wins.
TEST(TtlRulesTest, AVolatileKeyIsNeverLifted) {
  NamespacePolicy policy = Persona();
  policy.volatility = {true, 1.0, 0.7, 0.4, Seconds(100), Seconds(110), Seconds(600)};
  EXPECT_EQ(L1TtlFor(policy, {.volatility = 0.9, .hits = 51}, Seconds(300)), Seconds(45));
  EXPECT_EQ(L1TtlFor(policy, {.volatility = 0.5, .hits = 51}, Seconds(300)), Seconds(110));
  EXPECT_EQ(L1TtlFor(policy, {.volatility = 0.1, .hits = 51}, Seconds(300)), Seconds(120));
  EXPECT_EQ(L1TtlFor(policy, {.hits = 51}, Seconds(300)), Seconds(110)) << "unknown is medium";
  EXPECT_EQ(L1TtlFor(policy, {.volatility = 0.9, .hits = 1}, Seconds(300)), Seconds(20));
}

NamespacePolicy RandomPolicy(std::mt19937_64& random) {
  const auto pick = [&random](int64_t low, int64_t high) {
    return Seconds(std::uniform_int_distribution<int64_t>(low, high)(random));
  };
  NamespacePolicy policy;
  policy.ttl = pick(1, 1000);
  policy.l1_ttl =
      random() % 2 == 0 ? absl::ZeroDuration() : pick(1, absl::ToInt64Seconds(policy.ttl));
  policy.ttl_min = pick(1, absl::ToInt64Seconds(policy.ttl));
  policy.ttl_max = pick(absl::ToInt64Seconds(policy.ttl), 2000);
  policy.ttl_by_state = {{"a", pick(1, 1000)}, {"b", pick(1, 1000)}};
  policy.ttl_jitter = std::uniform_real_distribution<double>(0, 0.5)(random);
  policy.volatility.enabled = random() % 2 == 0;
  policy.volatility.high = pick(1, 300);
  policy.volatility.medium = policy.volatility.high + pick(0, 300);
  policy.volatility.low = policy.volatility.medium + pick(0, 300);
  policy.adaptive_ttl.enabled = random() % 2 == 0;
  return policy;
}

TtlFacts RandomFacts(std::mt19937_64& random) {
  constexpr std::string_view kStates[] = {"", "a", "b", "unknown"};
  TtlFacts facts;
  facts.state = kStates[random() % 4];
  if (random() % 4 != 0) facts.volatility = std::uniform_real_distribution<double>(0, 1)(random);
  if (random() % 4 != 0) facts.hits = static_cast<uint32_t>(random() % 100);
  return facts;
}

TEST(TtlRulesPropertyTest, BoundsAndCapsHoldForAnyPolicyAndFacts) {
  std::mt19937_64 random(20251018);
  for (int i = 0; i < 100'000; ++i) {
    const NamespacePolicy policy = RandomPolicy(random);
    const TtlFacts facts = RandomFacts(random);
    const absl::Duration ttl = Ttl(policy, facts);
    EXPECT_GE(ttl, policy.ttl_min);
    EXPECT_LE(ttl, policy.ttl_max);
    const absl::Duration remaining = Seconds(1 + static_cast<int64_t>(random() % 1000));
    const absl::Duration l1 = L1TtlFor(policy, facts, remaining);
    EXPECT_GT(l1, absl::ZeroDuration());
    EXPECT_LE(l1, remaining);
    if (policy.volatility.enabled && facts.volatility) {
      const absl::Duration cap =
          VolatilityCap(policy.volatility, VolatilityClassOf(policy.volatility, *facts.volatility));
      EXPECT_LE(ttl, std::max(cap, policy.ttl_min));
      EXPECT_LE(l1, cap) << "a boost never lifts above the cap";
    }
  }
}

TEST(TtlRulesPropertyTest, MoreVolatileIsNeverLongerAndMoreHitsNeverShorter) {
  std::mt19937_64 random(42);
  for (int i = 0; i < 100'000; ++i) {
    const NamespacePolicy policy = RandomPolicy(random);
    TtlFacts facts = RandomFacts(random);
    facts.volatility = std::uniform_real_distribution<double>(0, 1)(random);
    facts.hits = static_cast<uint32_t>(random() % 100);
    TtlFacts more_volatile = facts;
    *more_volatile.volatility = std::min(1.0, *facts.volatility + 0.3);
    TtlFacts hotter = facts;
    *hotter.hits += static_cast<uint32_t>(random() % 100);
    const absl::Duration remaining = Seconds(500);
    EXPECT_LE(Ttl(policy, more_volatile), Ttl(policy, facts));
    EXPECT_LE(L1TtlFor(policy, more_volatile, remaining), L1TtlFor(policy, facts, remaining));
    EXPECT_GE(L1TtlFor(policy, hotter, remaining), L1TtlFor(policy, facts, remaining));
  }
}

TEST(TtlRulesPropertyTest, JitterOnlyShortensAndAtMostByItsShare) {
  std::mt19937_64 random(99);
  NamespacePolicy policy;
  for (int i = 0; i < 100'000; ++i) {
    policy.ttl_jitter = std::uniform_real_distribution<double>(0, 1)(random);
    const absl::Duration ttl = absl::Milliseconds(1 + static_cast<int64_t>(random() % 1'000'000));
    const absl::Duration jittered = WithJitter(policy, ttl, random());
    EXPECT_LE(jittered, ttl);
    EXPECT_GE(jittered, std::min(ttl, absl::Milliseconds(1)));
    EXPECT_GE(jittered, ttl - ttl * policy.ttl_jitter - absl::Nanoseconds(1));
  }
  policy.ttl_jitter = 0;
  EXPECT_EQ(WithJitter(policy, Seconds(300), ~uint64_t{0}), Seconds(300));
}

TEST(TtlRulesTest, JitterSpreadsOverItsWholeShare) {
  NamespacePolicy policy;
  policy.ttl_jitter = 0.1;
  EXPECT_EQ(WithJitter(policy, Seconds(100), 0), Seconds(100));
  EXPECT_EQ(WithJitter(policy, Seconds(100), uint64_t{1} << 63), Seconds(95));
  EXPECT_LT(WithJitter(policy, Seconds(100), ~uint64_t{0}), absl::Milliseconds(90'001));
}

TEST(TtlRulesTest, RefreshAheadIsAShareOrADuration) {
  NamespacePolicy policy;
  EXPECT_EQ(RefreshAhead(policy, Seconds(60)), absl::ZeroDuration());
  policy.refresh.ahead_share = 0.2;
  EXPECT_EQ(RefreshAhead(policy, Seconds(60)), Seconds(12));
  policy.refresh = {0, Seconds(10)};
  EXPECT_EQ(RefreshAhead(policy, Seconds(60)), Seconds(10));
  EXPECT_EQ(RefreshAhead(policy, Seconds(5)), Seconds(5)) << "not before it was loaded";
}

// 2-05 "Hot/Warm": the TTL says where a value starts.
TEST(TtlRulesTest, AValueStartsInTheFirstPoolWhoseLifeItFits) {
  NamespacePolicy policy;
  EXPECT_EQ(PoolFor(policy, Seconds(1)), std::nullopt);
  policy.pools = {{.tier = "hot", .ttl_max = Seconds(300)},
                  {.tier = "warm", .ttl_max = Seconds(1800)}};
  EXPECT_EQ(PoolFor(policy, Seconds(60)), 0u);
  EXPECT_EQ(PoolFor(policy, Seconds(300)), 0u);
  EXPECT_EQ(PoolFor(policy, Seconds(600)), 1u);
  EXPECT_EQ(PoolFor(policy, Seconds(9999)), 1u);
}

TEST(TtlRulesTest, WeightIsPriorityAndCost) {
  NamespacePolicy policy;
  EXPECT_EQ(WeightOf(policy), 0);
  policy.priority = Priority::kCritical;
  EXPECT_EQ(WeightOf(policy), 2);
  policy.cost = 8;
  EXPECT_EQ(WeightOf(policy), 3) << "at most 3";
  policy.priority = Priority::kLow;
  EXPECT_EQ(WeightOf(policy), 2);
  policy.cost = 0.125;
  EXPECT_EQ(WeightOf(policy), -3) << "at least -3";
}

}  // namespace
}  // namespace meridian
