#include "common/engine/gone_keys.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

constexpr absl::Duration kNow = absl::Seconds(1000);
const absl::Duration kLater = kNow + absl::Minutes(1);

TEST(GoneKeysTest, RemembersOfEachKeyWhatCameLast) {
  GoneKeys gone(1 << 16);
  EXPECT_EQ(gone.Look(7), MissCause::kNew);
  for (size_t cause = 1; cause < kMissCauses; ++cause) {
    gone.Put(cause << 32 | 7, static_cast<MissCause>(cause));
  }
  for (size_t cause = 1; cause < kMissCauses; ++cause) {
    EXPECT_EQ(gone.Look(cause << 32 | 7), static_cast<MissCause>(cause));
  }
  EXPECT_EQ(gone.Look(7), MissCause::kNew);
  gone.Put(uint64_t{1} << 32 | 7, MissCause::kTtl);
  EXPECT_EQ(gone.Look(uint64_t{1} << 32 | 7), MissCause::kTtl);
}

TEST(GoneKeysTest, ForgetsTheOldestAndTakesFewStrangersForFriends) {
  constexpr size_t kRoom = 4096;
  GoneKeys gone(kRoom);
  std::mt19937_64 rng(5);
  std::vector<uint64_t> hashes(4 * kRoom);
  for (uint64_t& hash : hashes) gone.Put(hash = rng(), MissCause::kSize);
  const auto known = [&](size_t from, size_t to) {
    size_t count = 0;
    for (size_t i = from; i < to; ++i) count += gone.Look(hashes[i]) == MissCause::kSize;
    return static_cast<double>(count) / static_cast<double>(to - from);
  };
  EXPECT_GT(known(hashes.size() - kRoom / 4, hashes.size()), 0.8);
  EXPECT_LT(known(0, kRoom), 0.1);
  size_t strangers = 0;
  for (int i = 0; i < 100'000; ++i) strangers += gone.Look(rng()) != MissCause::kNew;
  EXPECT_LT(strangers, 40u) << "one in 8191, about 12";
}

TEST(MissCauseTest, IsNamedAsTheEvictionIs) {
  EXPECT_EQ(MissCauseName(MissCause::kNew), "new");
  EXPECT_EQ(MissCauseName(MissCause::kErase), "erase");
  for (size_t i = 0; i < kEvictionCauses; ++i) {
    const auto cause = static_cast<EvictionCause>(i);
    EXPECT_EQ(MissCauseName(MissCauseOf(cause)), EvictionCauseName(cause));
  }
}

class MissCausesTest : public testing::Test {
 protected:
  void Put(std::string_view key, absl::Duration expires_at = absl::Hours(1)) {
    engine_->Put(Key(key), MakeEntry("value", V(++clock_), expires_at), kNow);
  }
  EntryKey Key(std::string_view key) { return KeyOf(*engine_, "task", key); }

  // The cause that a look counts; kMissCauses when it is a hit.
  size_t Look(std::string_view key, absl::Duration now = kNow) {
    const EngineCounters before = CountersOf(*engine_, "task");
    Entry entry;
    const bool found = engine_->Get(Key(key), now, &entry);
    const EngineCounters after = CountersOf(*engine_, "task");
    EXPECT_EQ(after.misses(), before.misses() + (found ? 0 : 1));
    for (size_t i = 0; i < kMissCauses; ++i) {
      if (after.misses_by[i] != before.misses_by[i]) return i;
    }
    return kMissCauses;
  }
  void ExpectMiss(MissCause cause, std::string_view key, absl::Duration now = kNow) {
    const size_t looked = Look(key, now);
    EXPECT_EQ(looked, static_cast<size_t>(cause)) << key << ", not " << MissCauseName(cause);
  }

  std::unique_ptr<Engine> engine_ = MakeEngine(
      {.capacity_bytes = 1 << 20, .capacity_entries = 4, .shard_bits = 0, .hash_seed = 3});
  uint64_t clock_ = 0;
};

TEST_F(MissCausesTest, NobodyHasHadIt) {
  ExpectMiss(MissCause::kNew, "a");
  Put("b");
  ExpectMiss(MissCause::kNew, "a");
  EXPECT_EQ(Look("b"), kMissCauses) << "a hit";
}

TEST_F(MissCausesTest, ExpiredIsTheSameBeforeAndAfterItIsFreed) {
  Put("a", kNow + absl::Seconds(1));
  ExpectMiss(MissCause::kTtl, "a", kLater);
  ASSERT_EQ(engine_->Advance(kLater, 10), 1u);
  ExpectMiss(MissCause::kTtl, "a", kLater);
}

TEST_F(MissCausesTest, EvictedForRoom) {
  for (const char* key : {"a", "b", "c", "d", "e"}) Put(key);
  ExpectMiss(MissCause::kSize, "a");
  Put("a");
  EXPECT_EQ(Look("a"), kMissCauses) << "it is back";
}

TEST_F(MissCausesTest, Invalidated) {
  Put("a");
  ASSERT_TRUE(engine_->Erase(Key("a"), V(++clock_)));
  ExpectMiss(MissCause::kErase, "a");
}

TEST_F(MissCausesTest, FencedOrDroppedIsTheSameBeforeAndAfterItIsFreed) {
  Put("a");
  Put("b");
  engine_->DropSlot(SlotOf("task", "a"));
  engine_->fences().Add(*engine_->InternNamespace("task"), FenceScope::kNamespace, "", ++clock_);
  ExpectMiss(MissCause::kFence, "a");
  ExpectMiss(MissCause::kFence, "b");
  ASSERT_EQ(engine_->Advance(kLater, 10), 2u);
  ExpectMiss(MissCause::kFence, "a", kLater);
  ExpectMiss(MissCause::kFence, "b", kLater);
}

TEST_F(MissCausesTest, KeptOutByTheCaller) {
  engine_->NoteRefused(Key("a"));
  ExpectMiss(MissCause::kAdmission, "a");
}

TEST_F(MissCausesTest, RefusedByTheEvictionPolicy) {
  engine_ = MakeEngine({.capacity_bytes = 1 << 20,
                        .capacity_entries = 4,
                        .shard_bits = 0,
                        .policy = "ttl",  // What ends first leaves first.
                        .hash_seed = 3});
  for (const char* key : {"a", "b", "c", "d"}) Put(key);
  Put("e", kNow + absl::Minutes(1));
  ExpectMiss(MissCause::kAdmission, "e");
}

TEST_F(MissCausesTest, ReplacedByWhatCouldNotStay) {
  Put("a");
  engine_->Put(Key("a"), MakeEntry(std::string(2 << 20, 'v'), V(++clock_)), kNow);
  ExpectMiss(MissCause::kReplaced, "a");
}

TEST_F(MissCausesTest, WarmingThatLooksCountsNone) {
  const EntryKey key = Key("a");
  Lookup answer;
  engine_->GetBatch({&key, 1}, kNow, &answer, LookKind::kWarming);
  EXPECT_EQ(CountersOf(*engine_, "task").misses(), 0u);
  engine_->GetBatch({&key, 1}, kNow, &answer);
  EXPECT_EQ(CountersOf(*engine_, "task").missed(MissCause::kNew), 1u);
}

}  // namespace
}  // namespace meridian
