#include "common/engine/reuse_learner.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace meridian {
namespace {

constexpr size_t kCapacity = 512;  // Of a shard.

ReuseLearner::Rules RulesOf(const ReuseLearner& learner) {
  ReuseLearner::Rules rules = {.scale = ReuseScale(1, 1), .worth = {}, .sample = {}};
  learner.Renew(&rules);
  return rules;
}

TEST(ReuseLearnerTest, ALoopOverTwoShardsThatFitsNeitherIsNotForRecency) {
  ReuseLearner learner(2, kCapacity, 256, XorShift(1));
  learner.Learn(kCapacity, kCapacity, /*bytes_are_short=*/false);
  const uint32_t first = learner.Version();
  EXPECT_EQ(RulesOf(learner).version, first);
  EXPECT_EQ(RulesOf(learner).scale.capacity(), kCapacity);
  // 1024 entries in all: every key is followed. Shards take turns with their keys.
  ASSERT_TRUE(RulesOf(learner).sample.Has(12345));
  for (uint32_t round = 0; round < 60; ++round) {
    for (uint32_t key = 0; key < 1400; ++key) learner.Record({key, 4, 1, 1}, 1);
    learner.Learn(kCapacity, kCapacity, false);
  }
  EXPECT_NE(RulesOf(learner).table, kRecencyWorth) << "which misses all of a loop";
  EXPECT_NE(learner.Version(), first);
}

TEST(ReuseLearnerTest, TheSampleIsThatOfAllShardsTogether) {
  ReuseLearner one(1, 100'000, 256, XorShift(1));
  one.Learn(100'000, 100'000, false);
  ReuseLearner many(32, 100'000, 256, XorShift(1));
  many.Learn(100'000, 100'000, false);
  int of_one = 0;
  int of_many = 0;
  const ReuseSample sample_of_one = RulesOf(one).sample;
  const ReuseSample sample_of_many = RulesOf(many).sample;
  for (uint64_t key = 1; key <= 1'000'000; ++key) {
    const uint64_t hash = key * 0x9E3779B97F4A7C15;
    of_one += sample_of_one.Has(hash) ? 1 : 0;
    of_many += sample_of_many.Has(hash) ? 1 : 0;
    EXPECT_TRUE(!sample_of_one.Has(hash) || sample_of_one.MayHave(ReuseSample::BitsOf(hash)));
  }
  EXPECT_NEAR(of_one, 7812, 500);  // 1 in 128.
  EXPECT_NEAR(of_many, 320, 100);  // 1024 of 3,200,000.
}

TEST(ReuseLearnerTest, ShardsMayComeAtOnce) {
  ReuseLearner learner(2, kCapacity, 256, XorShift(1));
  learner.Learn(kCapacity, kCapacity, false);
  std::vector<std::thread> shards;
  for (uint32_t shard = 0; shard < 2; ++shard) {
    shards.emplace_back([&learner, shard] {
      ReuseLearner::Rules rules = RulesOf(learner);
      for (uint32_t i = 0; i < 50'000; ++i) {
        learner.Record({i * 7 % 2000 * 2 + shard, 4, 1, 1}, 1);
        if (i % 64 == 0) learner.Learn(kCapacity, kCapacity, false);
        if (learner.Version() != rules.version) learner.Renew(&rules);
      }
    });
  }
  for (std::thread& shard : shards) shard.join();
  EXPECT_GE(learner.Version(), 2 * 50'000 / 64);
}

}  // namespace
}  // namespace meridian
