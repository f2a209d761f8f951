#include "common/engine/what_if.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "common/engine/eviction_policy.h"

namespace meridian {
namespace {

class WhatIfTest : public testing::Test {
 protected:
  void Turn(TrafficKind kind, uint64_t key, absl::Duration given = absl::InfiniteDuration(),
            absl::Duration own = absl::InfiniteDuration()) {
    log_.Record(kind, key * 0x9E3779B97F4A7C15, now_, 100, {.given = given, .own = own});
  }
  // A read-through Get that a cache of this moment answered or not.
  void Ask(bool hit, uint64_t key, absl::Duration ttl = absl::InfiniteDuration()) {
    now_ += absl::Seconds(1);
    Turn(hit ? TrafficKind::kHit : TrafficKind::kMiss, key, ttl);
    if (!hit) Turn(TrafficKind::kFill, key, ttl);
  }
  WhatIfAnswer Predict(const CacheShape& present, const CacheShape& asked) {
    const absl::StatusOr<WhatIfAnswer> answer = PredictHitRate(log_.Copy(), present, asked);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(WhatIfAnswer());
  }

  TrafficLog log_;
  absl::Duration now_;
};

TEST_F(WhatIfTest, ALoopFitsOrItDoesNot) {
  for (int i = 0; i < 200; ++i) Ask(false, static_cast<uint64_t>(i % 4));
  const WhatIfAnswer answer = Predict({.max_entries = 3}, {.max_entries = 4});
  EXPECT_EQ(answer.hit_rate, 0);
  EXPECT_EQ(answer.replayed_hit_rate, 0);
  EXPECT_EQ(answer.predicted_hit_rate, 1);
  const WhatIfAnswer by_bytes = Predict({.max_bytes = 399}, {.max_bytes = 400});
  EXPECT_EQ(by_bytes.replayed_hit_rate, 0);
  EXPECT_EQ(by_bytes.predicted_hit_rate, 1);
}

TEST_F(WhatIfTest, WhatWasAHitCanBecomeAMiss) {
  Ask(false, 1);
  Ask(false, 2);
  for (int i = 0; i < 200; ++i) Ask(true, static_cast<uint64_t>(1 + i % 2));
  EXPECT_EQ(Predict({.max_entries = 2}, {.max_entries = 1}).predicted_hit_rate, 0);
}

TEST_F(WhatIfTest, AValueDoesNotOutliveItsOwnLife) {
  // Written for eight seconds, of which the cache gives it four at a time; asked for each second.
  for (int i = 0; i < 400; ++i) {
    now_ += absl::Seconds(1);
    const absl::Duration left = absl::Seconds(8 - i % 8);
    Turn(i % 4 == 0 ? TrafficKind::kMiss : TrafficKind::kHit, 1, absl::Seconds(4));
    if (i % 8 == 0) Turn(TrafficKind::kWrite, 1, absl::Seconds(4), left);
    if (i % 8 == 4) Turn(TrafficKind::kFill, 1, absl::Seconds(4), left);
  }
  const CacheShape present = {.max_entries = 10};
  const auto predicted = [&](absl::Duration ttl) {
    return Predict(present, {.max_entries = 10, .ttl = ttl}).predicted_hit_rate;
  };
  EXPECT_NEAR(Predict(present, present).replayed_hit_rate, 0.75, 0.001);
  EXPECT_NEAR(predicted(absl::Seconds(2)), 0.5, 0.001);
  EXPECT_NEAR(predicted(absl::Seconds(8)), 0.875, 0.001);
  EXPECT_NEAR(predicted(absl::Hours(1)), 0.875, 0.001);
}

TEST_F(WhatIfTest, AShorterLifeCostsItsShare) {
  // Asked for once a second: of a life of ten seconds nine are hits, of one of two every other.
  for (int i = 0; i < 400; ++i) Ask(i % 10 != 0, 1, absl::Seconds(10));
  const CacheShape present = {.max_entries = 10};
  EXPECT_NEAR(Predict(present, present).predicted_hit_rate, 0.9, 0.001);
  EXPECT_NEAR(Predict(present, {.max_entries = 10, .ttl = absl::Seconds(2)}).predicted_hit_rate,
              0.5, 0.001);
  EXPECT_NEAR(Predict(present, {.max_entries = 10, .ttl = absl::Hours(1)}).predicted_hit_rate, 1,
              0.001);
}

// All keys are filled when the load begins, and a longer TTL would end for all of them at once: in
// the counted half of the log, after it, or twice in it. What is asked for is the rate in the long
// run.
TEST_F(WhatIfTest, ALongerLifeIsJudgedAlikeHoweverLongTheLogIs) {
  constexpr uint64_t kKeys = 200;
  constexpr absl::Duration kTtl = absl::Seconds(1);
  for (const int seconds : {12, 20, 24, 28, 31, 40, 60}) {
    SCOPED_TRACE(seconds);
    TrafficLog log;
    std::mt19937_64 random(1);
    std::vector<absl::Duration> ends(kKeys, absl::ZeroDuration());
    absl::Duration now = absl::ZeroDuration();
    for (int i = 0; i < 400 * seconds; ++i) {  // Each key twice a second.
      now += absl::Milliseconds(2.5);
      const uint64_t key = random() % kKeys;
      const uint64_t hash = (key + 1) * 0x9E3779B97F4A7C15;
      const LoggedLife life = {.given = kTtl, .own = absl::InfiniteDuration()};
      const bool hit = now < ends[key];
      log.Record(hit ? TrafficKind::kHit : TrafficKind::kMiss, hash, now, 100, life);
      if (hit) continue;
      log.Record(TrafficKind::kWrite, hash, now, 100, life);
      ends[key] = now + kTtl;
    }
    const absl::StatusOr<WhatIfAnswer> answer = PredictHitRate(
        log.Copy(), {.max_entries = 1000}, {.max_entries = 1000, .ttl = absl::Seconds(15)});
    ASSERT_TRUE(answer.ok()) << answer.status();
    // Of a life of 15 seconds and the half until it is asked for again: 30 reads and one miss.
    EXPECT_NEAR(answer->predicted_hit_rate, 30.0 / 31, 0.01);
    EXPECT_NEAR(answer->replayed_hit_rate, 2.0 / 3, 0.02);
  }
}

TEST_F(WhatIfTest, ErasedIsGoneInEveryCache) {
  for (int i = 0; i < 100; ++i) {
    Ask(false, 1);
    Turn(TrafficKind::kErase, 1);
  }
  EXPECT_EQ(Predict({.max_entries = 1}, {.max_entries = 100}).predicted_hit_rate, 0);
  for (int i = 0; i < 400; ++i) {
    Turn(TrafficKind::kWrite, 1);
    Ask(true, 1);
    Turn(TrafficKind::kErase, 1);
  }
  EXPECT_EQ(Predict({.max_entries = 1}, {.max_entries = 100}).predicted_hit_rate, 1);
}

TEST_F(WhatIfTest, ABoundOfAnySizeIsOneThatEverythingFits) {
  for (int i = 0; i < 200; ++i) Ask(false, static_cast<uint64_t>(i % 4));
  constexpr size_t kHuge = std::numeric_limits<size_t>::max();
  for (const std::string& policy : EvictionPolicyNames()) {
    SCOPED_TRACE(policy);
    for (const size_t bound : {size_t{1'000'000'000}, kHuge / 2 + 1, kHuge}) {
      const CacheShape present = {.max_entries = 3};
      EXPECT_EQ(Predict(present, {.max_entries = bound, .policy = policy}).predicted_hit_rate, 1);
      EXPECT_EQ(Predict(present, {.max_bytes = bound, .policy = policy}).predicted_hit_rate, 1);
    }
  }
}

TEST_F(WhatIfTest, WhatCannotBeAnsweredIsRefused) {
  const CacheShape shape = {.max_entries = 1};
  EXPECT_EQ(PredictHitRate(log_.Copy(), shape, shape).status().code(),
            absl::StatusCode::kFailedPrecondition);
  Ask(false, 1);
  Ask(true, 1);
  CacheShape unknown = shape;
  unknown.policy = "best";
  EXPECT_EQ(PredictHitRate(log_.Copy(), shape, unknown).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace meridian
