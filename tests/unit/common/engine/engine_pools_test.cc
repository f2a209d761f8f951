// Budget pools: caps, fair shares, demotion, changes at run time; and Engine::Adjust.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/engine/engine.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kNow = absl::Seconds(1000);
constexpr PoolId kHot = 1;
constexpr PoolId kWarm = 2;
constexpr PoolId kCold = 3;

// One shard that charges value bytes alone, so that a test can say what it means.
class EnginePoolsTest : public testing::Test {
 protected:
  EntryKey Key(std::string_view key) { return KeyOf(*engine_, "n", key); }
  PutOutcome Put(std::string_view key, size_t bytes, PoolId pool, uint64_t hlc = 1) {
    Entry entry = MakeEntry(std::string(bytes, 'v'), V(hlc));
    entry.pool = pool;
    return engine_->Put(Key(key), entry, kNow);
  }
  void Fill(std::string_view prefix, int count, size_t bytes, PoolId pool) {
    for (int i = 0; i < count; ++i) Put(absl::StrCat(std::string(prefix), i), bytes, pool);
  }
  bool Has(std::string_view key) {
    Entry entry;
    return engine_->Peek(Key(key), kNow, &entry);
  }
  PoolId PoolOf(std::string_view key) {
    Entry entry;
    EXPECT_TRUE(engine_->Peek(Key(key), kNow, &entry)) << key;
    return entry.pool;
  }
  void SetPool(PoolId pool, const PoolOptions& options) {
    const absl::Status status = engine_->SetPool(pool, options);
    ASSERT_TRUE(status.ok()) << status;
  }
  size_t BytesOf(PoolId pool) { return engine_->UseOf(pool).bytes; }

  std::unique_ptr<Engine> engine_ =
      MakeEngine({.capacity_bytes = 1000, .shard_bits = 0, .charge = ChargeMode::kValueBytes});
};

TEST_F(EnginePoolsTest, APoolIsBoundedByItsCapAlthoughTheEngineHasRoom) {
  SetPool(kHot, {.max_bytes = 300});
  Fill("h", 10, 50, kHot);
  EXPECT_EQ(engine_->UseOf(kHot), (PoolUse{300, 6}));
  EXPECT_FALSE(Has("h3"));
  EXPECT_TRUE(Has("h4"));
  SetPool(kWarm, {.max_entries = 2});
  Fill("w", 10, 1, kWarm);
  EXPECT_EQ(engine_->UseOf(kWarm), (PoolUse{2, 2}));
  EXPECT_EQ(Put("too large", 301, kHot), PutOutcome::kTooLarge);
  ExpectConsistent(*engine_);
}

TEST_F(EnginePoolsTest, APoolThatWasNeverSetIsTheSharedOne) {
  Put("k", 10, 77);
  EXPECT_EQ(PoolOf("k"), kSharedPool);
  EXPECT_EQ(engine_->UseOf(kSharedPool), (PoolUse{10, 1}));
  EXPECT_EQ(engine_->UseOf(77), PoolUse{});
}

TEST_F(EnginePoolsTest, WhatTheSharedPoolBorrowedComesBackToTheOthers) {
  SetPool(kHot, {.max_bytes = 300});
  SetPool(kWarm, {.max_bytes = 200});
  Fill("s", 20, 50, kSharedPool);
  EXPECT_EQ(BytesOf(kSharedPool), 1000) << "free budgets may be used";
  Fill("h", 20, 50, kHot);
  Fill("w", 20, 50, kWarm);
  EXPECT_EQ(BytesOf(kHot), 300);
  EXPECT_EQ(BytesOf(kWarm), 200);
  EXPECT_EQ(BytesOf(kSharedPool), 500);
  Fill("more", 20, 50, kSharedPool);
  EXPECT_EQ(BytesOf(kHot), 300) << "a pool within its budget gives nothing to others";
  EXPECT_EQ(BytesOf(kSharedPool), 500);
}

TEST_F(EnginePoolsTest, CapsThatDoNotFitTogetherShrinkInProportion) {
  SetPool(kHot, {.max_bytes = 1000});
  SetPool(kWarm, {.max_bytes = 600});
  Fill("w", 60, 10, kWarm);
  EXPECT_EQ(BytesOf(kWarm), 600);
  Fill("h", 200, 10, kHot);
  EXPECT_EQ(BytesOf(kHot), 620) << "1000 / 1.6 = 625, and entries are whole";
  EXPECT_EQ(BytesOf(kWarm), 380);
  Fill("s", 10, 10, kSharedPool);
  EXPECT_LE(BytesOf(kSharedPool), 10) << "the caps leave nothing for the shared pool";
}

