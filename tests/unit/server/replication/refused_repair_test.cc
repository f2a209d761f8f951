// A repair some of whose keys the other region's store does not take: they hold up nobody else, and
// a store that takes nothing is waited for.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr int kKeys = 150;
const std::string kBad = "{a}7";

class RefusedRepairTest : public testing::Test {
 protected:
  RefusedRepairTest() {
    world_.Start();
    for (const char* slot : {"{a}", "{b}"}) {
      world_.Set("us", absl::StrCat(slot, "first"), "v");
    }
    world_.executor.RunFor(absl::Seconds(2));
    to_eu().mode = StoreWire::Mode::kRefused;
    world_.StopNode(world_.node("us"));
    for (const char* slot : {"{a}", "{b}"}) {
      for (int i = 0; i < kKeys; ++i) world_.Set("us", absl::StrCat(slot, i), "v");
      world_.Set("us", absl::StrCat(slot, "last"), "v");
      world_.executor.RunDue();
      world_.region("us").store->TrimLog(SlotOf("task", slot), 1);
    }
  }
  void Heal() {
    to_eu().mode = StoreWire::Mode::kOpen;
    world_.Start();
  }
  StoreWire& to_eu() { return *world_.node("us").wires["eu"]; }
  LinkStatus link() { return world_.Link("us", "eu"); }
  int Missing(const std::string& slot) {
    int missing = 0;
    for (int i = 0; i < kKeys; ++i) {
      missing += world_.Get("eu", absl::StrCat(slot, i)) == std::nullopt ? 1 : 0;
    }
    return missing;
  }
  void ExpectAllButTheBadOne() {
    EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
    EXPECT_EQ(link().repair.slots, 0u);
    EXPECT_EQ(link().repair.refused_total, 1u);
    EXPECT_EQ(world_.Get("eu", kBad), std::nullopt);
    EXPECT_EQ(Missing("{a}"), 1);
    EXPECT_EQ(Missing("{b}"), 0);
  }

  ReplicationWorld world_{{"us", "eu"}};
};

TEST_F(RefusedRepairTest, AKeyThatCanNeverBeWrittenIsCountedAndLeftOut) {
  to_eu().refused[kBad] = absl::InvalidArgumentError("never");
  Heal();
  world_.executor.RunFor(absl::Seconds(10));
  ExpectAllButTheBadOne();
}

TEST_F(RefusedRepairTest, WhateverIsWrongWithIt) {
  int bad = 0;
  for (const auto code : {absl::StatusCode::kDataLoss, absl::StatusCode::kOutOfRange,
                          absl::StatusCode::kFailedPrecondition}) {
    to_eu().refused[absl::StrCat("{a}", bad++)] = absl::Status(code, "never");
  }
  Heal();
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
  EXPECT_EQ(link().repair.refused_total, 3u);
  EXPECT_EQ(Missing("{a}"), 3);
}

// Its script fails, and with it all that was sent together with it.
TEST_F(RefusedRepairTest, AKeyThatFailsTimeAndAgainIsLeftOutWhereItsSlotTakesOthers) {
  for (const auto code : {absl::StatusCode::kInternal, absl::StatusCode::kResourceExhausted}) {
    SCOPED_TRACE(static_cast<int>(code));
    to_eu().refused[kBad] = absl::Status(code, "this one");
    to_eu().refuses_calls = true;
    Heal();
    world_.executor.RunFor(absl::Minutes(1));
    ExpectAllButTheBadOne();
    world_.StopNode(world_.node("us"));
    world_.region("us").store->TrimLog(SlotOf("task", "{a}"), 1);
    world_.Wipe(world_.region("eu"));  // The same again.
  }
}

// What it has overtaken must not be read over there.
TEST_F(RefusedRepairTest, WhatIsOlderThanARefusedOneGoes) {
  Heal();
  world_.executor.RunFor(absl::Seconds(10));
  for (const auto code : {absl::StatusCode::kInvalidArgument, absl::StatusCode::kInternal,
                          absl::StatusCode::kResourceExhausted}) {
    SCOPED_TRACE(static_cast<int>(code));
    to_eu().refused.clear();
    world_.Set("us", kBad, "old");
    world_.executor.RunFor(absl::Seconds(10));
    ASSERT_EQ(world_.Get("eu", kBad), "old");
    to_eu().mode = StoreWire::Mode::kRefused;
    world_.StopNode(world_.node("us"));
    world_.Set("us", kBad, "new");
    world_.Set("us", "{a}last", "v");
    world_.executor.RunDue();
    world_.region("us").store->TrimLog(SlotOf("task", "{a}"), 1);
    to_eu().refused[kBad] = absl::Status(code, "this one");
    to_eu().refuses_calls = code != absl::StatusCode::kInvalidArgument;
    to_eu().takes_drops = true;
    Heal();
    world_.executor.RunFor(absl::Minutes(1));
    EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
    EXPECT_EQ(link().repair.refused_total, 1u) << "of this node";
    EXPECT_EQ(world_.Get("eu", kBad), std::nullopt);
    EXPECT_EQ(Missing("{a}"), 1);
  }
}

