// Failovers of real sentinels that lose acknowledged writes: what a node then counts, restores and
// removes, and what may be read.

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/executor.h"
#include "common/engine/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/l2/apply_batch.h"
#include "server/replication/changelog_tail.h"
#include "server/replication/store_recovery.h"
#include "tests/contract/redis_sentinel_fixture.h"

namespace meridian {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

// What an older value may be read for, after the store can be reached again.
constexpr absl::Duration kMendedWithin = absl::Seconds(2);

class LossObserver final : public ReplicationObserver {
 public:
  void OnLostChanges(uint32_t, size_t count) override { lost_ += count; }
  void OnRecovered(size_t values, size_t removals) override {
    values_ += values;
    removals_ += removals;
  }
  size_t lost() const { return lost_; }
  size_t values() const { return values_; }
  size_t removals() const { return removals_; }

 private:
  std::atomic<size_t> lost_{0};
  std::atomic<size_t> values_{0};
  std::atomic<size_t> removals_{0};
};

// Remembers every change that was told.
class Told final : public ChangeSink {
 public:
  void OnSlotGained(uint32_t, LogPosition) override {}
  void OnSlotLost(uint32_t) override {}
  void OnChanges(LogPosition, const LogSlice& slice) override {
    absl::MutexLock lock(&mu_);
    for (const LogEntry& entry : slice.entries) changes_.insert({entry.key, entry.version});
  }
  void OnGap(uint32_t, GapKind) override {}
  void OnLoss(const SlotLoss&) override {}

  std::set<std::pair<std::string, Version>> changes() const {
    absl::MutexLock lock(&mu_);
    return changes_;
  }

 private:
  mutable absl::Mutex mu_;
  std::set<std::pair<std::string, Version>> changes_ ABSL_GUARDED_BY(mu_);
};

// The part of a node that follows its regional store.
class Follower {
 public:
  Follower(L2Store& store, const Clock& clock, Engine& engine, bool recovers)
      : recovery_(
            {}, store, engine, [](uint64_t) { return absl::ZeroDuration(); },
            [](const L2Key&, Version) {}, gate_, clock, observer_),
        tail_({}, store, gate_, clock, observer_,
              recovers ? std::vector<ChangeSink*>{&told_, &recovery_}
                       : std::vector<ChangeSink*>{&told_}) {
    std::vector<uint32_t> slots;
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) slots.push_back(slot);
    gate_.Post([this, slots] {
      tail_.SetOwned(slots);
      tail_.Start();
    });
  }
  // REQUIRES: the store is gone before this is: it answers what is under way.
  void Stop() { gate_.Close(); }

  bool FollowsAll() {
    return gate_.Locked([this] { return tail_.followed() == kSlotCount; });
  }
  const Told& told() const { return told_; }
  const LossObserver& observer() const { return observer_; }

 private:
  ThreadExecutor executor_{"follower"};
  TaskGate gate_{executor_};
  LossObserver observer_;
  Told told_;
  StoreRecovery recovery_;
  ChangelogTail tail_;
};

class RedisFailoverLossTest : public RedisSentinelTest {
 protected:
  void Start(bool recovers) {
    StartGroup();
    OpenStore(FastTimeouts(), Url());
    follower_ = std::make_unique<Follower>(*store_, clock_, *engine_, recovers);
    ASSERT_TRUE(WaitUntil([&] { return follower_->FollowsAll(); }, kPatience));
  }
  void TearDown() override {
    if (follower_ != nullptr) follower_->Stop();
    store_.reset();
  }

  bool IsTold(const std::string& key, int version) const {
    return follower_->told().changes().count({key, Put(key, version, "").version}) > 0;
  }
  static L2Write Delete(const std::string& key, int version) {
    L2Write write = Put(key, version, "");
    write.record.clear();
    AppendRecord({.version = write.version,
                  .expires_at = write.expires_at,
                  .kind = RecordKind::kTombstone,
                  .tags = {},
                  .value = {}},
                 &write.record);
    return write;
  }
  void PutL1(const std::string& key, int version) {
    const NamespaceId id = *engine_->InternNamespace("task");
    Entry entry;
    entry.value = Buffer::CopyOf(ValueOf(key, version));
    entry.raw_size = static_cast<uint32_t>(entry.value.size());
    entry.version = Put(key, version, "").version;
    entry.expires_at = clock_.Monotonic() + absl::Hours(1);
    engine_->Put({.name_space = id,
                  .slot = SlotOf("task", key),
                  .hash = engine_->HashOf(id, key),
                  .key = key},
                 std::move(entry), clock_.Monotonic());
  }
  // The live value, "" for none, "?" when the store cannot be asked.
  std::string Read(const std::string& key) {
    const L2Record record = Fetch({Key(key)}, absl::Milliseconds(500))[0];
    if (!record.status.ok()) return "?";
    if (record.record.view().empty()) return "";
    const auto parsed = ParseRecord(record.record.view());
    return !parsed.ok() ? "corrupt" : std::string(parsed->value);
  }

