// The books of an engine with several pools, under every policy: what it holds is what was put and
// not taken away, and every byte and entry of it is counted where it is.

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/engine/engine.h"
#include "common/engine/eviction_policy.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

constexpr int kKeys = 900;
constexpr PoolId kPools = 4;  // The shared one and three of their own.
constexpr size_t kBytes = 90'000;
constexpr size_t kEntries = 400;

class EngineBooksTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    engine_ = MakeEngine({.capacity_bytes = kBytes,
                          .capacity_entries = kEntries,
                          .shard_bits = 1,
                          .policy = GetParam(),
                          .hash_seed = 3});
    SetPools();
  }

  // 3 -> 2 -> 1, each with other budgets than before.
  void SetPools() {
    for (PoolId pool = 1; pool < kPools; ++pool) {
      PoolOptions options = {.max_bytes = 10'000 + rng_() % 40'000,
                             .max_entries = 30 + rng_() % 150,
                             .policy = rng_() % 4 == 0 ? "lru" : GetParam()};
      if (pool > 1) options.demote_to = static_cast<PoolId>(pool - 1);
      caps_[pool] = options;
      ASSERT_TRUE(engine_->SetPool(pool, options).ok());
    }
  }

  EntryKey Key(int number) {
    names_[number] = absl::StrCat("key:", number);
    return KeyOf(*engine_, number % 3 == 0 ? "a" : "b", names_[number]);
  }

  Entry RandomEntry() {
    Entry entry = MakeEntry(std::string(rng_() % 40 == 0 ? 1500 : rng_() % 400, 'v'), V(++clock_));
    entry.expires_at = now_ + absl::Milliseconds(1 + rng_() % 3000);
    entry.pool = static_cast<PoolId>(rng_() % (kPools + 1));  // The last was never set.
    entry.weight = static_cast<int8_t>(static_cast<int>(rng_() % 7) - 3);
    if (rng_() % 16 == 0) entry.phantom_bytes = rng_() % 500;
    if (rng_() % 16 == 0) entry.tags = Buffer::CopyOf("tags");
    return entry;
  }

  void Step() {
    const int number = static_cast<int>(rng_() % kKeys);
    const EntryKey key = Key(number);
    Entry entry;
    switch (rng_() % 16) {
      case 0:
        engine_->Erase(key, V(++clock_));
        newest_.erase(number);
        break;
      case 1:
        if (rng_() % 64 != 0) break;
        engine_->DropSlot(key.slot);
        std::erase_if(newest_, [&](const auto& item) { return Key(item.first).slot == key.slot; });
        break;
      case 2:
        now_ += absl::Microseconds(rng_() % 4000);
        break;
      case 3:
        if (engine_->Peek(key, now_, &entry)) {
          Adjustment change;
          if (rng_() % 2 == 0) change.pool = static_cast<PoolId>(rng_() % kPools);
          if (rng_() % 2 == 0) change.expires_at = now_ + absl::Milliseconds(1 + rng_() % 3000);
          ASSERT_TRUE(engine_->Adjust(key, entry.version, change));
          if (change.expires_at) newest_[number].expires_at = *change.expires_at;
        }
        break;
      case 4:
        if (rng_() % 512 == 0) SetPools();
        break;
      case 5:
      case 6:
      case 7:
      case 8:
      case 9: {
        entry = RandomEntry();
        // An older version never takes the place of a newer one.
        Entry old = entry;
        old.version = V(1);
        const PutOutcome outcome = engine_->Put(key, entry, now_);
        if (outcome == PutOutcome::kStored) {
          newest_[number] = entry;
          Entry there;
          const bool refused = !engine_->Peek(key, now_, &there);
          const PutOutcome again = engine_->Put(key, old, now_);
          ASSERT_EQ(again, refused ? PutOutcome::kStored : PutOutcome::kStale);
          if (refused) newest_[number] = old;
        } else {
          newest_.erase(number);
        }
        break;
      }
      default:
        Expect(number, engine_->Get(key, now_, &entry), entry);
    }
  }

  // What is found must be what was put last and not taken away since.
  void Expect(int number, bool found, const Entry& entry) {
    if (!found) return;
    const auto at = newest_.find(number);
    ASSERT_NE(at, newest_.end()) << number << " came back";
    ASSERT_EQ(entry.version, at->second.version);
    ASSERT_EQ(entry.value.view(), at->second.value.view());
    ASSERT_EQ(entry.weight, at->second.weight);
    ASSERT_LT(now_, at->second.expires_at);
  }

  // Counts everything by hand.
  void Audit() {
    engine_->Advance(now_, 1'000'000);
    now_ = absl::Floor(now_, absl::Milliseconds(1));  // What the wheel has freed by now.
    engine_->Advance(now_, 1'000'000);
    std::array<PoolUse, kPools> used = {};
    std::map<std::string, PoolUse> by_name;
    for (int number = 0; number < kKeys; ++number) {
      const EntryKey key = Key(number);
      Entry entry;
      if (!engine_->Peek(key, now_, &entry)) continue;
      Expect(number, true, entry);
      ASSERT_LT(entry.pool, kPools);
      const size_t charge = EntryCharge(key.key.size(), entry);
      for (PoolUse* use : {&used[entry.pool], &by_name[number % 3 == 0 ? "a" : "b"]}) {
        use->bytes += charge;
        ++use->entries;
      }
    }
    PoolUse sum;
    for (PoolId pool = 0; pool < kPools; ++pool) {
      ASSERT_EQ(engine_->UseOf(pool), used[pool]) << int{pool};
      sum.bytes += used[pool].bytes;
      sum.entries += used[pool].entries;
      if (pool == 0) continue;
      ASSERT_LE(used[pool].bytes, caps_[pool].max_bytes);
      ASSERT_LE(used[pool].entries, caps_[pool].max_entries);
    }
    ASSERT_EQ(engine_->bytes(), sum.bytes);
    ASSERT_EQ(engine_->entries(), sum.entries);
    ASSERT_LE(sum.bytes, kBytes);
    ASSERT_LE(sum.entries, kEntries);
    for (const NamespaceEngineStats& stats : engine_->Stats()) {
      ASSERT_EQ(stats.counters.bytes, by_name[stats.name_space].bytes);
      ASSERT_EQ(stats.counters.entries, by_name[stats.name_space].entries);
    }
  }

  std::mt19937 rng_{17};
  std::unique_ptr<Engine> engine_;
  std::array<PoolOptions, kPools> caps_;
  std::array<std::string, kKeys> names_;
  std::map<int, Entry> newest_;
  uint64_t clock_ = 1;
  absl::Duration now_ = absl::Seconds(5000);
};

TEST_P(EngineBooksTest, AMillionOperationsOverAllPoliciesLeaveNothingUncounted) {
  for (int i = 0; i < 130'000; ++i) {
    ASSERT_NO_FATAL_FAILURE(Step()) << i;
    if (i % 500 == 0) {
      ASSERT_NO_FATAL_FAILURE(Audit()) << i;
    }
  }
  uint64_t demotions = 0;
  for (const NamespaceEngineStats& stats : engine_->Stats()) demotions += stats.counters.demotions;
  EXPECT_GT(demotions, 100u);
}

INSTANTIATE_TEST_SUITE_P(Policies, EngineBooksTest, testing::ValuesIn(EvictionPolicyNames()),
                         [](const auto& policy) { return policy.param; });

}  // namespace
}  // namespace meridian
