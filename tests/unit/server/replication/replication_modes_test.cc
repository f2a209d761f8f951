// What leaves a region, and whether a writer waits for it: the modes of namespaces.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/node/record.h"
#include "server/replication/sync_waits.h"
#include "tests/unit/server/replication/node_stack.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class SyncTest : public testing::Test {
 protected:
  void Start(uint32_t sync_regions = 0) {
    world_.modes["task"] = ReplicationMode::kSync;
    world_.Start();
    NamespacePolicy policy;
    policy.replication = ReplicationMode::kSync;
    policy.sync_regions = sync_regions;
    PolicyTable policies;
    policies.Set("*", policy);
    stack_ = std::make_unique<NodeStack>(world_, "us", 0, policies);
    world_.executor.RunFor(absl::Seconds(1));
  }
  // The answer, with the time that it took.
  struct Answer {
    WriteResult result;
    absl::Duration took;
  };
  std::optional<Answer> Set(const std::string& key, absl::Duration timeout = absl::Seconds(2),
                            WriteKind kind = WriteKind::kSet) {
    std::optional<Answer> answer;
    const absl::Duration begin = world_.clock.Monotonic();
    stack_->Begin(kind, key, "v", timeout, [&](WriteResult result) {
      answer = Answer{std::move(result), world_.clock.Monotonic() - begin};
    });
    world_.executor.RunFor(timeout + absl::Milliseconds(1));
    return answer;
  }
  StoreWire& Wire(const std::string& to) { return *world_.node("us").wires[to]; }

  ReplicationWorld world_;
  std::unique_ptr<NodeStack> stack_;
};

TEST_F(SyncTest, AnAnswerNamesTheRegionsThatHaveItAndTheyDo) {
  Start();
  Wire("eu").delay = absl::Milliseconds(40);
  Wire("asia").delay = absl::Milliseconds(120);
  for (const WriteKind kind : {WriteKind::kSet, WriteKind::kTouch, WriteKind::kInvalidate}) {
    const std::optional<Answer> answer = Set("k", absl::Seconds(2), kind);
    ASSERT_TRUE(answer.has_value());
    ASSERT_EQ(answer->result.state, EntryState::kOk);
    EXPECT_THAT(answer->result.replicated_regions, UnorderedElementsAre("eu", "asia"));
    EXPECT_EQ(world_.StoredVersion("eu", "k"), answer->result.version);
    EXPECT_EQ(world_.StoredVersion("asia", "k"), answer->result.version);
    // The way there, and nothing of a poll's interval.
    EXPECT_LE(answer->took, absl::Milliseconds(122));
  }
  EXPECT_EQ(world_.Get("asia", "k"), std::nullopt);
}

TEST_F(SyncTest, SoManyRegionsAreWaitedForAsThePolicySays) {
  Start(/*sync_regions=*/1);
  Wire("eu").delay = absl::Milliseconds(40);
  Wire("asia").delay = absl::Milliseconds(700);
  world_.executor.RunFor(absl::Seconds(5));
  const std::optional<Answer> answer = Set("k");
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(answer->result.replicated_regions, ElementsAre("eu"));
  EXPECT_LE(answer->took, absl::Milliseconds(42));
  EXPECT_THAT(world_.Get("asia", "k"), Optional(std::string("v")));  // Later.
}

TEST_F(SyncTest, TheDeadlineEndsTheWaitAndTheWriteStands) {
  Start();
  Wire("asia").mode = StoreWire::Mode::kSilent;
  const std::optional<Answer> answer = Set("k", absl::Milliseconds(500));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->result.state, EntryState::kOk);
  EXPECT_THAT(answer->result.replicated_regions, ElementsAre("eu"));
  EXPECT_LE(answer->took, absl::Milliseconds(500));
  Wire("asia").mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(20));
  EXPECT_EQ(world_.StoredVersion("asia", "k"), answer->result.version);
}

TEST_F(SyncTest, ARegionThatIsAwayOrCutIsNotWaitedFor) {
  Start();
  Wire("asia").mode = StoreWire::Mode::kRefused;
  Set("first");  // Now the link knows.
  std::optional<Answer> answer = Set("k");
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(answer->result.replicated_regions, ElementsAre("eu"));
  EXPECT_LT(answer->took, absl::Milliseconds(100));

  world_.node("us").replication->SetCut("eu", true, "", [](const absl::Status&) {});
  world_.executor.RunFor(absl::Seconds(1));
  answer = Set("k");
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(answer->result.replicated_regions, IsEmpty());
  EXPECT_LT(answer->took, absl::Milliseconds(100));

  world_.node("us").replication->SetCut("eu", false, "", [](const absl::Status&) {});
  Wire("asia").mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(5));
  answer = Set("k");
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(answer->result.replicated_regions, SizeIs(2));
}

// A drop goes in its place, and is taken: that is not the value.
TEST_F(SyncTest, WhatCannotBeSentAnyMoreIsInNoOtherRegion) {
  Start();
  Wire("us").evicted.insert("evicted");
  Wire("us").too_large.insert("large");
  for (const char* key : {"evicted", "large"}) {
    const std::optional<Answer> answer = Set(key);
    ASSERT_TRUE(answer.has_value()) << key;
    EXPECT_EQ(answer->result.state, EntryState::kOk) << key;
    EXPECT_THAT(answer->result.replicated_regions, IsEmpty()) << key;
    EXPECT_LE(answer->took, absl::Milliseconds(100)) << key << ": nobody waits for it";
  }
  // Deleted is deleted.
  const std::optional<Answer> answer = Set("evicted", absl::Seconds(2), WriteKind::kInvalidate);
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(answer->result.replicated_regions, UnorderedElementsAre("eu", "asia"));
}

