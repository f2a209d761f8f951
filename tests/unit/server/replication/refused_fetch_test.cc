// Records that the own store does not give out: what it refuses for its load, or for ours, is asked
// for again until it comes; only what is too large to be read is stood for by a drop.

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr int kKeys = 20;
const std::string kBad = "{a}7";

class RefusedFetchTest : public testing::Test {
 protected:
  RefusedFetchTest() {
    world_.Start();
    for (const char* slot : {"{a}", "{b}"}) world_.Set("us", absl::StrCat(slot, "first"), "v");
    world_.Set("us", kBad, "old");
    Run(absl::Seconds(2));
    EXPECT_EQ(world_.Get("eu", kBad), "old");
  }
  void Run(absl::Duration time) { world_.executor.RunFor(time); }
  StoreWire& own() { return *world_.node("us").wires["us"]; }
  LinkStatus link() { return world_.Link("us", "eu"); }
  void Write() {
    for (int i = 0; i < kKeys; ++i) {
      for (const char* slot : {"{a}", "{b}"}) world_.Set("us", absl::StrCat(slot, i), "new");
    }
  }
  // Writes while nothing is sent, so that a comparison must find it.
  void WriteBehindAHole() {
    StoreWire& wire = *world_.node("us").wires["eu"];
    wire.mode = StoreWire::Mode::kRefused;
    world_.StopNode(world_.node("us"));
    Write();
    world_.Set("us", "{a}last", "v");
    world_.executor.RunDue();
    world_.region("us").store->TrimLog(SlotOf("task", "{a}"), 1);
    wire.mode = StoreWire::Mode::kOpen;
    world_.Start();
  }
  void ExpectAllHasArrived() {
    EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
    EXPECT_EQ(link().backlog, 0u);
    EXPECT_EQ(link().dropped_total, 0u);
    EXPECT_EQ(link().repair.refused_total, 0u);
    for (int i = 0; i < kKeys; ++i) {
      for (const char* slot : {"{a}", "{b}"}) {
        EXPECT_EQ(world_.Get("eu", absl::StrCat(slot, i)), "new") << slot << i;
      }
    }
  }

  ReplicationWorld world_{{"us", "eu"}};
};

// A shipment is many commands, each refused by itself.
TEST_F(RefusedFetchTest, WhatIsOverloadedInPartIsFetchedAgainAndNotLeftOut) {
  own().overloaded.insert(kBad);
  Write();
  Run(absl::Minutes(1));
  EXPECT_EQ(world_.Get("eu", kBad), "old") << "nothing stands for it";
  EXPECT_EQ(link().dropped_total, 0u);
  own().overloaded.clear();
  Run(absl::Seconds(1));
  ExpectAllHasArrived();
}

TEST_F(RefusedFetchTest, ItDelaysItsOwnSlotAlone) {
  own().overloaded.insert(kBad);
  for (int i = 0; i < 200; ++i) {
    if (i % 20 == 0) Write();
    const std::string key = absl::StrCat("{b}hot", i);
    world_.Set("us", key, "v");
    Run(absl::Milliseconds(50));
    ASSERT_EQ(world_.Get("eu", key), "v") << "at once, all the time";
    ASSERT_NE(link().state, LinkState::kDisconnected) << link().problem;
  }
  own().overloaded.clear();
  Run(absl::Seconds(1));
  ExpectAllHasArrived();
}

TEST_F(RefusedFetchTest, OneThatIsOverloadedAloneForLongArrives) {
  own().overloaded.insert(kBad);
  world_.Set("us", kBad, "new");
  Run(absl::Minutes(2));
  EXPECT_EQ(world_.Get("eu", kBad), "old");
  EXPECT_EQ(link().dropped_total, 0u);
  own().overloaded.clear();
  Write();
  Run(absl::Seconds(10));
  ExpectAllHasArrived();
}

TEST_F(RefusedFetchTest, ARepairWaitsForWhatIsOverloaded) {
  own().overloaded.insert(kBad);
  WriteBehindAHole();
  Run(absl::Minutes(2));
  EXPECT_EQ(world_.Get("eu", kBad), "old");
  EXPECT_EQ(link().repair.slots, 1u);
  own().overloaded.clear();
  Run(absl::Minutes(1));
  ExpectAllHasArrived();
}

TEST_F(RefusedFetchTest, ARepairCountsWhatIsTooLargeToBeRead) {
  own().too_large.insert(kBad);
  WriteBehindAHole();
  Run(absl::Minutes(2));
  EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
  EXPECT_EQ(link().repair.refused_total, 1u);
  EXPECT_EQ(world_.Get("eu", kBad), std::nullopt) << "what it overtook is not read";
  EXPECT_EQ(world_.Get("eu", "{a}8"), "new");
}

}  // namespace
}  // namespace meridian
