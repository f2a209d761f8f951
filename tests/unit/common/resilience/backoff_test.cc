#include "common/resilience/backoff.h"

#include <cmath>
#include <random>

#include "gtest/gtest.h"

namespace meridian {
namespace {

TEST(BackoffTest, DoublesUpToTheMaximumAndStartsAgainAfterReset) {
  Backoff backoff({.initial = absl::Milliseconds(50), .max = absl::Milliseconds(300)});
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(50));
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(100));
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(200));
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(300));
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(300));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(50));
}

TEST(BackoffTest, EveryDelayStaysWithinItsJitterForAnyNumberOfAttempts) {
  const BackoffOptions options;
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  Backoff backoff(options);
  for (int attempt = 0; attempt < 10'000; ++attempt) {
    const double power = std::pow(options.multiplier, std::min(attempt, 60));
    const absl::Duration middle = std::min(options.max, options.initial * power);
    const absl::Duration delay = backoff.Next(uniform(random));
    ASSERT_GE(delay, middle * (1 - options.jitter)) << attempt;
    ASSERT_LE(delay, middle * (1 + options.jitter)) << attempt;
  }
}

}  // namespace
}  // namespace meridian