TEST_F(EnginePoolsTest, PoolsWithoutACapDivideTheRestEqually) {
  SetPool(kHot, {.max_bytes = 200});
  SetPool(kWarm, {});
  Fill("h", 20, 10, kHot);
  Fill("s", 200, 10, kSharedPool);
  EXPECT_EQ(BytesOf(kSharedPool), 800);
  Fill("w", 200, 10, kWarm);
  EXPECT_EQ(BytesOf(kWarm), 400);
  EXPECT_EQ(BytesOf(kSharedPool), 400);
  EXPECT_EQ(BytesOf(kHot), 200);
}

TEST_F(EnginePoolsTest, EntriesAreSharedAsBytesAre) {
  engine_ = MakeEngine({.capacity_bytes = 1 << 20, .capacity_entries = 100, .shard_bits = 0});
  SetPool(kHot, {.max_entries = 30});
  Fill("s", 100, 1, kSharedPool);
  Fill("h", 100, 1, kHot);
  EXPECT_EQ(engine_->UseOf(kHot).entries, 30);
  EXPECT_EQ(engine_->UseOf(kSharedPool).entries, 70);
}

TEST_F(EnginePoolsTest, VictimsGoDownTheTiersAndOutAtTheEnd) {
  SetPool(kCold, {.max_bytes = 200});
  SetPool(kWarm, {.max_bytes = 100, .demote_to = kCold});
  SetPool(kHot, {.max_bytes = 50, .demote_to = kWarm});
  Fill("k", 40, 10, kHot);
  EXPECT_EQ(PoolOf("k39"), kHot);
  EXPECT_EQ(PoolOf("k35"), kHot);
  EXPECT_EQ(PoolOf("k34"), kWarm);
  EXPECT_EQ(PoolOf("k25"), kWarm);
  EXPECT_EQ(PoolOf("k24"), kCold);
  EXPECT_EQ(PoolOf("k5"), kCold);
  EXPECT_FALSE(Has("k4"));
  const EngineCounters counters = CountersOf(*engine_, "n");
  EXPECT_EQ(counters.demotions, 35 + 25);
  EXPECT_EQ(counters.evicted(EvictionCause::kSize), 5);
  EXPECT_EQ(engine_->entries(), 35);
  ExpectConsistent(*engine_);
}

TEST_F(EnginePoolsTest, OneLargeEntryDemotesAsManyAsItTakes) {
  SetPool(kWarm, {.max_bytes = 70});
  SetPool(kHot, {.max_bytes = 100, .demote_to = kWarm});
  Fill("k", 10, 10, kHot);
  Put("large", 95, kHot);
  EXPECT_EQ(engine_->UseOf(kHot), (PoolUse{95, 1}));
  EXPECT_EQ(engine_->UseOf(kWarm), (PoolUse{70, 7}));
  EXPECT_EQ(PoolOf("k9"), kWarm);
  EXPECT_FALSE(Has("k2"));
}

TEST_F(EnginePoolsTest, ANewVersionInAnotherPoolLeavesTheOldOne) {
  SetPool(kHot, {.max_bytes = 100});
  Put("k", 10, kHot, 1);
  Put("k", 20, kSharedPool, 2);
  EXPECT_EQ(engine_->UseOf(kHot), PoolUse{});
  EXPECT_EQ(engine_->UseOf(kSharedPool), (PoolUse{20, 1}));
  EXPECT_EQ(Put("k", 101, kHot, 3), PutOutcome::kTooLarge);
  EXPECT_FALSE(Has("k")) << "the older one is gone all the same";
  ExpectConsistent(*engine_);
}

TEST_F(EnginePoolsTest, ASmallerBudgetIsKeptAtOnceAndTheOrderStays) {
  SetPool(kHot, {.max_bytes = 100});
  Fill("k", 10, 10, kHot);
  Entry entry;
  ASSERT_TRUE(engine_->Get(Key("k0"), kNow, &entry));
  SetPool(kHot, {.max_bytes = 30});
  EXPECT_TRUE(Has("k0") && Has("k9") && Has("k8"));
  EXPECT_EQ(engine_->UseOf(kHot), (PoolUse{30, 3}));
  SetPool(kHot, {.max_bytes = 50});
  Fill("more", 2, 10, kHot);
  EXPECT_EQ(BytesOf(kHot), 50);
  ExpectConsistent(*engine_);
}

