// A region that was away for longer than tombstones are kept is not ready before the others have
// told it what to forget.

#include "server/replication/fence_wait.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FenceWaitTest : public testing::Test {
 protected:
  FenceWaitTest() {
    world_.options.link.repair.tombstone_ttl = absl::Hours(24);
    world_.options.link.repair.page_keys = 1;
    world_.options.link.repair.keys_per_second = 1;  // So that it can be watched.
    world_.Start();
    world_.Set("us", "{a}deleted", "back from the dead", absl::Hours(24 * 30));
    world_.Set("us", "{a}kept", "v", absl::Hours(24 * 30));
    world_.executor.RunFor(absl::Seconds(2));
  }
  // Nobody in us sends anything for `away`, and the log loses what it had.
  void BeAway(absl::Duration away) {
    world_.StopNode(world_.node("us"));
    world_.Delete("us", "{a}deleted");
    world_.executor.RunDue();
    world_.StopNode(world_.node("eu"));  // Nothing happens; only time passes.
    world_.clock.Advance(away);
    world_.Set("us", "{a}new", "v");
    world_.executor.RunDue();
    world_.region("us").store->TrimLog(SlotOf("task", "{a}"), 1);
  }
  std::vector<std::string> WaitsFor() { return world_.node("eu").replication->WaitsForFences(); }
  void ExpectToWaitUntilItIsMended() {
    bool readable_while_ready = false;
    for (int i = 0; i < 3000 && !WaitsFor().empty(); ++i) {
      world_.executor.RunFor(absl::Milliseconds(100));
      readable_while_ready |= WaitsFor().empty() && world_.Get("eu", "{a}deleted") != std::nullopt;
    }
    EXPECT_THAT(WaitsFor(), IsEmpty());
    EXPECT_FALSE(readable_while_ready);
    EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
    EXPECT_NE(world_.Get("eu", "{a}kept"), std::nullopt);
  }

  ReplicationWorld world_{{"us", "eu"}};
};

TEST_F(FenceWaitTest, ItWaitsUntilItIsMended) {
  EXPECT_THAT(WaitsFor(), IsEmpty());
  BeAway(absl::Hours(48));
  world_.Start();
  world_.executor.RunFor(absl::Milliseconds(500));
  EXPECT_THAT(WaitsFor(), ElementsAre("us"));
  EXPECT_NE(world_.Get("eu", "{a}deleted"), std::nullopt);  // This is why.
  ExpectToWaitUntilItIsMended();
}

TEST_F(FenceWaitTest, AShorterAbsenceIsNoReason) {
  BeAway(absl::Hours(23));
  world_.Start();
  world_.executor.RunFor(absl::Milliseconds(500));
  EXPECT_THAT(WaitsFor(), IsEmpty());
}

TEST_F(FenceWaitTest, AnIdleRegionIsNotBehind) {
  for (int hour = 0; hour < 3; ++hour) {
    world_.StopNode(world_.node("us"));
    world_.StopNode(world_.node("eu"));
    world_.clock.Advance(absl::Hours(24));
    world_.Start();
    world_.executor.RunFor(absl::Seconds(2));
    EXPECT_THAT(WaitsFor(), IsEmpty()) << hour;
  }
}

TEST_F(FenceWaitTest, AStoreThatIsAwayIsWaitedForSecondsOnly) {
  BeAway(absl::Hours(48));
  for (const StoreWire::Mode mode : {StoreWire::Mode::kRefused, StoreWire::Mode::kSilent}) {
    for (const char* store : {"us", "eu"}) {
      world_.node("eu").wires[store]->mode = mode;
      world_.Start();
      world_.executor.RunFor(absl::Seconds(1));
      EXPECT_THAT(WaitsFor(), ElementsAre("us")) << store;
      world_.executor.RunFor(absl::Seconds(3));
      EXPECT_THAT(WaitsFor(), IsEmpty()) << store;
      world_.node("eu").wires[store]->mode = StoreWire::Mode::kOpen;
      world_.StopNode(world_.node("us"));
      world_.StopNode(world_.node("eu"));
    }
  }
}

