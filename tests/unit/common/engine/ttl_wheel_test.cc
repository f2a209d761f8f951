#include "common/engine/ttl_wheel.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>
#include <vector>

namespace meridian {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

BlockArena& TestArena() {
  static BlockArena& arena = *BlockArena::Create().release();
  return arena;
}

EntryNode::Owner Node(absl::Duration expires_at) {
  return EntryNode::Create(TestArena(), {1, 0, 0, "k"}, Entry{.expires_at = expires_at});
}

EntryNode* Next(TtlWheel& wheel, absl::Duration now, size_t looks = kNoLimit) {
  return wheel.NextExpired(absl::ToInt64Nanoseconds(now), &looks);
}

TEST(TtlWheelTest, FindsEachEntryAtItsTickAndNotBefore) {
  // Around every border between levels, from a wheel that has turned already.
  for (const int64_t start : {int64_t{0}, int64_t{63}, int64_t{4095}, int64_t{1'000'000'007}}) {
    for (int level = 0; level < 6; ++level) {
      for (int64_t offset = -2; offset <= 2; ++offset) {
        const int64_t ttl = (int64_t{1} << (6 * level)) + offset;
        if (ttl <= 0) continue;
        TtlWheel wheel;
        ASSERT_EQ(Next(wheel, absl::Milliseconds(start)), nullptr);
        const EntryNode::Owner node = Node(absl::Milliseconds(start + ttl));
        wheel.Add(*node);
        EXPECT_EQ(Next(wheel, absl::Milliseconds(start + ttl) - absl::Nanoseconds(1)), nullptr)
            << start << " " << ttl;
        EXPECT_EQ(Next(wheel, absl::Milliseconds(start + ttl)), node.get()) << start << " " << ttl;
      }
    }
  }
}

TEST(TtlWheelTest, AnEntryThatIsLateAlreadyIsFoundAtOnce) {
  TtlWheel wheel;
  EXPECT_EQ(Next(wheel, absl::Seconds(100)), nullptr);
  const EntryNode::Owner late = Node(absl::Seconds(50));
  const EntryNode::Owner negative = Node(-absl::Seconds(1));
  wheel.Add(*late);
  EXPECT_EQ(Next(wheel, absl::Seconds(100)), late.get());
  wheel.Remove(*late);
  wheel.Add(*negative);
  EXPECT_EQ(Next(wheel, absl::Seconds(100)), negative.get());
}

TEST(TtlWheelTest, AnInfiniteExpiryIsHeldAndNeverFound) {
  TtlWheel wheel;
  const EntryNode::Owner node = Node(absl::InfiniteDuration());
  wheel.Add(*node);
  EXPECT_EQ(Next(wheel, absl::Hours(24 * 365 * 100)), nullptr);
  wheel.Remove(*node);
  EXPECT_EQ(Next(wheel, absl::Hours(24 * 365 * 101)), nullptr);
}

TEST(TtlWheelTest, StopsWhenItsLooksAreUsedUpAndGoesOnLater) {
  TtlWheel wheel;
  std::vector<EntryNode::Owner> nodes;
  for (int i = 0; i < 100; ++i) {
    nodes.push_back(Node(absl::Seconds(5) + absl::Milliseconds(i)));
    wheel.Add(*nodes.back());
  }
  size_t found = 0;
  size_t calls = 0;
  for (; found < 100 && calls < 1000; ++calls) {
    size_t looks = 3;
    while (EntryNode* node = wheel.NextExpired(10'000'000'000, &looks)) {
      wheel.Remove(*node);
      ++found;
    }
    EXPECT_TRUE(looks == 0 || found == 100);
  }
  EXPECT_EQ(found, 100);
  EXPECT_GE(calls, 33);
}

TEST(TtlWheelTest, RandomEntriesComeOutAsASortedMapSays) {
  std::mt19937_64 rng(3);
  TtlWheel wheel;
  std::multimap<int64_t, EntryNode::Owner> model;  // By the tick of expiry.
  int64_t now_us = 1'000'000;
  for (int step = 0; step < 20'000; ++step) {
    // Time-outs of a microsecond to two hours, spread evenly over the magnitudes.
    const int64_t ttl_us = 1 + static_cast<int64_t>(rng() % (uint64_t{1} << (rng() % 33)));
    EntryNode::Owner node = Node(absl::Microseconds(now_us + ttl_us));
    wheel.Add(*node);
    const int64_t expiry_us = (now_us + ttl_us) / 100 * 100;  // As entries keep it.
    model.emplace((expiry_us + 999) / 1000, std::move(node));
    if (rng() % 4 == 0) {  // Somebody removes one.
      auto victim = model.lower_bound(now_us / 1000 + static_cast<int64_t>(rng() % 100'000));
      if (victim != model.end()) {
        wheel.Remove(*victim->second);
        model.erase(victim);
      }
    }
    if (rng() % 3 != 0) continue;
    now_us += static_cast<int64_t>(rng() % (uint64_t{1} << (rng() % 26)));
    while (EntryNode* expired = Next(wheel, absl::Microseconds(now_us))) {
      const int64_t tick = (expired->expires_ns() + 999'999) / 1'000'000;
      ASSERT_LE(tick, now_us / 1000);
      wheel.Remove(*expired);
      auto [begin, end] = model.equal_range(tick);
      while (begin != end && begin->second.get() != expired) ++begin;
      ASSERT_NE(begin, end) << "an entry that was not in the wheel";
      model.erase(begin);
    }
    ASSERT_TRUE(model.empty() || model.begin()->first > now_us / 1000)
        << "left behind at step " << step;
  }
}

}  // namespace
}  // namespace meridian