  std::unique_ptr<Engine> engine_ = *Engine::Create({.capacity_bytes = size_t{1} << 20});
  std::unique_ptr<Follower> follower_;
};

TEST_F(RedisFailoverLossTest, WhatIsLostIsCountedExactlyAndNothingOlderIsRead) {
  Start(/*recovers=*/true);
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 20; ++i) {
    const std::string key = absl::StrCat("k", i);
    ASSERT_TRUE(ApplyStatus(Put(key, 1, ValueOf(key, 1))).ok());
    expected[key] = ValueOf(key, 1);
  }
  for (size_t i = 1; i < 3; ++i) {
    ASSERT_TRUE(WaitUntil(
        [&] {
          return servers_[i]->Command({"EXISTS", EntryRedisKey(Key("k19"))}).value_or("") == ":1";
        },
        kPatience));
  }
  FreezeReplicas();
  for (int i = 0; i < 15; ++i) {
    const std::string key = absl::StrCat("k", i);
    ASSERT_TRUE(ApplyStatus(i < 10 ? Put(key, 2, ValueOf(key, 2)) : Delete(key, 2)).ok());
    if (i < 5) PutL1(key, 2);
    expected[key] = i < 5 ? ValueOf(key, 2) : "";  // Of the others the value is known to nobody.
  }
  ASSERT_TRUE(WaitUntil(
      [&] {
        for (int i = 0; i < 15; ++i) {
          if (!IsTold(absl::StrCat("k", i), 2)) return false;
        }
        return true;
      },
      kPatience));
  KillPrimary();
  // Somebody writes at the new primary at once: that slot's log does not end before what was told.
  ASSERT_TRUE(
      WaitUntil([&] { return ApplyStatus(Put("{k1}new", 1, "new"), absl::Milliseconds(300)).ok(); },
                kPatience));
  const absl::Time back = absl::Now();
  absl::Time last_wrong = back;
  ASSERT_TRUE(WaitUntil(
      [&] {
        for (const auto& [key, value] : expected) {
          if (Read(key) != value) {
            last_wrong = absl::Now();
            return false;
          }
        }
        return follower_->observer().lost() > 0;
      },
      kPatience));
  std::printf("mended %.0f ms after the first write\n",
              absl::ToDoubleMilliseconds(last_wrong - back));
  EXPECT_LE(last_wrong - back, kMendedWithin);
  EXPECT_EQ(follower_->observer().lost(), 15u);
  ASSERT_TRUE(WaitUntil([&] { return follower_->observer().values() > 0; }, kPatience));
  EXPECT_EQ(follower_->observer().values(), 5u);     // k0 to k4.
  EXPECT_EQ(follower_->observer().removals(), 10u);  // k5 to k14.
  EXPECT_EQ(store_->Generation(), 1u);
}

// Without anything that mends: an older value is read only of a key of which a newer change is
// lost, and the tail counts exactly those that it had seen.
TEST_F(RedisFailoverLossTest, UnderLoadOlderValuesAreReadOnlyOfWhatIsLostAndThatIsCounted) {
  Start(/*recovers=*/false);
  Load load(*this);
  ASSERT_TRUE(WaitUntil([&] { return load.written() >= 200; }, kPatience));
  FreezeReplicas();
  int before = load.written();
  ASSERT_TRUE(WaitUntil([&] { return load.written() >= before + 100; }, kPatience));
  // The tail has seen some of what will be lost.
  const auto before_size = static_cast<size_t>(before);
  ASSERT_TRUE(
      WaitUntil([&] { return follower_->told().changes().size() > before_size; }, kPatience));
  KillPrimary();
  before = load.written();
  ASSERT_TRUE(WaitUntil([&] { return load.written() >= before + 200; }, kPatience));
  load.Stop();
  EXPECT_EQ(load.wrong_values(), 0);
  const Changes lost = LostOf(load);
  EXPECT_GE(lost.size(), 100u);
  load.ExpectOlderReadsAreOf(lost);
  const auto told = follower_->told().changes();
  const auto seen = static_cast<size_t>(
      std::count_if(lost.begin(), lost.end(), [&](const std::pair<std::string, int>& change) {
        return told.count({change.first, Put(change.first, change.second, "").version}) > 0;
      }));
  EXPECT_GT(seen, 0u);
  EXPECT_TRUE(WaitUntil([&] { return follower_->observer().lost() >= seen; }, kPatience));
  EXPECT_EQ(follower_->observer().lost(), seen);
  std::printf("%zu changes lost, %zu of them seen and counted, %zu older reads\n", lost.size(),
              seen, load.older_reads());
}

}  // namespace
}  // namespace meridian
