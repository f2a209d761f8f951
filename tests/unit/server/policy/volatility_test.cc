// The volatility score (requirement 2-06) and the class that a score has.

#include "server/policy/volatility.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace meridian {
namespace {

TEST(VolatilityScoreTest, IsTheFormulaOf2_06) {
  // base * (1 + min(updates/10,1) + min(variance,1) + min(activity,1)) / 4, worked out by hand.
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {0, 0, 0}), 0.25);
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {5, 0, 0}), 0.375);
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {5, 0.5, 0.5}), 0.625);
  EXPECT_DOUBLE_EQ(VolatilityScore(0.8, {5, 0.5, 0.25}), 0.45);
  EXPECT_DOUBLE_EQ(VolatilityScore(0.3, {10, 1, 1}), 0.3);
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {10, 1, 1}), 1.0);
}

TEST(VolatilityScoreTest, EveryTermIsCutAt1) {
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {10, 0, 0}), VolatilityScore(1.0, {1e9, 0, 0}));
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {0, 1, 0}), VolatilityScore(1.0, {0, 7, 0}));
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {0, 0, 1}), VolatilityScore(1.0, {0, 0, 7}));
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {0, 0, 7}), 0.5);
}

TEST(VolatilityScoreTest, IsAtMost1) {
  EXPECT_DOUBLE_EQ(VolatilityScore(4.0, {0, 0, 0}), 1.0);
  EXPECT_DOUBLE_EQ(VolatilityScore(100.0, {10, 1, 1}), 1.0);
}

TEST(VolatilityScoreTest, NonsenseCountsAsNothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {-3, -1, -1}), 0.25);
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {nan, nan, nan}), 0.25);
  EXPECT_DOUBLE_EQ(VolatilityScore(0.0, {10, 1, 1}), 0.0);
  EXPECT_DOUBLE_EQ(VolatilityScore(1.0, {std::numeric_limits<double>::infinity(), 0, 0}), 0.5);
}

TEST(VolatilityScoreTest, NeverFallsWhenAFactRises) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> any(0, 20);
  for (int i = 0; i < 10'000; ++i) {
    const VolatilityFacts facts{any(random), any(random) / 10, any(random) / 10};
    VolatilityFacts more = facts;
    double* const terms[] = {&more.updates_24h, &more.access_variance, &more.user_activity};
    *terms[i % 3] += any(random);
    const double score = VolatilityScore(0.9, facts);
    EXPECT_LE(score, VolatilityScore(0.9, more));
    EXPECT_GE(score, 0.9 / 4);
    EXPECT_LE(score, 0.9);
  }
}

TEST(VolatilityClassTest, AThresholdBelongsToTheClassAbove) {
  VolatilityPolicy policy;
  policy.high = absl::Seconds(60);
  policy.medium = absl::Seconds(300);
  policy.low = absl::Seconds(600);
  const auto ttl = [&policy](double score) {
    return VolatilityCap(policy, VolatilityClassOf(policy, score));
  };
  EXPECT_EQ(ttl(1.0), absl::Seconds(60));
  EXPECT_EQ(ttl(0.7), absl::Seconds(60));
  EXPECT_EQ(ttl(0.69), absl::Seconds(300));
  EXPECT_EQ(ttl(0.4), absl::Seconds(300));
  EXPECT_EQ(ttl(0.39), absl::Seconds(600));
  EXPECT_EQ(ttl(0.0), absl::Seconds(600));
}

}  // namespace
}  // namespace meridian