TEST_F(EnginePoolsTest, ASmallBudgetLivesInFewShardsAndIsExactThere) {
  engine_ = MakeEngine({.capacity_bytes = size_t{64} << 20, .shard_bits = 3});
  const NamespaceId small = *engine_->InternNamespace("small");
  const PoolOptions options = {.max_entries = 100};
  const ShardRange shards = engine_->ChooseShards({&options, 1});
  EXPECT_EQ(shards.count(), 1);
  SetPool(kHot, {.max_entries = 100, .shards = shards});
  engine_->PlaceNamespace(small, shards);
  const auto put = [&](int i) {
    Entry entry = MakeEntry("value", V(1));
    entry.pool = kHot;
    return engine_->Put(KeyOf(*engine_, "small", absl::StrCat("k", i)), entry, kNow);
  };
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) put(i);
  }
  EXPECT_EQ(engine_->UseOf(kHot).entries, 100) << "no key has driven out another";
  for (int i = 100; i < 200; ++i) put(i);
  EXPECT_EQ(engine_->UseOf(kHot).entries, 100);
  ExpectConsistent(*engine_);
}

TEST_F(EnginePoolsTest, ShardsAreChosenWhereLeastIsBudgeted) {
  engine_ = MakeEngine({.capacity_bytes = size_t{64} << 20, .shard_bits = 3});
  const size_t mib = size_t{1} << 20;
  const auto choose = [&](const PoolOptions& options) {
    return engine_->ChooseShards({&options, 1});
  };
  EXPECT_EQ(choose({}), engine_->all_shards()) << "no bound";
  EXPECT_EQ(choose({.max_bytes = 64 * mib}), engine_->all_shards());
  EXPECT_EQ(choose({.max_bytes = 7 * mib}), (ShardRange{0, 1}));
  SetPool(1, {.max_bytes = 7 * mib, .shards = choose({.max_bytes = 7 * mib})});
  EXPECT_EQ(choose({.max_bytes = 7 * mib}), (ShardRange{2, 1}));
  SetPool(2, {.max_bytes = 3 * mib, .shards = choose({.max_bytes = 3 * mib})});
  EXPECT_EQ(engine_->ChooseShards({}).bits, 3);
  EXPECT_EQ(choose({.max_entries = 10}), (ShardRange{3, 0}));
  // A pool that is large for a shard gets more of them than it would fill by number.
  engine_ = MakeEngine({.capacity_bytes = 8 * mib, .capacity_entries = 800, .shard_bits = 3});
  EXPECT_EQ(choose({.max_entries = 200}).count(), 4);
}

TEST_F(EnginePoolsTest, ABudgetBelowOneAShardIsOneAShard) {
  engine_ = MakeEngine({.capacity_bytes = 1 << 20, .shard_bits = 2});
  SetPool(kHot, {.max_entries = 2});
  Fill("h", 200, 10, kHot);
  EXPECT_EQ(engine_->UseOf(kHot).entries, 4);
}

