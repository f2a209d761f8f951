#include "server/warming/warm_pace.h"

#include "common/resilience/token_bucket.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

constexpr absl::Duration kNow = absl::Seconds(100);
constexpr absl::Duration kFast = absl::Milliseconds(1);
constexpr absl::Duration kLate = absl::Seconds(2);

TEST(WarmPaceTest, LateAnswersHalveAndGoodOnesGiveBackOneByOne) {
  WarmPace pace({.max = 8});
  EXPECT_EQ(pace.limit(kNow), 8u);
  pace.OnAnswer(kLate, kNow);
  EXPECT_EQ(pace.limit(kNow), 4u);
  pace.OnAnswer(kLate, kNow);
  EXPECT_EQ(pace.limit(kNow), 2u);
  pace.OnAnswer(kFast, kNow);
  EXPECT_EQ(pace.limit(kNow), 2u);
  pace.OnAnswer(kFast, kNow);
  EXPECT_EQ(pace.limit(kNow), 3u);
  for (int i = 0; i < 100; ++i) pace.OnAnswer(kFast, kNow);
  EXPECT_EQ(pace.limit(kNow), 8u);
}

TEST(WarmPaceTest, OneLateReadAtATimeRestsAsLongAsItTook) {
  WarmPace pace({.max = 1});
  pace.OnAnswer(kLate, kNow);
  EXPECT_EQ(pace.limit(kNow + kLate - kFast), 0u);
  EXPECT_EQ(pace.limit(kNow + kLate), 1u);
}

TEST(WarmPaceTest, OverloadPausesLongerEachTimeAndNeverForLong) {
  WarmPace pace({.max = 4, .min_pause = absl::Milliseconds(100), .max_pause = absl::Seconds(10)});
  absl::Duration now = kNow;
  absl::Duration last;
  for (int i = 0; i < 6; ++i) {
    pace.OnOverload(absl::ZeroDuration(), 0.5, now);
    EXPECT_EQ(pace.limit(now), 0u);
    EXPECT_GT(pace.paused_until() - now, last);
    last = pace.paused_until() - now;
    now = pace.paused_until();
    EXPECT_EQ(pace.limit(now), i == 0 ? 2u : 1u);
  }
  pace.OnOverload(absl::Hours(1), 0.5, now);
  EXPECT_EQ(pace.paused_until(), now + absl::Seconds(10));
}

TEST(WarmPaceTest, ANodeSaysHowLongItWantsToBeLeftAlone) {
  WarmPace pace({.max = 4});
  pace.OnOverload(absl::Seconds(3), 0.5, kNow);
  EXPECT_EQ(pace.paused_until(), kNow + absl::Seconds(3));
  // What was on its way meanwhile does not make it longer.
  pace.OnOverload(absl::Seconds(3), 0.5, kNow + absl::Seconds(1));
  EXPECT_EQ(pace.paused_until(), kNow + absl::Seconds(3));
}

TEST(TokenBucketTest, LetsTheRateThroughAndTheBurstAtOnce) {
  TokenBucket bucket(10, 20, kNow);
  EXPECT_EQ(bucket.Available(kNow), 20);
  bucket.Take(20, kNow);
  EXPECT_GE(bucket.WaitFor(5, kNow), absl::Milliseconds(500));
  EXPECT_LE(bucket.WaitFor(5, kNow), absl::Milliseconds(501));
  EXPECT_NEAR(bucket.Available(kNow + absl::Seconds(1)), 10, 1e-9);
  EXPECT_EQ(bucket.WaitFor(10, kNow + absl::Milliseconds(1001)), absl::ZeroDuration());
  EXPECT_EQ(bucket.Available(kNow + absl::Hours(1)), 20);
}

}  // namespace
}  // namespace meridian