// Its drop is still to be done: the pass that begins anew must not take it for done.
TEST_F(RefusedRepairTest, OneThatWasGivenUpIsSentWhenThePassBeginsAnew) {
  Heal();
  world_.executor.RunFor(absl::Seconds(10));
  world_.Set("us", kBad, "old");
  world_.executor.RunFor(absl::Seconds(10));
  ASSERT_EQ(world_.Get("eu", kBad), "old");
  to_eu().mode = StoreWire::Mode::kRefused;
  world_.StopNode(world_.node("us"));
  world_.Set("us", kBad, "new");
  world_.Set("us", "{a}last", "v");
  world_.executor.RunDue();
  world_.region("us").store->TrimLog(SlotOf("task", "{a}"), 1);
  to_eu().refused[kBad] = absl::InternalError("this one");
  to_eu().refuses_calls = true;
  Heal();
  for (int i = 0; i < 60'000 && link().repair.refused_total == 0; ++i) {
    world_.executor.RunFor(absl::Milliseconds(1));
  }
  ASSERT_EQ(link().repair.refused_total, 1u);
  ASSERT_EQ(world_.Get("eu", kBad), "old") << "its drop is not taken";
  FakeL2Store& store = *world_.region("us").store;
  store.GoBackTo(*store.Save());
  to_eu().refused.clear();
  world_.executor.RunFor(absl::Minutes(1));
  EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
  EXPECT_EQ(world_.Get("eu", kBad), "new");
}

// Two of them, and memory that was short for a while only.
TEST_F(RefusedRepairTest, SeveralOfOnePageAreLeftOutEachOnce) {
  for (const int i : {7, 8, 9}) {
    to_eu().refused[absl::StrCat("{a}", i)] = absl::ResourceExhaustedError("this one");
  }
  to_eu().refuses_calls = true;
  Heal();
  world_.executor.RunFor(absl::Seconds(6));
  to_eu().refused.erase("{a}9");
  world_.executor.RunFor(absl::Minutes(3));
  EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
  EXPECT_EQ(link().repair.refused_total, 2u);
  EXPECT_EQ(Missing("{a}"), 2);
  EXPECT_NE(world_.Get("eu", "{a}9"), std::nullopt);
}

TEST_F(RefusedRepairTest, AFullStoreIsWaitedForAndNothingIsLeftOut) {
  to_eu().full = absl::ResourceExhaustedError("OOM");
  Heal();
  world_.executor.RunFor(absl::Minutes(10));
  EXPECT_EQ(link().repair.slots, 2u);
  EXPECT_EQ(link().repair.refused_total, 0u);
  EXPECT_EQ(Missing("{a}"), kKeys);
  to_eu().full = absl::OkStatus();
  world_.executor.RunFor(absl::Minutes(1));
  EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
  EXPECT_EQ(link().repair.refused_total, 0u);
  EXPECT_EQ(Missing("{a}"), 0);
  EXPECT_EQ(Missing("{b}"), 0);
}

// Between its last refusal and the question whether it takes others.
TEST_F(RefusedRepairTest, AStoreThatRecoversAtTheWrongMomentLosesNothing) {
  for (int i = 0; i < kKeys; ++i) {  // Not what the link sends meanwhile.
    to_eu().refused[absl::StrCat("{a}", i)] = absl::InternalError("all of them");
  }
  to_eu().recovers_when_probed = true;
  Heal();
  world_.executor.RunFor(absl::Minutes(1));
  ASSERT_TRUE(to_eu().refused.empty()) << "it was asked";
  EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
  EXPECT_EQ(link().repair.refused_total, 0u);
  EXPECT_EQ(Missing("{a}"), 0);
  EXPECT_EQ(Missing("{b}"), 0);
}

// One that changes all the time is sent with every try of the page.
TEST_F(RefusedRepairTest, AKeyThatIsAlwaysHotHidesNobody) {
  to_eu().refused[kBad] = absl::ResourceExhaustedError("this one");
  to_eu().refuses_calls = true;
  Heal();
  to_eu().delay = absl::Milliseconds(200);  // Time for it to change between a look and the link.
  for (int i = 0; i < 6000; ++i) {
    world_.Set("us", "{a}1", "hot");
    world_.executor.RunFor(absl::Milliseconds(20));
  }
  EXPECT_EQ(link().repair.refused_total, 1u);
  EXPECT_EQ(link().repair.slots, 0u);
}

TEST_F(RefusedRepairTest, SoIsOneServerOfACluster) {
  to_eu().full = absl::InternalError("a disk that is full, say");
  to_eu().full_slots = {SlotOf("task", "{a}")};
  Heal();
  world_.executor.RunFor(absl::Minutes(10));
  EXPECT_EQ(link().repair.refused_total, 0u);
  EXPECT_EQ(Missing("{a}"), kKeys);
  to_eu().full = absl::OkStatus();
  world_.executor.RunFor(absl::Minutes(1));
  EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
  EXPECT_EQ(link().repair.refused_total, 0u);
  EXPECT_EQ(Missing("{a}"), 0);
}

}  // namespace
}  // namespace meridian
