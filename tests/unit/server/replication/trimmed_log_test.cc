// Changelogs that were trimmed, emptied or lost before every region had read them.

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/replication/replication.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::Contains;
using ::testing::Optional;

constexpr absl::Duration kSoon = absl::Milliseconds(50);  // Two idle polls and some.

// A cut of us from eu during which the changelog of the slot of {a} keeps `kept` entries.
class TrimmedLogTest : public ::testing::Test {
 protected:
  void Cut() {
    world_.Set("us", "{a}first", "v");
    world_.Start();
    world_.executor.RunFor(absl::Seconds(3));  // Cursors have been told.
    Wire().mode = StoreWire::Mode::kRefused;
    world_.executor.RunFor(absl::Milliseconds(100));
  }
  void TrimAndHeal(size_t kept) {
    world_.region("us").store->TrimLog(kSlot, kept);
    Wire().mode = StoreWire::Mode::kOpen;
  }
  StoreWire& Wire() { return *world_.node("us").wires.at("eu"); }
  LinkStatus Link() { return world_.Link("us", "eu"); }

  const uint32_t kSlot = SlotOf("task", "{a}0");
  ReplicationWorld world_{{"us", "eu"}};
};

TEST_F(TrimmedLogTest, IsReportedAndMendedByItself) {
  world_.Set("us", "{a}old", "1");
  world_.Set("us", "{a}deleted", "1");
  Cut();
  world_.Delete("us", "{a}deleted");
  for (int i = 0; i < 1500; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  world_.Set("us", "{a}old", "2");
  world_.modes = {{"scratch", ReplicationMode::kLocal}};
  world_.Set("us", "{a}secret", "s", absl::Hours(1), "scratch");
  for (int i = 0; i < 5; ++i) world_.Set("us", "{a}last", absl::StrCat(i));
  world_.executor.RunFor(kSoon);
  TrimAndHeal(3);
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
  EXPECT_EQ(Link().gaps_total, 1u);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
  EXPECT_EQ(Link().repair.slots, 0u);
  EXPECT_GE(Link().repair.mended_total, 1u);
  EXPECT_THAT(world_.node("us").observer.states["eu"], Contains(LinkState::kRepairing));
  for (int i = 0; i < 1500; ++i) {
    EXPECT_THAT(world_.Get("eu", absl::StrCat("{a}", i)), Optional(std::string("v"))) << i;
  }
  EXPECT_THAT(world_.Get("eu", "{a}old"), Optional(std::string("2")));
  EXPECT_THAT(world_.Get("eu", "{a}last"), Optional(std::string("4")));
  EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
  EXPECT_EQ(world_.Get("eu", "{a}secret", "scratch"), std::nullopt);
}

TEST_F(TrimmedLogTest, ALogOfWhichNothingIsLeftIsMendedToo) {
  world_.Set("us", "{a}old", "1");
  world_.Set("us", "{a}deleted", "1");
  Cut();
  world_.Delete("us", "{a}deleted");
  world_.Set("us", "{a}old", "2");
  world_.executor.RunFor(kSoon);
  TrimAndHeal(0);
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
  EXPECT_GE(Link().repair.mended_total, 1u);
  EXPECT_THAT(world_.Get("eu", "{a}old"), Optional(std::string("2")));
  EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
}

TEST_F(TrimmedLogTest, ALogThatIsLostAsAWholeIsMendedToo) {
  world_.Set("us", "{a}old", "1");
  world_.Set("us", "{a}deleted", "1");
  Cut();
  world_.Delete("us", "{a}deleted");
  world_.Set("us", "{a}old", "2");
  world_.executor.RunFor(kSoon);
  world_.region("us").store->LoseLog(kSlot);
  Wire().mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_GE(world_.node("us").observer.link_gaps, 1);
  EXPECT_THAT(world_.Get("eu", "{a}old"), Optional(std::string("2")));
  EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
  const uint64_t compared = Link().repair.compared_total;
  Wire().mode = StoreWire::Mode::kRefused;
  world_.executor.RunFor(absl::Seconds(1));
  Wire().mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(Link().repair.compared_total, compared) << "the same loss is mended once";
}

// What other processes wrote and trimmed while this one could not read its own store.
TEST_F(TrimmedLogTest, WhatTheTailMissedIsNotTakenForRead) {
  world_.Start();
  world_.Set("us", "{a}0", "v");
  world_.executor.RunFor(absl::Seconds(3));
  StoreWire& own = *world_.node("us").wires.at("us");
  own.mode = StoreWire::Mode::kRefused;
  world_.executor.RunFor(absl::Seconds(1));
  world_.Set("us", "{a}1", "missed");
  world_.Set("us", "{a}2", "seen");
  world_.executor.RunFor(kSoon);
  world_.region("us").store->TrimLog(kSlot, 1);
  own.mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world_.DifferingKeys({"{a}0", "{a}1", "{a}2"}), 0);
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
}

