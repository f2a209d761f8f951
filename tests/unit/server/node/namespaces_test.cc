#include "server/node/namespaces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace meridian {
namespace {

PolicyTable Table(const std::string& yaml) {
  PolicyTable table;
  EXPECT_TRUE(table.ReadText("test.yaml", yaml).ok());
  return table;
}

std::shared_ptr<const PolicyTable> Shared(const std::string& yaml) {
  return std::make_shared<const PolicyTable>(Table(yaml));
}

size_t AliveOf(const std::vector<std::weak_ptr<const PolicyTable>>& tables) {
  return static_cast<size_t>(std::count_if(tables.begin(), tables.end(),
                                           [](const auto& table) { return !table.expired(); }));
}

class NamespacesTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> engine_ = *Engine::Create({.capacity_bytes = 1 << 20, .shard_bits = 0});
};

TEST_F(NamespacesTest, OtherPoliciesReachKnownAndNewNamespaces) {
  Namespaces namespaces(*engine_, Table("task: {ttl: 30s}"));
  const Namespace* task = namespaces.Resolve("task");
  const Namespace* other = namespaces.Resolve("other");
  EXPECT_EQ(task->policy()->ttl, absl::Seconds(30));
  namespaces.SetPolicies(Shared("task: {ttl: 60s}\nlate: {ttl: 7s}\n\"*\": {ttl: 5s}"));
  EXPECT_EQ(task->policy()->ttl, absl::Seconds(60));
  EXPECT_EQ(other->policy()->ttl, absl::Seconds(5));
  EXPECT_EQ(namespaces.Resolve("late")->policy()->ttl, absl::Seconds(7));
  EXPECT_EQ(namespaces.policies()->Of("task").ttl, absl::Seconds(60));
}

TEST_F(NamespacesTest, APolicyThatARequestHoldsOutlivesAReload) {
  Namespaces namespaces(*engine_, Table("task: {ttl: 30s}"));
  const SlotPolicies before = namespaces.Resolve("task")->policies();
  namespaces.SetPolicies(Shared("task: {ttl: 60s}"));
  EXPECT_EQ(before.Of(1).ttl, absl::Seconds(30));
  EXPECT_EQ(namespaces.Resolve("task")->policy()->ttl, absl::Seconds(60));
}

// Each version is tried in stages, and then is in force or taken back.
TEST_F(NamespacesTest, HundredsOfVersionsTakeTheMemoryOfThoseThatAreInForceOrHeld) {
  Namespaces namespaces(*engine_, Table("task: {ttl: 30s}"));
  for (int i = 0; i < 50; ++i) (void)namespaces.Resolve("other" + std::to_string(i));
  const Namespace* const task = namespaces.Resolve("task");
  std::vector<std::weak_ptr<const PolicyTable>> tables;
  std::optional<SlotPolicies> held;  // By a request that takes long.
  std::shared_ptr<const PolicyTable> base = Shared("task: {ttl: 30s}");
  size_t most = 0;
  for (uint64_t version = 1; version <= 300; ++version) {
    std::shared_ptr<const PolicyTable> trial =
        Shared("task: {ttl: " + std::to_string(version) + "s}\n\"*\": {ttl: 7s}");
    tables.push_back(trial);
    for (const uint32_t percent : {10, 50, 100}) {
      namespaces.SetPolicies(PolicySet{.base = base,
                                       .base_version = version - 1,
                                       .trial = trial,
                                       .trial_version = version,
                                       .trial_percent = percent});
      if (version == 20 && percent == 50) held = task->policies();
      most = std::max(most, AliveOf(tables));
    }
    if (version % 2 == 0) base = trial;  // Else it is taken back.
    namespaces.SetPolicies(PolicySet{.base = base, .base_version = version});
  }
  // The base, the trial before which is in force until the next one is, the trial; and those that
  // the request has.
  EXPECT_LE(most, 5u);
  EXPECT_EQ(task->policy()->ttl, absl::Seconds(300));
  const TrialSlots slots(20, 50);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    EXPECT_EQ(held->Of(slot).ttl, absl::Seconds(slots.Has(slot) ? 20 : 18)) << slot;
  }
  base = nullptr;
  held = std::nullopt;
  EXPECT_EQ(AliveOf(tables), 1u) << "what is in force";
}

