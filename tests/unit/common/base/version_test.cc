#include "common/base/version.h"

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

uint64_t HlcAt(absl::Time time) { return static_cast<uint64_t>(absl::ToUnixMillis(time)) << 16; }

TEST(VersionTest, TextIsTwentyDigitsThatSortAsVersionsDo) {
  EXPECT_EQ((Version{0x0123456789abcdef, 0xfe01}).ToText(), "0123456789abcdeffe01");
  EXPECT_EQ(Version().ToText(), "00000000000000000000");
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    // Few different values in each field, so that ties happen.
    const auto any = [&random] {
      return Version{(random() % 4) << (16 * (random() % 4)), static_cast<uint16_t>(random() % 3)};
    };
    const Version a = any();
    const Version b = any();
    EXPECT_EQ(a < b, a.ToText() < b.ToText());
    EXPECT_EQ(a == b, a.ToText() == b.ToText());
    EXPECT_EQ(Version::FromText(a.ToText()), a);
  }
}

TEST(VersionTest, TheRegionBreaksTies) {
  EXPECT_LT((Version{5, 1}), (Version{5, 2}));
  EXPECT_LT((Version{5, 9}), (Version{6, 1}));
}

TEST(VersionTest, OnlyWhatToTextWritesIsRead) {
  for (const std::string_view text :
       {"", "0123456789abcdeffe0", "0123456789abcdeffe011", "0123456789ABCDEFFE01",
        "0123456789abcdeffe0g", " 123456789abcdeffe01", "-123456789abcdeffe01",
        "0x23456789abcdeffe01"}) {
    EXPECT_EQ(Version::FromText(text), std::nullopt) << text;
  }
  EXPECT_EQ(Version::FromText(std::string_view("0123456789abcdeffe0\0", 20)), std::nullopt);
}

TEST(VersionTest, TimeIsTheMilliseconds) {
  const absl::Time time = absl::FromUnixMillis(1'800'000'000'123);
  EXPECT_EQ((Version{HlcAt(time) | 0xFFFF, 1}).time(), time);
}

TEST(HybridClockTest, GoldenRegionIds) {
  EXPECT_EQ(RegionId("us"), 0xd39d);
  EXPECT_EQ(RegionId("eu"), 0xf1af);
  EXPECT_EQ(RegionId("asia"), 0x2eaf);
}

TEST(HybridClockTest, FollowsTheWallClockAndCountsWithinAMillisecond) {
  FakeClock clock;
  HybridClock hybrid(clock, 7);
  const Version first = hybrid.Next();
  EXPECT_EQ(first, (Version{HlcAt(clock.Now()), 7}));
  EXPECT_EQ(hybrid.Next().hlc, first.hlc + 1);
  clock.Advance(absl::Milliseconds(1));
  EXPECT_EQ(hybrid.Next().hlc, HlcAt(clock.Now()));
}

TEST(HybridClockTest, NeverGoesBackWhenTheWallClockDoes) {
  FakeClock clock;
  HybridClock hybrid(clock, 7);
  const Version before = hybrid.Next();
  clock.JumpTo(clock.Now() - absl::Hours(1));
  EXPECT_GT(hybrid.Next(), before);
  clock.JumpTo(absl::FromUnixSeconds(-5));  // Before the epoch.
  EXPECT_GT(hybrid.Next(), before);
}

TEST(HybridClockTest, TheCounterOverflowsIntoTheMilliseconds) {
  FakeClock clock;
  HybridClock hybrid(clock, 7);
  Version last = hybrid.Next();
  for (int i = 0; i < 70'000; ++i) {
    const Version next = hybrid.Next();
    ASSERT_GT(next, last);
    last = next;
  }
  EXPECT_EQ(last.time(), clock.Now() + absl::Milliseconds(1));
}

TEST(HybridClockTest, AMergedVersionIsSurpassed) {
  FakeClock clock;
  HybridClock hybrid(clock, 7);
  const uint64_t ahead = HlcAt(clock.Now() + absl::Seconds(59));
  EXPECT_TRUE(hybrid.Merge(ahead).ok());
  EXPECT_EQ(hybrid.last(), ahead);
  EXPECT_EQ(hybrid.Next().hlc, ahead + 1);
  EXPECT_TRUE(hybrid.Merge(1).ok());  // Older: nothing to learn.
  EXPECT_EQ(hybrid.last(), ahead + 1);
}

TEST(HybridClockTest, AVersionTooFarAheadIsRefusedAndNotLearned) {
  FakeClock clock;
  HybridClock hybrid(clock, 7);
  const uint64_t limit = HlcAt(clock.Now() + HybridClock::kMaxSkew);
  const absl::Status status = hybrid.Merge(limit + 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("CLOCK_SKEW"), absl::string_view::npos);
  EXPECT_EQ(hybrid.last(), 0u);
  EXPECT_TRUE(hybrid.Merge(limit).ok());
}

TEST(HybridClockTest, ThreadsNeverGetTheSameVersion) {
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  FakeClock clock;
  HybridClock hybrid(clock, 7);
  std::vector<std::vector<uint64_t>> taken(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        if (i % 100 == 0) {
          EXPECT_TRUE(hybrid.Merge(hybrid.last() + 3).ok());
        }
        taken[static_cast<size_t>(t)].push_back(hybrid.Next().hlc);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<uint64_t> all;
  for (const auto& mine : taken) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

}  // namespace
}  // namespace meridian
