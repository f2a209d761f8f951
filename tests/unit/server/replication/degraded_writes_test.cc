// Writes that are accepted while the regional store is away, and what becomes of them.

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/replication/node_stack.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::Optional;

class DegradedWritesTest : public testing::Test {
 protected:
  void Start(bool accept = true) {
    world_.Start();
    NamespacePolicy policy;
    policy.write_without_redis = accept;
    PolicyTable policies;
    policies.Set("*", policy);
    stack_ = std::make_unique<NodeStack>(world_, "us", 0, policies);
    world_.executor.RunFor(absl::Seconds(1));
  }
  // "ok", "degraded" or the reason of the error.
  std::string Write(WriteKind kind, const std::string& key, const std::string& value = "") {
    std::string answer = "not answered";
    stack_->Begin(kind, key, value, absl::Milliseconds(500), [&](WriteResult result) {
      answer = result.state == EntryState::kError ? result.error->reason
               : result.degraded                  ? "degraded"
                                                  : "ok";
    });
    world_.executor.RunFor(absl::Milliseconds(500));
    return answer;
  }
  void SetRedis(bool available) { world_.region("us").store->SetAvailable(available); }
  HintStats Stats() { return world_.node("us").hints.Stats(world_.clock.Monotonic()); }
  Engine& engine() { return *world_.node("us").engine; }

  ReplicationWorld world_{{"us", "eu"}};
  std::unique_ptr<NodeStack> stack_;
};

TEST_F(DegradedWritesTest, AreReadHereAtOnceAndReachTheStoreAndOtherRegionsLater) {
  Start();
  ASSERT_EQ(Write(WriteKind::kSet, "old", "old"), "ok");
  SetRedis(false);
  EXPECT_EQ(Write(WriteKind::kSet, "k", "1"), "degraded");
  EXPECT_EQ(Write(WriteKind::kSet, "k", "2"), "degraded");
  EXPECT_EQ(Write(WriteKind::kInvalidate, "old"), "degraded");
  EXPECT_EQ(stack_->Read("k"), "2");
  EXPECT_EQ(stack_->Read("old"), "miss");
  engine().Clear();  // Evicted: what waits is read all the same.
  EXPECT_EQ(stack_->Read("k"), "2");
  EXPECT_EQ(stack_->Read("old"), "miss");
  EXPECT_EQ(Stats().entries, 2u);
  EXPECT_EQ(world_.Get("us", "k"), std::nullopt);

  SetRedis(true);
  world_.executor.RunFor(absl::Seconds(4));
  EXPECT_EQ(Stats().entries, 0u);
  EXPECT_EQ(Stats().replayed_total, 2u);
  for (const char* region : {"us", "eu"}) {
    EXPECT_THAT(world_.Get(region, "k"), Optional(std::string("2"))) << region;
    EXPECT_EQ(world_.Get(region, "old"), std::nullopt) << region;
  }
  EXPECT_EQ(stack_->Read("k"), "2");
}

// Others may learn of it a whole life of tombstones later, and have the value until then.
TEST_F(DegradedWritesTest, ADeleteIsRememberedFromItsReplayOn) {
  Start();
  ASSERT_EQ(Write(WriteKind::kSet, "k", "v"), "ok");
  SetRedis(false);
  ASSERT_EQ(Write(WriteKind::kInvalidate, "k"), "degraded");
  for (int i = 0; i < 6; ++i) world_.executor.RunFor(absl::Minutes(1));
  SetRedis(true);
  world_.executor.RunFor(absl::Seconds(4));
  ASSERT_EQ(Stats().entries, 0u);
  const Version tombstone = world_.StoredVersion("us", "k");
  world_.clock.Advance(absl::Hours(24) - absl::Minutes(3));
  EXPECT_EQ(world_.StoredVersion("us", "k"), tombstone);
}

TEST_F(DegradedWritesTest, AreReplayedInTheOrderOfTheirVersions) {
  Start();
  SetRedis(false);
  for (int i = 0; i < 250; ++i) {
    ASSERT_EQ(Write(WriteKind::kSet, absl::StrCat("{t}", (i * 7) % 250), "v"), "degraded");
  }
  SetRedis(true);
  world_.executor.RunFor(absl::Seconds(5));
  const std::vector<LogEntry> log = world_.Log("us", SlotOf("task", "{t}"));
  ASSERT_EQ(log.size(), 250u);
  for (size_t i = 1; i < log.size(); ++i) EXPECT_LT(log[i - 1].version, log[i].version);
}