TEST_F(EnginePoolsTest, APoolThatShrinksALotDoesSoInStepsAndEndsWithinItsBudget) {
  engine_ = MakeEngine({.capacity_bytes = size_t{64} << 20, .shard_bits = 1});
  SetPool(kWarm, {});
  SetPool(kHot, {.demote_to = kWarm});
  Fill("h", 20'000, 10, kHot);
  SetPool(kHot, {.max_bytes = 9'999, .max_entries = 1'000, .demote_to = kWarm});
  const PoolUse use = engine_->UseOf(kHot);
  EXPECT_LE(use.bytes, 9'999);
  EXPECT_GT(use.bytes, 9'000);
  EXPECT_EQ(use.entries + engine_->UseOf(kWarm).entries, 20'000) << "victims are demoted";
  ExpectConsistent(*engine_);
}

TEST_F(EnginePoolsTest, SetPoolNamesWhatIsWrong) {
  engine_ = MakeEngine({.capacity_bytes = 1000, .shard_bits = 2});
  const auto message = [&](PoolId pool, const PoolOptions& options) {
    const absl::Status status = engine_->SetPool(pool, options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(message(128, {}), HasSubstr("pool is 128"));
  EXPECT_THAT(message(kHot, {.shards = ShardRange{1, 1}}), HasSubstr("shards are 2 from 1"));
  EXPECT_THAT(message(kHot, {.shards = ShardRange{0, 3}}), HasSubstr("shards are 8 from 0"));
  EXPECT_THAT(message(kHot, {.policy = "nonesuch"}), HasSubstr("'nonesuch'"));
  EXPECT_THAT(message(kHot, {.demote_to = 200}), HasSubstr("demote_to is 200"));
  EXPECT_THAT(message(kHot, {.demote_to = kWarm}), HasSubstr("set before"));
  SetPool(kCold, {.shards = ShardRange{2, 1}});
  EXPECT_THAT(message(kHot, {.demote_to = kCold}), HasSubstr("the same shards"));
  EXPECT_THAT(message(kCold, {}), HasSubstr("those that the pool has"));
  SetPool(kWarm, {});
  SetPool(kHot, {.demote_to = kWarm});
  EXPECT_THAT(message(kWarm, {.demote_to = kHot}), HasSubstr("leads back to pool 2"));
  EXPECT_THAT(message(kHot, {.demote_to = kHot}), HasSubstr("leads back to pool 1"));
}

TEST_F(EnginePoolsTest, AdjustMovesTheExpiryOfExactlyOneVersion) {
  Put("k", 10, kSharedPool, 5);
  const auto visible_at = [&](absl::Duration now) {
    Entry entry;
    return engine_->Peek(Key("k"), now, &entry);
  };
  EXPECT_FALSE(engine_->Adjust(Key("k"), V(4), {.expires_at = kNow}));
  EXPECT_FALSE(engine_->Adjust(Key("absent"), V(5), {.expires_at = kNow}));
  EXPECT_TRUE(engine_->Adjust(Key("k"), V(5), {.expires_at = kNow + absl::Seconds(5)}));
  EXPECT_TRUE(visible_at(kNow + absl::Milliseconds(4999)));
  EXPECT_FALSE(visible_at(kNow + absl::Seconds(5)));
  EXPECT_EQ(engine_->Advance(kNow + absl::Milliseconds(4999), 10), 0);
  EXPECT_TRUE(engine_->Adjust(Key("k"), V(5), {.expires_at = kNow + absl::Hours(9)}));
  EXPECT_TRUE(visible_at(kNow + absl::Hours(8)));
  EXPECT_EQ(engine_->Advance(kNow + absl::Hours(8), 10), 0);
  EXPECT_EQ(engine_->Advance(kNow + absl::Hours(9), 10), 1);
  EXPECT_FALSE(engine_->Adjust(Key("k"), V(5), {.expires_at = kNow + absl::Hours(99)}));
  Put("k", 10, kSharedPool, 6);
  engine_->DropSlot(Key("k").slot);
  EXPECT_FALSE(engine_->Adjust(Key("k"), V(6), {.expires_at = kNow + absl::Hours(99)}));
}

TEST_F(EnginePoolsTest, AdjustPromotesAnEntryToAnotherPool) {
  SetPool(kWarm, {.max_bytes = 100});
  SetPool(kHot, {.max_bytes = 20, .demote_to = kWarm});
  Fill("k", 5, 10, kWarm);
  EXPECT_TRUE(engine_->Adjust(Key("k3"), V(1), {.pool = kHot}));
  EXPECT_EQ(PoolOf("k3"), kHot);
  EXPECT_TRUE(engine_->Adjust(Key("k1"), V(1), {.pool = kHot}));
  EXPECT_TRUE(engine_->Adjust(Key("k2"), V(1), {.pool = kHot}));
  EXPECT_EQ(PoolOf("k3"), kWarm) << "the least recent one made room";
  EXPECT_EQ(engine_->UseOf(kHot), (PoolUse{20, 2}));
  EXPECT_EQ(engine_->UseOf(kWarm), (PoolUse{30, 3}));
  ExpectConsistent(*engine_);
}

TEST_F(EnginePoolsTest, HitsAreCountedUntilTheyAreManyAndForEachVersionAnew) {
  Put("k", 10, kSharedPool, 1);
  Entry entry;
  for (int i = 1; i <= 100; ++i) {
    ASSERT_TRUE(engine_->Get(Key("k"), kNow, &entry));
    EXPECT_EQ(entry.hits, std::min<int>(i, kMaxEntryHits));
  }
  ASSERT_TRUE(engine_->Peek(Key("k"), kNow, &entry));
  EXPECT_EQ(entry.hits, kMaxEntryHits);
  Put("k", 10, kSharedPool, 2);
  ASSERT_TRUE(engine_->Peek(Key("k"), kNow, &entry));
  EXPECT_EQ(entry.hits, 0);
}

TEST_F(EnginePoolsTest, WeightsComeBackWithinTheirBounds) {
  for (const int weight : {-128, -3, -1, 0, 2, 3, 127}) {
    Entry entry = MakeEntry("v", V(1));
    entry.weight = static_cast<int8_t>(weight);
    engine_->Put(Key("k"), entry, kNow);
    ASSERT_TRUE(engine_->Peek(Key("k"), kNow, &entry));
    EXPECT_EQ(entry.weight, std::clamp(weight, -3, 3));
    engine_->Clear();
  }
}

TEST_F(EnginePoolsTest, PhantomBytesAreChargedAndStoredNowhere) {
  Entry entry = MakeEntry("value", V(1));
  entry.phantom_bytes = 400;
  EXPECT_EQ(engine_->Put(Key("a"), entry, kNow), PutOutcome::kStored);
  EXPECT_EQ(engine_->bytes(), 405);
  Entry got;
  ASSERT_TRUE(engine_->Peek(Key("a"), kNow, &got));
  EXPECT_EQ(got.phantom_bytes, 400);
  EXPECT_EQ(got.value.view(), "value");
  engine_->Put(Key("b"), entry, kNow);
  engine_->Put(Key("c"), entry, kNow);
  EXPECT_EQ(engine_->bytes(), 810);
  EXPECT_FALSE(Has("a"));
  entry.phantom_bytes = 1000;
  EXPECT_EQ(engine_->Put(Key("d"), entry, kNow), PutOutcome::kTooLarge);
}

TEST_F(EnginePoolsTest, BudgetsHoldAndSumsAgreeUnderRandomUse) {
  engine_ = MakeEngine({.capacity_bytes = 30'000, .capacity_entries = 200, .shard_bits = 1});
  SetPool(kCold, {.max_bytes = 12'000});
  SetPool(kWarm, {.max_bytes = 9'000, .max_entries = 60, .demote_to = kCold});
  SetPool(kHot, {.max_entries = 20, .demote_to = kWarm});
  std::mt19937 rng(11);
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = absl::StrCat("k", rng() % 700);
    const EntryKey key = Key(name);
    Entry entry = MakeEntry(std::string(rng() % 200, 'v'), V(1 + i));
    entry.pool = static_cast<PoolId>(rng() % 5);
    switch (rng() % 8) {
      case 0:
        engine_->Adjust(key, V(1 + rng() % (i + 1)), {.pool = entry.pool});
        if (engine_->Peek(key, kNow, &entry)) {
          EXPECT_TRUE(engine_->Adjust(key, entry.version, {.pool = PoolId(rng() % 5)}));
        }
        break;
      case 1:
        engine_->Erase(key, V(1 + i));
        break;
      case 2:
      case 3:
      case 4:
        engine_->Put(key, entry, kNow);
        break;
      default:
        engine_->Get(key, kNow, &entry);
    }
    if (i % 5000 == 0) SetPool(kCold, {.max_bytes = 6'000 + rng() % 9'000});
    PoolUse sum;
    for (const PoolId pool : {kSharedPool, kHot, kWarm, kCold, PoolId{4}}) {
      sum.bytes += engine_->UseOf(pool).bytes;
      sum.entries += engine_->UseOf(pool).entries;
    }
    ASSERT_EQ(sum, (PoolUse{engine_->bytes(), engine_->entries()}));
    ASSERT_LE(sum.bytes, 30'000);
    ASSERT_LE(sum.entries, 200);
    ASSERT_LE(engine_->UseOf(kHot).entries, 20);
    ASSERT_LE(engine_->UseOf(kWarm).entries, 60);
    ASSERT_LE(engine_->UseOf(kWarm).bytes, 9'000);
    ASSERT_LE(engine_->UseOf(kCold).bytes, 15'000);
  }
  ExpectConsistent(*engine_);
  EXPECT_GT(CountersOf(*engine_, "n").demotions, 1000);
}

}  // namespace
}  // namespace meridian
