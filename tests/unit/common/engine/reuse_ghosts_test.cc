#include "common/engine/reuse_ghosts.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace meridian {
namespace {

// Of the second set of two, with the fingerprint `number`.
uint64_t HashOf(uint64_t number) { return uint64_t{0x8000'0000'0000'0000} | number; }

TEST(ReuseGhostsTest, RemembersFrequencyAndDistanceOnce) {
  ReuseGhosts ghosts;
  ghosts.Resize(1000, 1000);  // Times in units of 32 requests.
  ghosts.Put(HashOf(1), static_cast<ReuseState>(2 << 5 | 13), /*used_at=*/10'000, /*now=*/10'500);
  const auto found = ghosts.Take(HashOf(1), 12'000);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->state & 31, 13);
  EXPECT_NEAR(static_cast<double>(found->distance), 2000, 32);
  EXPECT_FALSE(ghosts.Take(HashOf(1), 12'000).has_value());
  EXPECT_FALSE(ghosts.Take(HashOf(2), 12'000).has_value());
}

TEST(ReuseGhostsTest, WhatWasUsedOnceHasNoFrequency) {
  ReuseGhosts ghosts;
  ghosts.Resize(16, 16);
  ghosts.Put(HashOf(1), kFirstUse, 5, 6);
  const auto found = ghosts.Take(HashOf(1), 7);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->state, 0);
}

TEST(ReuseGhostsTest, AFullSetForgetsWhatWasUsedLongestAgo) {
  ReuseGhosts ghosts;
  ghosts.Resize(32, 16);  // Two sets; times in single requests.
  // Not in the order of their times, and across the end of the 10-bit clock.
  std::vector<uint64_t> used_at;
  for (uint64_t i = 0; i < 17; ++i) used_at.push_back(1000 + i * 7 % 17 * 4);
  for (uint64_t i = 0; i < 16; ++i) ghosts.Put(HashOf(i), 4, used_at[i], 1100);
  ghosts.Put(HashOf(16), 4, used_at[16], 1100);
  int found = 0;
  for (uint64_t i = 0; i < 17; ++i) {
    const bool there = ghosts.Take(HashOf(i), 1100).has_value();
    EXPECT_EQ(there, used_at[i] != 1000) << i;
    found += there ? 1 : 0;
  }
  EXPECT_EQ(found, 16);
}

TEST(ReuseGhostsTest, KeepsAboutAsManyAsItHasRoomForAndForgetsOnResize) {
  ReuseGhosts ghosts;
  ghosts.Resize(4096, 1024);
  EXPECT_EQ(ghosts.room(), 4096u);
  std::mt19937_64 random(3);
  std::vector<uint64_t> hashes;
  for (uint64_t i = 0; i < 4096; ++i) {
    hashes.push_back(random());
    ghosts.Put(hashes.back(), 4, i, i);
  }
  int kept = 0;
  for (size_t i = 0; i < hashes.size() / 2; ++i) kept += ghosts.Take(hashes[i], 4096) ? 1 : 0;
  EXPECT_GT(kept, 1500);  // Of 2048: sets fill unevenly.
  ghosts.Resize(4096, 1024);
  for (const uint64_t hash : hashes) EXPECT_FALSE(ghosts.Take(hash, 4096).has_value());
}

TEST(ReuseGhostsTest, BeforeItIsSizedItKnowsNothing) {
  ReuseGhosts ghosts;
  EXPECT_EQ(ghosts.room(), 0u);
  EXPECT_FALSE(ghosts.Take(HashOf(1), 1).has_value());
}

}  // namespace
}  // namespace meridian