TEST_F(NamespacesTest, NamespacesThatHaveThePoliciesOfTheRestShareWhatIsTried) {
  Namespaces namespaces(*engine_, Table("task: {ttl: 30s}"));
  namespaces.SetPolicies(PolicySet{.base = Shared("{}"),
                                   .trial = Shared("\"*\": {ttl: 7s}"),
                                   .trial_version = 1,
                                   .trial_percent = 50});
  uint32_t slot = 0;
  while (!TrialSlots(1, 50).Has(slot)) ++slot;
  const SlotPolicies one = namespaces.Resolve("one")->policies();
  const SlotPolicies two = namespaces.Resolve("two")->policies();
  EXPECT_EQ(&one.Of(slot), &two.Of(slot));
  EXPECT_EQ(one.Of(slot).ttl, absl::Seconds(7));
}

TEST_F(NamespacesTest, Requirement0_20_ATrialIsForItsSlotsOnly) {
  Namespaces namespaces(*engine_, Table("task: {ttl: 30s}"));
  const Namespace* task = namespaces.Resolve("task");
  const SlotPolicies before = task->policies();
  EXPECT_EQ(before.VersionOf(1), 0u);
  PolicySet set = {.base = Shared("task: {ttl: 30s}"),
                   .base_version = 3,
                   .trial = Shared("task: {ttl: 1s}\nlate: {ttl: 2s}"),
                   .trial_version = 4,
                   .trial_percent = 10};
  namespaces.SetPolicies(set);
  const TrialSlots slots(4, 10);
  const SlotPolicies now = task->policies();
  const SlotPolicies late = namespaces.Resolve("late")->policies();
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const bool tried = slots.Has(slot);
    EXPECT_EQ(now.Of(slot).ttl, absl::Seconds(tried ? 1 : 30)) << slot;
    EXPECT_EQ(task->policies().VersionOf(slot), tried ? 4u : 3u) << slot;
    EXPECT_EQ(late.Of(slot).ttl, tried ? absl::Seconds(2) : absl::Hours(1)) << slot;
    EXPECT_EQ(before.Of(slot).ttl, absl::Seconds(30)) << "of a request that began before";
  }
  set.trial_percent = 100;
  namespaces.SetPolicies(set);
  EXPECT_FALSE(task->policies().HasTrial());
  EXPECT_EQ(task->policies().VersionOf(0), 4u);
  EXPECT_EQ(task->policy()->ttl, absl::Seconds(1));
  EXPECT_EQ(namespaces.policies()->Of("task").ttl, absl::Seconds(1));
  set.trial = nullptr;
  namespaces.SetPolicies(set);
  EXPECT_EQ(task->policy()->ttl, absl::Seconds(30)) << "rolled back";
  EXPECT_EQ(task->policies().base_version(), 3u);
}

TEST_F(NamespacesTest, ATrialLeavesBudgetsAndFormsOfKeysUntilItIsForAllSlots) {
  Namespaces namespaces(*engine_, Table("task: {ttl: 30s, max_entries: 50}"));
  const Namespace* task = namespaces.Resolve("task");
  const PoolId pool = task->pool(0);
  PolicySet set = {.base = Shared("task: {ttl: 30s, max_entries: 50}"),
                   .trial = Shared("task: {ttl: 1s, key: {normalize: trim}}"),
                   .trial_version = 1,
                   .trial_percent = 50};
  namespaces.SetPolicies(set);
  EXPECT_EQ(task->pool(0), pool);
  const SlotPolicies now = task->policies();
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    EXPECT_FALSE(now.Of(slot).key.trim) << slot;
    EXPECT_EQ(now.Of(slot).pools.size(), 1u) << slot;
  }
  set.trial_percent = 100;
  namespaces.SetPolicies(set);
  EXPECT_TRUE(task->policy()->key.trim);
  EXPECT_EQ(task->pool(0), kSharedPool);
}

TEST_F(NamespacesTest, BudgetsThatL1CannotHoldAreProblems) {
  Namespaces namespaces(*engine_, Table("task: {max_bytes: 2MiB}\nother: {max_bytes: 1KiB}"));
  ASSERT_EQ(namespaces.Problems().size(), 2u);
  EXPECT_NE(namespaces.Problems()[0].find("task: max_bytes 2097152 is more than all of L1"),
            std::string::npos);
  EXPECT_NE(namespaces.Problems()[1].find("add up to 1049600 bytes, L1 has 1048576"),
            std::string::npos);
  namespaces.SetPolicies(Shared("task: {max_bytes: 512KiB}\nother: {max_bytes: 512KiB}"));
  EXPECT_EQ(namespaces.Problems().size(), 0u);
}