TEST_F(TrimmedLogTest, TheCursorStaysUntilItIsMendedSoThatANewOwnerFindsTheHole) {
  Cut();
  world_.Set("us", "{a}0", "v");
  for (int i = 0; i < 9; ++i) world_.Set("us", "{a}1", absl::StrCat(i));
  world_.executor.RunFor(kSoon);
  world_.options.link.repair.keys_per_second = 1;  // It cannot end before the node is gone.
  world_.StopNode(world_.node("us"));
  world_.Start();
  world_.executor.RunFor(kSoon);
  TrimAndHeal(2);
  world_.executor.RunFor(absl::Seconds(1));
  world_.Set("us", "{a}2", "live");
  world_.executor.RunFor(absl::Milliseconds(200));
  EXPECT_EQ(Link().state, LinkState::kRepairing);
  EXPECT_THAT(world_.Get("eu", "{a}2"), Optional(std::string("live")));  // Changes go on.
  world_.StopNode(world_.node("us"));
  world_.options.link.repair.keys_per_second = 20'000;
  world_.Start();
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_GE(Link().repair.mended_total, 1u);
  EXPECT_EQ(world_.DifferingKeys({"{a}0", "{a}1", "{a}2"}), 0);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
}

TEST_F(TrimmedLogTest, ARepairThatIsCutGoesOnWhereItWasAndChecksOnceMore) {
  world_.options.link.repair.page_keys = 10;
  world_.options.link.repair.keys_per_second = 100;
  Cut();
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) {
    keys.push_back(absl::StrCat("{a}", i));
    world_.Set("us", keys.back(), "v");
  }
  world_.executor.RunFor(kSoon);
  TrimAndHeal(2);
  world_.executor.RunFor(absl::Milliseconds(1500));
  const uint64_t compared = Link().repair.compared_total;
  EXPECT_GT(compared, 50u);
  EXPECT_LT(compared, 300u);
  Wire().mode = StoreWire::Mode::kRefused;
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_LE(Link().repair.compared_total, compared + 10);
  EXPECT_EQ(Link().repair.slots, 1u);
  Wire().mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(15));
  EXPECT_EQ(Link().state, LinkState::kStreaming);
  EXPECT_EQ(world_.DifferingKeys(keys), 0);
  EXPECT_LE(Link().repair.sent_total, 300u);
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
}

TEST_F(TrimmedLogTest, WhatASlowRegionHasNotReadYetIsNoticedToo) {
  world_.options.link.queue_capacity = 4;
  world_.options.link.read_entries = 2;
  world_.Start();
  world_.Set("us", "{a}0", "v");
  world_.executor.RunFor(kSoon);
  Wire().delay = absl::Milliseconds(400);  // Slow, and never an error.
  std::vector<std::string> keys;
  for (int i = 0; i < 60; ++i) {
    keys.push_back(absl::StrCat("{a}", i));
    world_.Set("us", keys.back(), "w");
  }
  world_.executor.RunFor(absl::Milliseconds(600));
  world_.region("us").store->TrimLog(kSlot, 3);
  world_.executor.RunFor(absl::Seconds(60));
  EXPECT_GE(world_.node("us").observer.link_gaps, 1);
  EXPECT_EQ(world_.DifferingKeys(keys), 0);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
}

TEST_F(TrimmedLogTest, BeyondTheTombstonesWhatIsOlderAndOnlyThereIsFenced) {
  world_.options.link.repair.tombstone_ttl = absl::Hours(24);
  world_.Set("us", "{a}deleted", "back from the dead", absl::Hours(24 * 30));
  world_.Set("us", "{a}kept", "v", absl::Hours(24 * 30));
  world_.Set("us", "{b}elsewhere", "v", absl::Hours(24 * 30));
  Cut();
  EXPECT_THAT(world_.Get("eu", "{a}deleted"), Optional(std::string("back from the dead")));
  world_.Delete("us", "{a}deleted");
  world_.executor.RunFor(kSoon);
  world_.StopNode(world_.node("us"));  // Nothing happens for two days; only time passes.
  world_.clock.Advance(absl::Hours(48));
  EXPECT_EQ(world_.StoredVersion("us", "{a}deleted"), Version());  // The tombstone is forgotten.
  world_.Set("us", "{a}new", "v");
  world_.Set("eu", "{a}young", "v", absl::Hours(24 * 30));
  world_.executor.RunFor(kSoon);
  world_.Start();
  TrimAndHeal(1);
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
  EXPECT_THAT(world_.Get("eu", "{a}kept"), Optional(std::string("v")));
  EXPECT_THAT(world_.Get("eu", "{a}new"), Optional(std::string("v")));
  EXPECT_THAT(world_.Get("eu", "{a}young"), Optional(std::string("v")));
  EXPECT_THAT(world_.Get("eu", "{b}elsewhere"), Optional(std::string("v")));
  EXPECT_EQ(Link().state, LinkState::kStreaming);
}

}  // namespace
}  // namespace meridian
