// Changelogs that were trimmed, emptied or lost before every region had read them.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/node/fence.h"
#include "server/node/heat_namespace.h"
#include "server/node/limits.h"
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
    before_ = world_.region("eu").store->Save();
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
  std::shared_ptr<const FakeL2Store::Saved> before_;  // The store of eu when it was cut off.
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

TEST_F(TrimmedLogTest, WhatIsHotInARegionIsItsOwn) {
  // Names of ours in the slot that is repaired.
  const auto in_slot = [this](std::string_view name_space, const char* prefix) {
    for (int i = 0;; ++i) {
      std::string key = absl::StrCat(prefix, i);
      if (SlotOf(name_space, key) == kSlot) return key;
    }
  };
  const std::string heat = in_slot(kHeatNamespace, "heat:");
  const std::string other = in_slot(kInternalNamespace, "other:");
  Cut();
  world_.Set("us", heat, "v", absl::Hours(1), kHeatNamespace);
  world_.Set("us", other, "v", absl::Hours(1), kInternalNamespace);
  for (int i = 0; i < 5; ++i) world_.Set("us", "{a}last", absl::StrCat(i));
  world_.executor.RunFor(kSoon);
  TrimAndHeal(3);
  world_.executor.RunFor(absl::Seconds(10));
  ASSERT_GE(Link().repair.mended_total, 1u);
  EXPECT_THAT(world_.Get("eu", other, kInternalNamespace), Optional(std::string("v")));
  EXPECT_EQ(world_.Get("eu", heat, kHeatNamespace), std::nullopt);
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

// 1000 keys that eu lacks, and a repair of ten seconds that is in its middle.
class LongRepairTest : public TrimmedLogTest {
 protected:
  LongRepairTest() {
    world_.options.link.repair.page_keys = 10;
    world_.options.link.repair.keys_per_second = 100;
    Cut();
    for (int i = 0; i < 1000; ++i) {
      keys_.push_back(absl::StrCat("{a}", i));
      world_.Set("us", keys_.back(), "v");
    }
    world_.executor.RunFor(kSoon);
    TrimAndHeal(2);
    world_.executor.RunFor(absl::Seconds(4));
    EXPECT_GT(Compared(), 200u);
    EXPECT_LT(Compared(), 600u);
  }
  uint64_t Compared() { return Link().repair.compared_total; }
  void ExpectMended() {
    world_.executor.RunFor(absl::Seconds(40));
    EXPECT_EQ(Link().state, LinkState::kStreaming);
    EXPECT_EQ(world_.DifferingKeys(keys_), 0);
  }

  std::vector<std::string> keys_;
};

TEST_F(LongRepairTest, ThatIsCutGoesOnWhereItWas) {
  const uint64_t compared = Compared();
  Wire().mode = StoreWire::Mode::kRefused;
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_LE(Compared(), compared + 10);
  EXPECT_EQ(Link().repair.slots, 1u);
  Wire().mode = StoreWire::Mode::kOpen;
  ExpectMended();
  EXPECT_LE(Compared(), 1100u) << "one walk, and a page or two that were asked for again";
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
}

TEST_F(LongRepairTest, WhoseOwnStoreIsAwayGoesOnWhereItWas) {
  for (const StoreWire::Mode mode : {StoreWire::Mode::kRefused, StoreWire::Mode::kSilent}) {
    world_.node("us").wires.at("us")->mode = mode;
    world_.executor.RunFor(absl::Seconds(10));
    EXPECT_EQ(Link().repair.slots, 1u);
    world_.node("us").wires.at("us")->mode = StoreWire::Mode::kOpen;
    world_.executor.RunFor(absl::Milliseconds(100));
  }
  ExpectMended();
  EXPECT_LE(Compared(), 1100u);
}

// The target's cursor does not tell yet that the slot was mended.
TEST_F(LongRepairTest, IsNotDoneAgainForAnErrorJustAfterItsEnd) {
  while (Link().repair.slots > 0) world_.executor.RunFor(absl::Milliseconds(1));
  const uint64_t compared = Compared();
  for (StoreWire* wire : {&Wire(), world_.node("us").wires.at("us").get()}) {
    wire->mode = StoreWire::Mode::kRefused;
    world_.Set("us", "{b}", "v");
    world_.executor.RunFor(kSoon);
    wire->mode = StoreWire::Mode::kOpen;
    world_.executor.RunFor(absl::Milliseconds(1));
  }
  ExpectMended();
  EXPECT_LE(Compared(), compared + 10) << "that of {b} is new to the target";
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
}

// The first half of the keys is gone again, and the walk is past them.
TEST_F(LongRepairTest, IsDoneOnceMoreWhenTheTargetHasGoneBack) {
  world_.region("eu").store->GoBackTo(*before_);
  ExpectMended();
  EXPECT_EQ(world_.node("us").observer.target_losses, 1);
}

TEST_F(LongRepairTest, IsDoneOnceMoreWhenTheTargetIsFoundEmpty) {
  world_.Set("us", "{b}", "v");  // The cursors of other slots tell it.
  world_.executor.RunFor(absl::Seconds(1));
  world_.Wipe(world_.region("eu"));
  ExpectMended();
  EXPECT_GE(Link().repair.sent_total, 1000u) << "it had them, or was to get them";
  EXPECT_EQ(Link().repair.filled_total, 0u);
}

TEST_F(LongRepairTest, BeginsAnewWhenTheOwnStoreHasGoneBack) {
  const auto now = world_.region("us").store->Save();
  const uint64_t compared = Compared();
  world_.region("us").store->GoBackTo(*now);
  ExpectMended();
  EXPECT_GE(Compared(), compared + 1000);
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

// Fences are never deleted, so that none is ever in doubt.
TEST_F(TrimmedLogTest, BeyondTheTombstonesFencesAreSentAndNotRemoved) {
  auto fence_of = [&, i = 0](const std::string& region) mutable {
    while (true) {  // All in one slot.
      Fence fence{
          .name_space = "task", .scope = FenceScope::kTag, .name = absl::StrCat(region, ++i)};
      if (FenceKey(fence).slot != FenceSlots()[0]) continue;
      fence.version = world_.region(region).writer->Next();
      return fence;
    }
  };
  const auto stored = [&](const std::string& region, const Fence& fence) {
    return world_.StoredVersion(region, FenceKey(fence).key, kFenceNamespace);
  };
  const Fence first = fence_of("us");
  world_.Apply("us", FenceWrite(first));
  Cut();
  ASSERT_EQ(stored("eu", first), first.version);
  world_.node("eu").wires.at("us")->mode = StoreWire::Mode::kRefused;
  const Fence untold = fence_of("us");
  const Fence theirs = fence_of("eu");
  world_.Apply("us", FenceWrite(untold));
  world_.Apply("eu", FenceWrite(theirs));
  world_.executor.RunFor(kSoon);
  for (const char* region : {"us", "eu"}) world_.StopNode(world_.node(region));
  world_.clock.Advance(absl::Hours(48));
  world_.Apply("us", FenceWrite(fence_of("us")));
  world_.executor.RunDue();
  world_.region("us").store->TrimLog(FenceSlots()[0], 1);
  world_.Start();
  Wire().mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(90));
  EXPECT_GE(Link().repair.mended_total, 1u);
  EXPECT_EQ(stored("eu", untold), untold.version);
  EXPECT_EQ(stored("eu", theirs), theirs.version);
}

}  // namespace
}  // namespace meridian