TEST_F(NamespacesTest, StrangersShareTheBudgetOfTheRest) {
  Namespaces namespaces(*engine_, Table("task: {max_entries: 50}\n\"*\": {max_entries: 80}"));
  const Namespace* first = namespaces.Resolve("stranger0");
  for (int i = 1; i < 200; ++i) {
    const Namespace* other = namespaces.Resolve("stranger" + std::to_string(i));
    EXPECT_EQ(other->pool(0), first->pool(0));
  }
  EXPECT_NE(first->pool(0), kSharedPool);
  const Namespace* task = namespaces.Resolve("task");
  EXPECT_NE(task->pool(0), kSharedPool) << "its pool was not taken by others";
  EXPECT_NE(task->pool(0), first->pool(0));
  EXPECT_TRUE(namespaces.Problems().empty());
}

TEST_F(NamespacesTest, PoolsOfBudgetsThatAreGoneAreUsedAgain) {
  Namespaces namespaces(*engine_, Table("task: {max_entries: 50}"));
  for (int i = 0; i < 300; ++i) {
    const std::string name = "n" + std::to_string(i);
    namespaces.SetPolicies(Shared("task: {max_entries: 50}\n" + name + ": {max_entries: 40}"));
    EXPECT_NE(namespaces.Resolve(name)->pool(0), kSharedPool) << name;
    EXPECT_NE(namespaces.Resolve(name)->pool(0), namespaces.Resolve("task")->pool(0));
    EXPECT_TRUE(namespaces.Problems().empty()) << namespaces.Problems()[0];
  }
  EXPECT_EQ(namespaces.Resolve("n0")->pool(0), kSharedPool) << "it has no budget any more";
}

TEST_F(NamespacesTest, ASmallBudgetHoldsWhatItSays) {
  engine_ = *Engine::Create({.capacity_bytes = 64 << 20, .shard_bits = 3});
  Namespaces namespaces(*engine_, Table("tiny: {max_entries: 4}"));
  const Namespace* tiny = namespaces.Resolve("tiny");
  EXPECT_EQ(engine_->ShardsOf(tiny->id).count(), 1);
  // Who was used before has all shards, and keeps them.
  const Namespace* late = namespaces.Resolve("late");
  namespaces.SetPolicies(Shared("tiny: {max_entries: 4}\nlate: {max_entries: 100}"));
  EXPECT_EQ(engine_->ShardsOf(late->id), engine_->all_shards());
  EXPECT_NE(late->pool(0), kSharedPool);
  EXPECT_TRUE(namespaces.Problems().empty());
}

TEST_F(NamespacesTest, ABudgetThatMustWaitForARestartIsAProblem) {
  engine_ = *Engine::Create({.capacity_bytes = 64 << 20, .shard_bits = 3});
  Namespaces namespaces(*engine_, Table("task: {max_entries: 4}\n\"*\": {max_bytes: 32MiB}"));
  const Namespace* task = namespaces.Resolve("task");
  namespaces.SetPolicies(Shared("\"*\": {max_bytes: 32MiB}"));
  EXPECT_EQ(task->pool(0), kSharedPool);
  ASSERT_EQ(namespaces.Problems().size(), 1);
  EXPECT_NE(namespaces.Problems()[0].find("when the node is restarted"), std::string::npos);
}

TEST_F(NamespacesTest, RequestsSeeOneWholePolicyWhileItChanges) {
  // Two fields that always agree: a reader that saw half a policy would see them differ.
  Namespaces namespaces(*engine_, Table("task: {ttl: 1s, l1_ttl: 1s}"));
  const Namespace* task = namespaces.Resolve("task");
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const std::shared_ptr<const NamespacePolicy> policy = task->policy();
        if (policy->ttl != policy->l1_ttl) ++torn;
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    const std::string seconds = std::to_string(1 + i % 7) + "s";
    namespaces.SetPolicies(Shared("task: {ttl: " + seconds + ", l1_ttl: " + seconds + "}"));
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
}

}  // namespace
}  // namespace meridian