// One that starts while its region is still cut off.
TEST_F(FenceWaitTest, ARegionThatAnswersLaterIsWaitedForThen) {
  BeAway(absl::Hours(48));
  world_.node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  world_.node("eu").wires["us"]->mode = StoreWire::Mode::kRefused;
  world_.Start();
  world_.executor.RunFor(absl::Minutes(5));
  ASSERT_THAT(WaitsFor(), IsEmpty());
  ASSERT_NE(world_.Get("eu", "{a}deleted"), std::nullopt);
  world_.node("us").wires["eu"]->mode = StoreWire::Mode::kOpen;
  world_.node("eu").wires["us"]->mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Milliseconds(1100));
  EXPECT_THAT(WaitsFor(), ElementsAre("us"));
  ExpectToWaitUntilItIsMended();
}

TEST_F(FenceWaitTest, AnErrorSaysNothingAtTheStartNorLater) {
  BeAway(absl::Hours(48));
  for (const char* store : {"us", "eu"}) {
    for (const StoreWire::Mode mode : {StoreWire::Mode::kRefused, StoreWire::Mode::kSilent}) {
      StoreWire& wire = *world_.node("eu").wires[store];
      wire.mode = mode;
      world_.Start();  // The first time from the start on, then while it waits.
      world_.executor.RunFor(absl::Milliseconds(500));
      wire.mode = StoreWire::Mode::kOpen;
      world_.executor.RunFor(absl::Milliseconds(100));
      EXPECT_THAT(WaitsFor(), ElementsAre("us")) << store;
    }
  }
  ExpectToWaitUntilItIsMended();
}

TEST_F(FenceWaitTest, ItGivesUpWhenNobodyIsThereToMendIt) {
  BeAway(absl::Hours(48));
  world_.Start();
  world_.StopNode(world_.node("us"));
  world_.executor.RunFor(absl::Minutes(9));
  EXPECT_THAT(WaitsFor(), ElementsAre("us"));
  world_.executor.RunFor(absl::Minutes(2));
  EXPECT_THAT(WaitsFor(), IsEmpty());
  world_.Start();  // Somebody is.
  world_.executor.RunFor(absl::Seconds(20));
  EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
}

TEST_F(FenceWaitTest, ItWaitsAsLongAsTheRepairGoesOn) {
  world_.options.heartbeat_interval = absl::Seconds(5);
  for (int i = 0; i < 300; ++i) {
    world_.Set("us", absl::StrCat("{a}", i), "v", absl::Hours(24 * 30));
  }
  world_.executor.RunFor(absl::Seconds(10));
  ASSERT_NE(world_.Get("eu", "{a}299"), std::nullopt);
  BeAway(absl::Hours(48));
  world_.Start();
  world_.executor.RunFor(absl::Minutes(13));  // Walks of five minutes.
  EXPECT_THAT(WaitsFor(), ElementsAre("us"));
  ExpectToWaitUntilItIsMended();
}

// Its nodes are gone, its store is filled by others: nobody there has deleted anything.
TEST_F(FenceWaitTest, ARegionWithoutNodesIsNotWaitedFor) {
  world_.StopNode(world_.node("us"));
  world_.clock.Advance(absl::Hours(48));
  for (int i = 0; i < 5; ++i) world_.Set("eu", absl::StrCat("{a}", i), "v");
  world_.executor.RunFor(absl::Seconds(5));
  ASSERT_NE(world_.Get("us", "{a}4"), std::nullopt);
  world_.StopNode(world_.node("eu"));
  world_.Start();
  world_.StopNode(world_.node("us"));
  world_.executor.RunFor(absl::Milliseconds(500));
  EXPECT_THAT(WaitsFor(), IsEmpty());
}

TEST_F(FenceWaitTest, ANodeThatServesGoesOnServing) {
  world_.node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  world_.Delete("us", "{a}deleted");
  world_.executor.RunDue();
  world_.StopNode(world_.node("us"));
  world_.clock.Advance(absl::Hours(48));
  world_.Set("us", "{a}new", "v");
  world_.executor.RunFor(absl::Minutes(1));
  EXPECT_THAT(WaitsFor(), IsEmpty());
}

}  // namespace
}  // namespace meridian