TEST_F(DegradedWritesTest, ThePolicyDecidesAndConditionsNeedTheStore) {
  Start(/*accept=*/false);
  SetRedis(false);
  EXPECT_EQ(Write(WriteKind::kSet, "k", "v"), "UNAVAILABLE");
  EXPECT_EQ(Stats().entries, 0u);

  world_.StopNode(world_.node("us"));
  SetRedis(true);
  Start();
  ASSERT_EQ(Write(WriteKind::kSet, "k", "v"), "ok");
  SetRedis(false);
  EXPECT_EQ(Write(WriteKind::kTouch, "k"), "UNAVAILABLE");
  EXPECT_EQ(Write(WriteKind::kSet, "k", "v"), "degraded");
}

TEST_F(DegradedWritesTest, AStoreThatDoesNotAnswerCountsAsAway) {
  Start();
  world_.node("us").wires["us"]->mode = StoreWire::Mode::kSilent;
  EXPECT_EQ(Write(WriteKind::kSet, "k", "v"), "degraded");
  world_.node("us").wires["us"]->mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(5));
  EXPECT_THAT(world_.Get("us", "k"), Optional(std::string("v")));
}

// The write was carried out, its answer was lost: it must not come twice, nor undo what followed.
TEST_F(DegradedWritesTest, AWriteThatHadArrivedIsNotRepeated) {
  Start();
  world_.region("us").store->LoseNextReply(absl::UnavailableError("lost"));
  EXPECT_EQ(Write(WriteKind::kSet, "k", "v"), "degraded");
  world_.executor.RunFor(absl::Seconds(3));
  EXPECT_EQ(Stats().entries, 0u);
  EXPECT_EQ(Stats().replayed_total, 1u);
  EXPECT_EQ(world_.Log("us", SlotOf("task", "k")).size(), 1u);
}

TEST_F(DegradedWritesTest, WhatIsNewerWinsOverWhatWaited) {
  Start();
  SetRedis(false);
  ASSERT_EQ(Write(WriteKind::kSet, "k", "waits"), "degraded");
  ASSERT_EQ(Write(WriteKind::kSet, "mine", "waits"), "degraded");
  world_.executor.RunFor(absl::Seconds(1));
  world_.Set("eu", "k", "newer");
  world_.executor.RunFor(absl::Seconds(1));
  SetRedis(true);
  EXPECT_EQ(Write(WriteKind::kSet, "mine", "newer"), "ok");
  world_.executor.RunFor(absl::Seconds(10));
  for (const char* region : {"us", "eu"}) {
    EXPECT_THAT(world_.Get(region, "k"), Optional(std::string("newer"))) << region;
    EXPECT_THAT(world_.Get(region, "mine"), Optional(std::string("newer"))) << region;
  }
  engine().Clear();
  EXPECT_EQ(stack_->Read("k"), "newer");
  EXPECT_EQ(stack_->Read("mine"), "newer");
  EXPECT_TRUE(world_.node("us").hints.empty());
}

TEST_F(DegradedWritesTest, AFullLogRefusesNewWritesAndKeepsWhatItHas) {
  Start();
  SetRedis(false);
  const std::string large(200'000, 'x');
  int accepted = 0;
  std::string answer = "degraded";
  for (int i = 0; i < 20 && answer == "degraded"; ++i) {
    answer = Write(WriteKind::kSet, absl::StrCat("key:", i), large);
    accepted += answer == "degraded";
  }
  EXPECT_EQ(answer, "HINTS_FULL");
  EXPECT_EQ(accepted, 5);  // Of 1 MiB.
  EXPECT_EQ(Stats().refused_total, 1u);
  EXPECT_EQ(stack_->Read("key:0"), large);
  SetRedis(true);
  world_.executor.RunFor(absl::Seconds(5));
  EXPECT_THAT(world_.Get("us", "key:4"), Optional(large));
  EXPECT_EQ(Write(WriteKind::kSet, "key:9", "v"), "ok");
}

TEST_F(DegradedWritesTest, AStoreThatIsAwayForTooLongEndsIt) {
  Start();
  SetRedis(false);
  ASSERT_EQ(Write(WriteKind::kSet, "k", "v"), "degraded");
  world_.executor.RunFor(absl::Minutes(10));
  EXPECT_EQ(Write(WriteKind::kSet, "k2", "v"), "HINTS_FULL");
  SetRedis(true);
  world_.executor.RunFor(absl::Seconds(5));
  EXPECT_EQ(Write(WriteKind::kSet, "k2", "v"), "ok");
  EXPECT_THAT(world_.Get("us", "k"), Optional(std::string("v")));
}

}  // namespace
}  // namespace meridian
