// HotKeys: what is called hot, how soon, and for how long.

#include "common/near/hot_keys.h"

#include <gtest/gtest.h>

#include <random>

namespace meridian {
namespace {

constexpr absl::Duration kMs = absl::Milliseconds(1);

TEST(HotKeysTest, AKeyThatIsAskedForOftenIsHotWithinAWindowAndColdAfterOne) {
  HotKeys keys({.sample = 1, .min_rate = 100});
  absl::Duration now = absl::Seconds(100);
  int until_hot = 0;
  while (!keys.Count(7, now)) {
    now += kMs;
    ASSERT_LT(++until_hot, 1000);
  }
  EXPECT_GE(until_hot, 90);
  EXPECT_LE(until_hot, 200);
  for (int i = 0; i < 5000; ++i) {
    EXPECT_TRUE(keys.Count(7, now)) << i;
    now += kMs;
  }
  EXPECT_EQ(keys.hot(), 1);
  for (int i = 0; i < 3000; ++i) {  // Others, now and then.
    keys.Count(1000 + static_cast<uint64_t>(i), now);
    now += kMs;
  }
  EXPECT_FALSE(keys.IsHot(7));
}

TEST(HotKeysTest, ManyQuietKeysMakeNoneHot) {
  HotKeys keys({.counters = 16, .sample = 1, .min_rate = 20});
  absl::Duration now = absl::Seconds(100);
  for (uint64_t i = 0; i < 200'000; ++i) {
    EXPECT_FALSE(keys.Count(i * 0x9E3779B97F4A7C15u, now));
    now += absl::Microseconds(20);
  }
}

TEST(HotKeysTest, HalfOfTheTrafficIsFoundAmongManyAndNothingElseIs) {
  std::mt19937_64 random(5);
  for (const uint32_t sample : {1u, 4u}) {
    HotKeys keys({.counters = 32, .sample = sample, .min_rate = 20, .min_share = 0.1});
    absl::Duration now = absl::Seconds(100);
    int hot = 0, others = 0;
    for (int i = 0; i < 50'000; ++i) {
      const bool is_hot = random() % 2 == 0;
      const bool found = keys.Count(is_hot ? 7 : 1000 + random() % 10'000, now);
      if (i > 10'000) (is_hot ? hot : others) += found ? 1 : 0;
      now += absl::Microseconds(100);
    }
    EXPECT_GT(hot, 19'000) << sample;
    EXPECT_EQ(others, 0) << sample;
  }
}

TEST(HotKeysTest, AShareOfLittleIsNotHot) {
  HotKeys keys({.sample = 1, .min_rate = 100, .min_share = 0.1});
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(keys.Count(7, absl::Seconds(100) + i * kMs));
}

TEST(HotKeysTest, TheShareIsOfCallsAndACountStandsForWhatItIsTold) {
  HotKeys keys({.sample = 1, .min_rate = 100, .min_share = 0.5});
  const auto read = [&keys](uint64_t one, absl::Duration began) {
    bool found = false;
    for (uint64_t i = 0; i < 1000; ++i) {  // Calls for ten keys each, one key of each counted.
      const uint64_t hash = i % 10 < one ? 7 : 1000 + i;
      found |= keys.Count(hash, began + i * kMs, {.keys = 10, .calls = 1});
    }
    return found;
  };
  EXPECT_FALSE(read(0, absl::Seconds(10)));
  EXPECT_TRUE(read(1, absl::Seconds(20))) << "in all of the calls: a tenth of their keys";
}

TEST(HotKeysTest, AKeyWithTheSamePlaceInEveryBatchIsFound) {
  for (int place = 0; place < 4; ++place) {
    HotKeys keys(HotKeysOptions{.sample = 4, .min_rate = 100});
    absl::Duration now = absl::Seconds(10);
    bool found = false;
    for (int i = 0; i < 8000 && !found; ++i) {
      if (i % 4 == 0) now += absl::Milliseconds(1);
      found = i % 4 == place ? keys.Count(7, now) : keys.IsHot(7);
      if (i % 4 != place) keys.Count(1000 + static_cast<uint64_t>(i), now);
    }
    EXPECT_TRUE(found) << place;
  }
}

}  // namespace
}  // namespace meridian
