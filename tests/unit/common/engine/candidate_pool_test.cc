#include "common/engine/candidate_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace meridian {
namespace {

constexpr float kNoBar = std::numeric_limits<float>::infinity();

TEST(CandidatePoolTest, NeverNamesTheNewcomerNorWhatIsNotThere) {
  CandidatePool pool;
  XorShift random(1);
  uint32_t count = 40;
  for (int i = 0; i < 5000; ++i) {
    count = 2 + random.Below(40);
    const uint32_t newcomer = random.Below(count);
    const uint32_t found = pool.Lowest(count, newcomer, kNoBar, random, [&](uint32_t index) {
      EXPECT_LT(index, count);
      EXPECT_NE(index, newcomer);
      return static_cast<float>(index % 7);
    });
    if (found == CandidatePool::kNone) continue;  // All draws met the newcomer.
    EXPECT_LT(found, count);
    EXPECT_NE(found, newcomer);
  }
}

TEST(CandidatePoolTest, RefusesTheNewcomerThatIsWorthLess) {
  CandidatePool pool;
  XorShift random(1);
  const auto score = [](uint32_t index) { return 10 + static_cast<float>(index); };
  EXPECT_EQ(pool.Lowest(100, CandidatePool::kNone, 9, random, score), CandidatePool::kNone);
  EXPECT_NE(pool.Lowest(100, CandidatePool::kNone, kNoBar, random, score), CandidatePool::kNone);
  // Alike: the resident goes.
  const auto same = [](uint32_t) { return 9.0f; };
  EXPECT_NE(pool.Lowest(100, CandidatePool::kNone, 9, random, same), CandidatePool::kNone);
}

TEST(CandidatePoolTest, WhatItKeepsMakesItNearlyExact) {
  // Victims leave in nearly the order of their scores: the mean rank of a victim among those that
  // are left is far below that of the best of the draws alone (1/33 of them).
  CandidatePool pool;
  XorShift random(5);
  std::vector<float> scores(2000);
  for (float& score : scores) score = static_cast<float>(random.Below(1'000'000));
  double ranks = 0;
  constexpr int kVictims = 500;
  for (int i = 0; i < kVictims; ++i) {
    const uint32_t found =
        pool.Lowest(static_cast<uint32_t>(scores.size()), CandidatePool::kNone, kNoBar, random,
                    [&](uint32_t index) { return scores[index]; });
    ASSERT_LT(found, scores.size());
    const float value = scores[found];
    ranks += static_cast<double>(std::count_if(scores.begin(), scores.end(),
                                               [value](float other) { return other < value; })) /
             static_cast<double>(scores.size());
    scores[found] = scores.back();
    scores.pop_back();
  }
  EXPECT_LT(ranks / kVictims, 0.01);
}

TEST(CandidatePoolTest, OneElementIsFound) {
  CandidatePool pool;
  XorShift random(1);
  const auto score = [](uint32_t) { return 1.0f; };
  EXPECT_EQ(pool.Lowest(1, CandidatePool::kNone, kNoBar, random, score), 0u);
  EXPECT_EQ(pool.Lowest(1, 0, kNoBar, random, score), CandidatePool::kNone);
}

}  // namespace
}  // namespace meridian
