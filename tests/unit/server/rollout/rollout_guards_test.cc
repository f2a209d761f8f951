#include "server/rollout/rollout_guards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/telemetry/fine_latency.h"
#include "server/rollout/rollout_plan.h"

namespace meridian {
namespace {

using coordinator::v1::GuardReading;
using coordinator::v1::RolloutGuards;
using testing::HasSubstr;

const std::vector<double> kBounds = {0.001, 0.002, 0.004, 0.008, 0.016};

// So many reads with these shares; all are as fast as `slow` says: the share that takes 4..8 ms,
// the others 1..2 ms.
VersionReads Reads(uint64_t reads, double hit_rate, double errors = 0, double slow = 0) {
  VersionReads made;
  const double n = static_cast<double>(reads);
  made.errors = static_cast<uint64_t>(n * errors);
  made.hits = static_cast<uint64_t>(static_cast<double>(reads - made.errors) * hit_rate);
  made.misses = reads - made.errors - made.hits;
  const auto slower = static_cast<uint64_t>(n * slow);
  made.latency = {0, reads - slower, 0, slower};
  return made;
}

RolloutGuards Guards() { return ShippedPlan().guards(); }

GuardReading Judge(const char* guard, const VersionReads& trial, const VersionReads& base,
                   const RolloutGuards& guards = Guards()) {
  for (const GuardReading& reading : JudgeReads("task", trial, base, kBounds, guards)) {
    if (reading.guard() == guard) return reading;
  }
  ADD_FAILURE() << guard;
  return {};
}

TEST(RolloutGuardsTest, Requirement0_21_AHitRateFarBelowTheOthersIsABreach) {
  const GuardReading reading = Judge("hit_rate", Reads(5000, 0.6), Reads(50'000, 0.95));
  EXPECT_TRUE(reading.breached());
  EXPECT_NEAR(reading.trial(), 0.6, 1e-9);
  EXPECT_NEAR(reading.limit(), 0.9, 1e-9);
  EXPECT_EQ(reading.reads(), 5000u);
  EXPECT_FALSE(Judge("hit_rate", Reads(5000, 0.93), Reads(50'000, 0.95)).breached());
  EXPECT_FALSE(Judge("hit_rate", Reads(5000, 0.99), Reads(50'000, 0.95)).breached());
  EXPECT_THAT(ReadingText(reading), HasSubstr("task: hit_rate 0.6, the others 0.95, bound 0.9"));
}

TEST(RolloutGuardsTest, Requirement0_21_AHitRateBelow80PercentIsABreachWhereThatIsTheFloor) {
  RolloutGuards guards = Guards();
  EXPECT_FALSE(Judge("hit_rate", Reads(5000, 0.7), Reads(50'000, 0.7), guards).breached());
  guards.set_min_hit_rate(0.8);
  EXPECT_TRUE(Judge("hit_rate", Reads(5000, 0.7), Reads(50'000, 0.7), guards).breached());
  EXPECT_TRUE(Judge("hit_rate", Reads(5000, 0.7), VersionReads(), guards).breached())
      << "a floor needs no others";
  EXPECT_FALSE(Judge("hit_rate", Reads(5000, 0.81), Reads(50'000, 0.82), guards).breached());
}

TEST(RolloutGuardsTest, Requirement0_21_AP99ThatRisesByMoreThanFivePercentIsABreach) {
  // p99 of the others is within 1..2 ms; of the trial 4 % take 4..8 ms.
  const GuardReading reading = Judge("p99", Reads(20'000, 1, 0, 0.04), Reads(20'000, 1, 0, 0.001));
  EXPECT_TRUE(reading.breached());
  EXPECT_GT(reading.trial(), 0.004);
  EXPECT_LT(reading.base(), 0.002);
  EXPECT_NEAR(reading.limit(), reading.base() * 1.05, 1e-9);
  EXPECT_FALSE(Judge("p99", Reads(20'000, 1, 0, 0.04), Reads(20'000, 1, 0, 0.04)).breached());
  EXPECT_FALSE(Judge("p99", Reads(20'000, 1, 0, 0), Reads(20'000, 1, 0, 0.04)).breached());
}

TEST(RolloutGuardsTest, Requirement0_21_AnyRiseOfErrorsIsABreach) {
  EXPECT_TRUE(Judge("errors", Reads(5000, 1, 0.01), Reads(50'000, 1)).breached());
  EXPECT_TRUE(Judge("errors", Reads(5000, 1, 0.002), Reads(50'000, 1)).breached()) << "10 in 5000";
  EXPECT_FALSE(Judge("errors", Reads(5000, 1, 0.01), Reads(50'000, 1, 0.01)).breached());
  EXPECT_FALSE(Judge("errors", Reads(5000, 1), Reads(50'000, 1, 0.01)).breached());
}

TEST(RolloutGuardsTest, FewReadsSayNothing) {
  for (const GuardReading& reading :
       JudgeReads("task", Reads(999, 0, 0.5, 1), Reads(50'000, 1), kBounds, Guards())) {
    EXPECT_FALSE(reading.sure()) << reading.guard();
    EXPECT_FALSE(reading.breached()) << reading.guard();
  }
}

// Reads that are drawn one by one: what is really equal is taken for worse never, in as many looks
// as a day of ten-second intervals has.
TEST(RolloutGuardsTest, ChanceTakesNothingBack) {
  std::mt19937 random(7);
  const auto drawn = [&](uint64_t reads) {
    const auto draw = [&](uint64_t n, double share) {
      return std::binomial_distribution<uint64_t>(n, share)(random);
    };
    VersionReads made;
    made.errors = draw(reads, 0.001);
    made.hits = draw(reads - made.errors, 0.9);
    made.misses = reads - made.errors - made.hits;
    const uint64_t slower = draw(reads, 0.011);
    made.latency = {0, reads - slower, 0, slower};
    return made;
  };
  RolloutGuards strict = Guards();
  strict.set_max_hit_rate_drop(0);
  strict.set_max_p99_rise(0);
  strict.set_min_reads(900);  // Reads that failed are neither hits nor misses.
  for (int look = 0; look < 8640; ++look) {
    for (const GuardReading& reading :
         JudgeReads("task", drawn(1000), drawn(9000), kBounds, strict)) {
      ASSERT_TRUE(reading.sure());
      ASSERT_FALSE(reading.breached()) << look << ": " << ReadingText(reading);
    }
  }
}

// Reads whose times are drawn, as nodes count them. `times` gives one in seconds.
template <typename Times>
VersionReads Timed(uint64_t reads, double factor, Times times) {
  VersionReads made;
  made.hits = reads;
  made.latency.resize(FineLatencyBounds().size() + 1);
  for (uint64_t i = 0; i < reads; ++i) ++made.latency[FineLatencyBucket(factor * times())];
  return made;
}

template <typename Times>
bool IsSeen(uint64_t reads, double factor, Times times) {
  const VersionReads trial = Timed(reads, factor, times);
  const VersionReads base = Timed(reads, 1, times);
  return JudgeReads("task", trial, base, FineLatencyBounds(), Guards())[1].breached();
}

// The whole of what the histogram leaves unknown shows where all reads take equally long.
TEST(RolloutGuardsTest, Requirement0_21_ARiseOfTenPercentIsSeenAndNoiseIsNotWhereverItLies) {
  for (double seconds = 60e-6; seconds < 4; seconds *= 1.007) {
    const auto times = [&] { return seconds; };
    EXPECT_TRUE(IsSeen(2000, 1.1, times)) << seconds;
    EXPECT_TRUE(IsSeen(2000, 1.5, times) || seconds * 1.5 > 5) << seconds;
    EXPECT_FALSE(IsSeen(2000, 1.02, times)) << seconds;
    EXPECT_FALSE(IsSeen(2000, 1 + kLeastWidth, times)) << seconds;
    EXPECT_FALSE(IsSeen(2000, 0.5, times)) << seconds;
  }
}

TEST(RolloutGuardsTest, Requirement0_21_ARiseIsSeenOfTimesThatDiffer) {
  std::mt19937 random(11);
  std::lognormal_distribution<double> spread(-6, 0.5);  // Median 2.5 ms, p99 8 ms.
  const auto times = [&] { return spread(random); };
  for (int look = 0; look < 3; ++look) {
    EXPECT_TRUE(IsSeen(200'000, 1.1, times));
    EXPECT_TRUE(IsSeen(2000, 1.5, times));
    EXPECT_FALSE(IsSeen(200'000, 1.02, times));
    EXPECT_FALSE(IsSeen(200'000, 1.0, times));
  }
  EXPECT_FALSE(IsSeen(2000, 1.1, times)) << "too few to be sure of so little";
}

TEST(RolloutGuardsTest, BelowTheFirstBoundNoRiseIsSeen) {
  EXPECT_FALSE(IsSeen(2000, 1.5, [] { return 20e-6; }));
}

// One batch of reads that fails together is as many failures as a version that makes one read in
// fifty fail: by counts alone the two cannot be told apart.
TEST(RolloutGuardsTest, ABurstThatStrikesTheTrialAloneIsTakenForItsFaultUnlessTheBoundIsWider) {
  EXPECT_TRUE(Judge("errors", Reads(5000, 1, 0.02), Reads(50'000, 1)).breached());
  RolloutGuards guards = Guards();
  guards.set_max_error_rise(0.02);
  EXPECT_FALSE(Judge("errors", Reads(5000, 1, 0.02), Reads(50'000, 1), guards).breached());
}

TEST(RolloutGuardsTest, AQuantileIsWithinItsBucket) {
  EXPECT_EQ(QuantileOf(VersionReads(), kBounds, 0.99), 0);
  EXPECT_NEAR(QuantileOf(Reads(1000, 1), kBounds, 0.5), 0.0015, 1e-9);
  VersionReads slow;
  slow.latency = {0, 0, 0, 0, 0, 10};  // Beyond all bounds.
  EXPECT_EQ(QuantileOf(slow, kBounds, 0.99), 0.016);
}

}  // namespace
}  // namespace meridian