// Whether it comes in one batch with the others, or fails the whole batch of its slot.
TEST_F(SyncTest, AKeyThatARegionDoesNotTakeKeepsNobodyElseWaiting) {
  Start();
  Wire("eu").takes_drops = true;
  for (const bool whole_calls : {false, true}) {
    SCOPED_TRACE(whole_calls);
    Wire("eu").refuses_calls = whole_calls;
    Wire("eu").refused["{a}bad"] =
        whole_calls ? absl::InternalError("its script fails") : absl::InvalidArgumentError("never");
    for (int i = 0; i < 10; ++i) {
      world_.Set("us", "{a}bad", "v");
      const std::optional<Answer> answer = Set(whole_calls ? "{b}k" : "{a}k");
      ASSERT_TRUE(answer.has_value());
      EXPECT_THAT(answer->result.replicated_regions, UnorderedElementsAre("eu", "asia")) << i;
      EXPECT_LE(answer->took, absl::Milliseconds(100));
    }
  }
}

TEST_F(SyncTest, AFailedWriteIsAnsweredAtOnceAndAStoppedNodeAnswersEverybody) {
  Start();
  world_.region("us").store->FailNext(absl::UnavailableError("once"));
  std::optional<Answer> answer = Set("k");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->result.state, EntryState::kError);
  EXPECT_LT(answer->took, absl::Milliseconds(50));

  Wire("asia").mode = StoreWire::Mode::kSilent;
  std::optional<WriteResult> late;
  stack_->Begin(WriteKind::kSet, "k", "v", absl::Hours(1),
                [&](WriteResult result) { late = std::move(result); });
  world_.executor.RunFor(absl::Milliseconds(100));
  EXPECT_FALSE(late.has_value());
  world_.node("us").replication->AnswerSyncWaits();
  world_.executor.RunFor(absl::Milliseconds(1));
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->state, EntryState::kOk);
  EXPECT_THAT(late->replicated_regions, ElementsAre("eu"));
}

TEST_F(SyncTest, ManyWritersOfOneKeyAllGetTheirAnswer) {
  Start();
  int answers = 0;
  for (int i = 0; i < 200; ++i) {
    stack_->Begin(WriteKind::kSet, "k", absl::StrCat(i), absl::Seconds(2), [&](WriteResult result) {
      EXPECT_THAT(result.replicated_regions, SizeIs(2));
      ++answers;
    });
    if (i % 7 == 0) world_.executor.RunFor(absl::Milliseconds(3));
  }
  world_.executor.RunFor(absl::Milliseconds(200));
  EXPECT_EQ(answers, 200);
}

TEST(InvalidateOnlyTest, OtherRegionsDropWhatIsOlderAndNoValueLeaves) {
  ReplicationWorld world({"us", "eu"});
  world.modes["task"] = ReplicationMode::kInvalidateOnly;
  world.Start();
  world.executor.RunFor(absl::Milliseconds(50));
  world.Set("eu", "k", "eu's");
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.Get("us", "k"), std::nullopt);

  const int fetches = world.region("us").store->calls().fetch;
  world.Set("us", "k", "us's");
  world.executor.RunFor(absl::Milliseconds(500));
  EXPECT_EQ(world.Get("eu", "k"), std::nullopt);
  EXPECT_THAT(world.Get("us", "k"), Optional(std::string("us's")));
  EXPECT_EQ(world.region("us").store->calls().fetch, fetches);  // Not even fetched.
  // Each loads it for itself; a delete reaches both.
  world.Set("eu", "k", "loaded");
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_THAT(world.Get("eu", "k"), Optional(std::string("loaded")));
  EXPECT_EQ(world.Get("us", "k"), std::nullopt);
  world.Set("us", "k", "again");
  world.executor.RunFor(absl::Seconds(1));
  world.Delete("us", "k");
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.Get("us", "k"), std::nullopt);
  EXPECT_EQ(world.Get("eu", "k"), std::nullopt);
  EXPECT_EQ(world.Link("us", "eu").dropped_total, 0u);
}

TEST(InvalidateOnlyTest, ARepairDropsWhatIsOlderAndSendsNothingElse) {
  ReplicationWorld world({"us", "eu"});
  world.modes["task"] = ReplicationMode::kInvalidateOnly;
  world.Start();
  world.Set("us", "{t}first", "v");
  world.executor.RunFor(absl::Seconds(2));
  world.node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  world.Set("eu", "{t}7", "older");
  world.executor.RunFor(absl::Seconds(1));
  for (int i = 0; i < 100; ++i) world.Set("us", absl::StrCat("{t}", i), "v");
  world.executor.RunDue();
  world.region("us").store->TrimLog(SlotOf("task", "{t}"), 1);
  world.StopNode(world.node("us"));
  world.node("us").wires["eu"]->mode = StoreWire::Mode::kOpen;
  world.Start();
  world.executor.RunFor(absl::Seconds(30));
  EXPECT_EQ(world.Get("eu", "{t}7"), std::nullopt);
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
  EXPECT_EQ(world.Link("us", "eu").repair.sent_total, 1u);
  EXPECT_EQ(world.StoredVersion("eu", "{t}8"), Version());
  EXPECT_THAT(world.Get("us", "{t}7"), Optional(std::string("v")));
}

}  // namespace
}  // namespace meridian
