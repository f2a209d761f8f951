#include "server/node/key_activity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

#include "common/base/hash.h"
#include "server/policy/namespace_policy.h"

namespace meridian {
namespace {

using testing::DoubleNear;

constexpr uint64_t kKey = 0x1234567890ABCDEF;
const absl::Duration kStart = absl::Seconds(1'000'000);

TEST(KeyActivityTest, KnowsNothingOfWhatItNeverSaw) {
  KeyActivity activity;
  const KeyFacts facts = activity.Look(kKey, kStart);
  EXPECT_EQ(facts.requests_24h, 0);
  EXPECT_EQ(facts.updates_24h, 0);
  EXPECT_EQ(facts.access_variance, 0);
  EXPECT_EQ(facts.requests_per_minute, 0);
  EXPECT_EQ(facts.hits, std::nullopt);
}

TEST(KeyActivityTest, CountsDecaySoThatASteadyRateSettlesAtItsNumberADay) {
  KeyActivity activity;
  absl::Duration now = kStart;
  for (int hour = 0; hour < 24 * 10; ++hour, now += absl::Hours(1)) {
    activity.OnUpdate(kKey, now);
    activity.OnMiss(kKey, now);
  }
  EXPECT_THAT(activity.Look(kKey, now).updates_24h, DoubleNear(24, 1));
  EXPECT_THAT(activity.Look(kKey, now).requests_24h, DoubleNear(24, 1));
  EXPECT_LT(activity.Look(kKey, now + absl::Hours(24 * 5)).updates_24h, 0.5);
}

TEST(KeyActivityTest, AccessVarianceTellsASteadyBeatFromUsersAndFromBursts) {
  KeyActivity activity;
  absl::Duration now = kStart;
  for (int i = 0; i < 200; ++i, now += absl::Seconds(10)) activity.OnHit(kKey, now);
  EXPECT_LT(activity.Look(kKey, now).access_variance, 0.01);
  EXPECT_THAT(activity.Look(kKey, now).requests_per_minute, DoubleNear(6, 0.1));

  std::mt19937 random(1);
  std::exponential_distribution<double> gap(0.1);
  double sum = 0;
  for (int i = 0; i < 4000; ++i, now += absl::Seconds(gap(random))) {
    activity.OnHit(kKey + 1, now);
    sum += activity.Look(kKey + 1, now).access_variance;
  }
  EXPECT_THAT(sum / 4000, DoubleNear(0.74, 0.1));

  for (int i = 0; i < 100; ++i) {
    for (int n = 0; n < 20; ++n, now += absl::Milliseconds(10)) activity.OnHit(kKey + 2, now);
    now += absl::Minutes(10);
  }
  activity.OnHit(kKey + 2, now);
  EXPECT_GT(activity.Look(kKey + 2, now).access_variance, 1);
}

TEST(KeyActivityTest, ARateFallsWhileNobodyAsks) {
  KeyActivity activity;
  absl::Duration now = kStart;
  for (int i = 0; i < 50; ++i, now += absl::Seconds(1)) activity.OnHit(kKey, now);
  EXPECT_THAT(activity.Look(kKey, now).requests_per_minute, DoubleNear(60, 1));
  EXPECT_THAT(activity.Look(kKey, now + absl::Minutes(10)).requests_per_minute,
              DoubleNear(0.1, 0.01));
}

TEST(KeyActivityTest, MissesAreCountedUntilAHitOrAPlacement) {
  KeyActivity activity;
  for (int i = 0; i < 3; ++i) activity.OnMiss(kKey, kStart);
  EXPECT_EQ(activity.Look(kKey, kStart).misses, 3);
  activity.OnHit(kKey, kStart);
  EXPECT_EQ(activity.Look(kKey, kStart).misses, 0);
  activity.OnMiss(kKey, kStart);
  activity.OnPlaced(kKey, kStart + absl::Seconds(10));
  EXPECT_EQ(activity.Look(kKey, kStart).misses, 0);
}

TEST(KeyActivityTest, HitsAreThoseOfTheLastStay) {
  KeyActivity activity;
  activity.OnHit(kKey, kStart);
  EXPECT_EQ(activity.Look(kKey, kStart).hits, std::nullopt) << "it was never put into L1 here";
  activity.OnPlaced(kKey, kStart + absl::Seconds(10) + absl::Milliseconds(900));
  EXPECT_EQ(activity.Look(kKey, kStart).hits, 0);
  EXPECT_EQ(activity.Look(kKey, kStart).stored_until, kStart + absl::Seconds(10));
  for (uint32_t i = 0; i < KeyActivity::kMaxHits + 100; ++i) activity.OnHit(kKey, kStart);
  EXPECT_EQ(activity.Look(kKey, kStart).hits, KeyActivity::kMaxHits);
  activity.OnMiss(kKey, kStart + absl::Seconds(20));
  EXPECT_EQ(activity.Look(kKey, kStart).hits, KeyActivity::kMaxHits)
      << "the stay is over, its hits are what is known";
}

TEST(KeyActivityTest, TheLargestThresholdOfDailyRequestsIsCountedUpTo) {
  KeyActivity activity;
  for (uint32_t i = 0; i < kMaxDailyRequests; ++i) activity.OnMiss(kKey, kStart);
  EXPECT_EQ(activity.Look(kKey, kStart).requests_24h, kMaxDailyRequests);
  activity.OnMiss(kKey, kStart);
  EXPECT_GT(activity.Look(kKey, kStart).requests_24h, kMaxDailyRequests);
  // As spread over a day, where every step decays.
  absl::Duration now = kStart;
  const absl::Duration gap = absl::Hours(24) / (2 * kMaxDailyRequests);
  for (uint32_t i = 0; i < 4 * kMaxDailyRequests; ++i, now += gap) activity.OnHit(kKey + 1, now);
  EXPECT_GT(activity.Look(kKey + 1, now).requests_24h, kMaxDailyRequests);
}

TEST(KeyActivityTest, OneCallerRefreshesInAnInterval) {
  KeyActivity activity;
  EXPECT_TRUE(activity.TryRefresh(kKey, kStart, absl::Seconds(5)));
  EXPECT_FALSE(activity.TryRefresh(kKey, kStart + absl::Seconds(4), absl::Seconds(5)));
  EXPECT_TRUE(activity.TryRefresh(kKey + 1, kStart + absl::Seconds(4), absl::Seconds(5)));
  EXPECT_TRUE(activity.TryRefresh(kKey, kStart + absl::Seconds(6), absl::Seconds(5)));
}

TEST(KeyActivityTest, BusyKeysStayKnownHoweverManyOthersPassBy) {
  KeyActivity activity(256);
  absl::Duration now = kStart;
  for (uint64_t i = 0; i < 100'000; ++i, now += absl::Milliseconds(1)) {
    activity.OnMiss(Hash64({}, i), now);
    if (i % 20 == 0) activity.OnHit(kKey, now);  // One in twenty; a cell sees one in 64.
  }
  EXPECT_GT(activity.Look(kKey, now).requests_24h, 4900);
}

TEST(KeyActivityTest, ThreadsDoNotLoseCounts) {
  KeyActivity activity(256);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&activity] {
      for (int i = 0; i < 5000; ++i) {
        activity.OnHit(kKey, kStart);
        activity.OnUpdate(kKey, kStart);
        activity.Look(kKey, kStart);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(activity.Look(kKey, kStart).requests_24h, DoubleNear(20'000, 1));
  EXPECT_THAT(activity.Look(kKey, kStart).updates_24h, DoubleNear(20'000, 1));
}

}  // namespace
}  // namespace meridian
