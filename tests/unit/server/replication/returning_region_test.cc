// A region that returns after tombstones are forgotten, with values of its own that it never sent,
// or with a store of an old snapshot: what the others deleted meanwhile stays deleted everywhere.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/replication/replication.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

constexpr absl::Duration kMonth = absl::Hours(24 * 30);

class ReturningRegionTest : public ::testing::Test {
 protected:
  explicit ReturningRegionTest(std::vector<std::string> regions = {"eu", "us"})
      : world_(std::move(regions)) {
    world_.options.link.repair.listen_for = absl::Seconds(10);
  }
  // {a} has been here and there; cursors have been told.
  void Begin() {
    for (const auto& region : world_.regions) {
      world_.Set(region->name, absl::StrCat("{a}first of ", region->name), "v");
    }
    world_.Start();
    world_.executor.RunFor(absl::Seconds(10));
  }
  void Cut(const std::string& a, const std::string& b, StoreWire::Mode mode) {
    world_.node(a).wires.at(b)->mode = mode;
    world_.node(b).wires.at(a)->mode = mode;
  }
  void CutAll(StoreWire::Mode mode) {
    for (const auto& a : world_.regions) {
      for (const auto& b : world_.regions) {
        if (a->name < b->name) Cut(a->name, b->name, mode);
      }
    }
    world_.executor.RunFor(absl::Milliseconds(100));
  }
  // Nothing happens; only time passes. Nodes would take days to simulate.
  void Sleep(absl::Duration time) {
    for (const auto& region : world_.regions) world_.StopNode(*region->nodes[0]);
    world_.clock.Advance(time);
  }
  void Wake() {
    world_.Start();
    world_.executor.RunFor(absl::Seconds(30));
  }
  void ExpectGoneEverywhere(const std::string& key) {
    for (const auto& region : world_.regions) {
      EXPECT_EQ(world_.Get(region->name, key), std::nullopt) << key << " in " << region->name;
    }
  }
  void ExpectEverywhere(const std::string& key) {
    for (const auto& region : world_.regions) {
      EXPECT_THAT(world_.Get(region->name, key), Optional(std::string("v")))
          << key << " in " << region->name;
    }
  }

  const uint32_t kSlot = SlotOf("task", "{a}0");
  ReplicationWorld world_;
};

// eu writes while it is cut off, us writes the key later, and deletes it; then us forgets.
TEST_F(ReturningRegionTest, AnOwnValueThatWasNeverSentDoesNotUndoADelete) {
  for (const bool trimmed : {false, true}) {
    SCOPED_TRACE(trimmed);
    Begin();
    CutAll(StoreWire::Mode::kRefused);
    const std::string gone = absl::StrCat("{a}gone", trimmed);
    const std::string kept = absl::StrCat("{a}kept", trimmed);
    world_.Set("eu", gone, "back from the dead", kMonth);
    world_.Set("eu", kept, "v", kMonth);
    world_.executor.RunFor(absl::Seconds(1));
    world_.Set("us", gone, "v", kMonth);
    world_.Delete("us", gone);
    world_.executor.RunFor(absl::Seconds(1));
    Sleep(absl::Hours(48));
    ASSERT_EQ(world_.StoredVersion("us", gone), Version()) << "the tombstone is not forgotten";
    if (trimmed) {
      world_.Set("us", "{a}last", "v");
      world_.region("us").store->TrimLog(kSlot, 1);
    }
    CutAll(StoreWire::Mode::kOpen);
    Wake();
    ExpectGoneEverywhere(gone);
    // Nobody deleted it. Where the log is whole, eu has learned so and has sent it.
    if (!trimmed) ExpectEverywhere(kept);
    EXPECT_EQ(world_.DifferingKeys({gone, kept}), 0);
    EXPECT_EQ(world_.Link("eu", "us").state, LinkState::kStreaming);
    EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kStreaming);
  }
}

// What must be forgotten here cannot be written: that one key stays, and nothing waits for it.
TEST_F(ReturningRegionTest, AKeyThatTheOwnStoreRefusesToForgetHoldsUpNothing) {
  for (const auto code : {absl::StatusCode::kInvalidArgument, absl::StatusCode::kInternal}) {
    SCOPED_TRACE(static_cast<int>(code));
    Begin();
    CutAll(StoreWire::Mode::kRefused);
    const std::string name = absl::StrCat(static_cast<int>(code));
    const std::string gone = absl::StrCat("{a}gone", name);
    const std::string kept = absl::StrCat("{a}kept", name);
    world_.Set("eu", gone, "back from the dead", kMonth);
    world_.Set("eu", kept, "v", kMonth);
    world_.executor.RunFor(absl::Seconds(1));
    world_.Set("us", gone, "v", kMonth);
    world_.Delete("us", gone);
    world_.executor.RunFor(absl::Seconds(1));
    Sleep(absl::Hours(48));
    CutAll(StoreWire::Mode::kOpen);
    world_.node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;  // Else it forgets for eu.
    world_.node("eu").wires["eu"]->refused[gone] = absl::Status(code, "not this one");
    Wake();
    world_.executor.RunFor(absl::Seconds(30));
    EXPECT_EQ(world_.Link("eu", "us").state, LinkState::kStreaming);
    EXPECT_EQ(world_.Link("eu", "us").repair.refused_total, 1u);
    ExpectEverywhere(kept);
    EXPECT_EQ(world_.Get("us", gone), std::nullopt);
    CutAll(StoreWire::Mode::kOpen);
  }
}

// Neither has been told of what the other did, and neither waits for it: their logs name the keys.
TEST_F(ReturningRegionTest, BothSidesHaveSuchValues) {
  Begin();
  CutAll(StoreWire::Mode::kRefused);
  for (const char* region : {"us", "eu"}) {
    const std::string other = std::string(region) == "us" ? "eu" : "us";
    const std::string key = absl::StrCat("{a}of ", region);
    world_.Set(region, key, "back from the dead", kMonth);
    world_.executor.RunFor(absl::Seconds(1));
    world_.Set(other, key, "v", kMonth);
    world_.Delete(other, key);
    // Nobody deleted these, or before they were written.
    world_.Set(region, absl::StrCat("{a}kept of ", region), "v", kMonth);
    world_.Delete(other, absl::StrCat("{a}later of ", region));
    world_.executor.RunFor(absl::Seconds(1));
    world_.Set(region, absl::StrCat("{a}later of ", region), "v", kMonth);
  }
  world_.executor.RunFor(absl::Seconds(1));
  Sleep(absl::Hours(48));
  CutAll(StoreWire::Mode::kOpen);
  Wake();
  for (const char* region : {"us", "eu"}) {
    ExpectEverywhere(absl::StrCat("{a}kept of ", region));
    ExpectEverywhere(absl::StrCat("{a}later of ", region));
  }
  ExpectGoneEverywhere("{a}of us");
  ExpectGoneEverywhere("{a}of eu");
  EXPECT_EQ(world_.Link("eu", "us").state, LinkState::kStreaming);
  EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kStreaming);
  world_.Set("eu", "{a}young", "v");
  world_.executor.RunFor(absl::Seconds(1));
  ExpectEverywhere("{a}young");
}

// The value was young when the pass began; when it goes on, eu has forgotten its delete.
TEST_F(ReturningRegionTest, ARepairThatWaitsOutALongCutDoesNotUndoADelete) {
  world_.options.link.repair.page_keys = 10;
  world_.options.link.repair.keys_per_second = 100;
  Begin();
  world_.Set("us", "{a}z gone", "back from the dead", kMonth);
  world_.Set("us", "{a}z kept", "v", kMonth);
  world_.executor.RunFor(absl::Seconds(2));
  CutAll(StoreWire::Mode::kRefused);
  for (int i = 0; i < 300; ++i) world_.Set("us", absl::StrCat("{a}", i), "v", kMonth);
  world_.executor.RunFor(absl::Seconds(1));
  world_.region("us").store->TrimLog(kSlot, 1);
  CutAll(StoreWire::Mode::kOpen);
  world_.executor.RunFor(absl::Seconds(1));
  ASSERT_EQ(world_.Link("us", "eu").repair.slots, 1u) << "it should be in its middle";
  CutAll(StoreWire::Mode::kRefused);
  world_.Delete("eu", "{a}z gone");
  world_.executor.RunFor(absl::Seconds(1));
  world_.clock.Advance(absl::Hours(48));  // The nodes run on.
  world_.executor.RunFor(absl::Seconds(1));
  ASSERT_EQ(world_.StoredVersion("eu", "{a}z gone"), Version()) << "the tombstone is not forgotten";
  world_.node("us").wires.at("eu")->mode = StoreWire::Mode::kOpen;  // eu has not told it yet.
  world_.executor.RunFor(absl::Seconds(60));
  EXPECT_EQ(world_.Get("eu", "{a}z gone"), std::nullopt);
  CutAll(StoreWire::Mode::kOpen);
  world_.executor.RunFor(absl::Seconds(60));
  ExpectGoneEverywhere("{a}z gone");
  ExpectEverywhere("{a}z kept");
  ExpectEverywhere("{a}299");
  EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kStreaming);
}

// A short cut changes nothing: values that are older than tombstones are kept are what they were.
TEST_F(ReturningRegionTest, OldValuesFillARegionThatIsNew) {
  Begin();
  world_.Set("us", "{a}kept", "v", kMonth);
  world_.executor.RunFor(absl::Seconds(1));
  Sleep(absl::Hours(48));
  world_.Wipe(world_.region("eu"));
  Wake();
  ExpectEverywhere("{a}kept");
  const LinkRepairStatus repair = world_.Link("us", "eu").repair;
  EXPECT_EQ(repair.forgotten_total, 0u);
  EXPECT_GE(repair.filled_total, 1u);
  EXPECT_EQ(repair.sent_total, 0u) << "nothing was lost";
}

// Reference data: loaded two days ago, and nothing happened in its slot since.
TEST_F(ReturningRegionTest, ARedisThatComesBackEmptyTakesNothingFromTheOtherRegions) {
  world_.Set("us", "{a}ours", "v", kMonth);
  world_.Set("eu", "{a}theirs", "v", kMonth);
  Wake();
  Sleep(absl::Hours(48));
  Wake();
  world_.Set("eu", "{b}beat", "v");
  world_.executor.RunFor(absl::Seconds(2));
  world_.StopNode(world_.node("eu"));
  world_.node("eu").engine = *Engine::Create({.capacity_bytes = size_t{1} << 20});
  world_.Wipe(world_.region("eu"));
  world_.executor.RunFor(absl::Seconds(2));
  Wake();
  world_.executor.RunFor(absl::Minutes(2));
  ExpectEverywhere("{a}ours");
  ExpectEverywhere("{a}theirs");
  EXPECT_EQ(world_.Link("us", "eu").repair.forgotten_total, 0u);
}

// More slots than are looked at together: those that are left wait for their turn, not for their
// end.
TEST_F(ReturningRegionTest, ManySlotsTakeTurns) {
  world_.options.link.repair.hearing.keys = 20;
  Begin();
  CutAll(StoreWire::Mode::kRefused);
  for (int i = 0; i < 60; ++i) {
    for (const char* region : {"us", "eu"}) {
      world_.Set(region, absl::StrCat("{", i, "}kept of ", region), "v", kMonth);
    }
    world_.Set("eu", absl::StrCat("{", i, "}gone"), "back from the dead", kMonth);
  }
  world_.executor.RunFor(absl::Seconds(1));
  for (int i = 0; i < 60; ++i) world_.Delete("us", absl::StrCat("{", i, "}gone"));
  world_.executor.RunFor(absl::Seconds(1));
  Sleep(absl::Hours(48));
  CutAll(StoreWire::Mode::kOpen);
  Wake();
  for (int i = 0; i < 60; ++i) {
    ExpectEverywhere(absl::StrCat("{", i, "}kept of us"));
    ExpectEverywhere(absl::StrCat("{", i, "}kept of eu"));
    ExpectGoneEverywhere(absl::StrCat("{", i, "}gone"));
  }
  EXPECT_EQ(world_.Link("eu", "us").state, LinkState::kStreaming);
  EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kStreaming);
}

// What another region's store holds as a snapshot of two days ago, when it had the values.
class OldSnapshotTest : public ReturningRegionTest {
 protected:
  // `deleter` deletes the key, and everybody forgets that; then eu's store comes back as it was.
  void DeleteAndReturn(const std::string& deleter, bool trimmed, bool nodes_stay) {
    Begin();
    world_.Set("eu", "{a}gone", "back from the dead", kMonth);
    world_.Set("eu", "{a}kept", "v", kMonth);
    world_.executor.RunFor(absl::Seconds(2));
    ASSERT_NE(world_.Get("us", "{a}gone"), std::nullopt);
    const auto snapshot = world_.region("eu").store->Save();
    world_.Delete(deleter, "{a}gone");
    world_.executor.RunFor(absl::Seconds(2));
    ExpectGoneEverywhere("{a}gone");
    Sleep(absl::Hours(48));
    ASSERT_EQ(world_.StoredVersion("us", "{a}gone"), Version()) << "the tombstone is not forgotten";
    if (nodes_stay) {  // They have seen the store as it should be.
      world_.Set("us", "{a}later", "v");
      Wake();
    }
    if (trimmed) {
      world_.Set("us", "{a}last", "v");
      world_.executor.RunFor(absl::Seconds(1));
      world_.region("us").store->TrimLog(kSlot, 1);
    }
    world_.region("eu").store->GoBackTo(*snapshot);
    ASSERT_NE(world_.Get("eu", "{a}gone"), std::nullopt);
    Wake();
  }
};

TEST_F(OldSnapshotTest, DoesNotBringBackWhatAnotherRegionHasDeleted) {
  DeleteAndReturn("us", /*trimmed=*/false, /*nodes_stay=*/true);
  ExpectGoneEverywhere("{a}gone");
  EXPECT_THAT(world_.Get("us", "{a}kept"), Optional(std::string("v")));
}

TEST_F(OldSnapshotTest, NorWhereTheLogOfTheDeleteIsTrimmed) {
  DeleteAndReturn("us", /*trimmed=*/true, /*nodes_stay=*/true);
  ExpectGoneEverywhere("{a}gone");
}

TEST_F(OldSnapshotTest, NorWhatTheRegionItselfHasDeleted) {
  DeleteAndReturn("eu", /*trimmed=*/false, /*nodes_stay=*/true);
  ExpectGoneEverywhere("{a}gone");
}

TEST_F(OldSnapshotTest, NorWithNodesThatStartWithIt) {
  DeleteAndReturn("eu", /*trimmed=*/false, /*nodes_stay=*/false);
  ExpectGoneEverywhere("{a}gone");
}

// us hears eu, and asia, where the key was deleted, is still away: nobody there can be asked.
class AThirdRegionTest : public ReturningRegionTest {
 protected:
  AThirdRegionTest() : ReturningRegionTest({"asia", "eu", "us"}) {}
};

TEST_F(AThirdRegionTest, MayKnowMoreAndIsWaitedFor) {
  Begin();
  CutAll(StoreWire::Mode::kRefused);
  Cut("asia", "us", StoreWire::Mode::kOpen);
  world_.Set("eu", "{a}gone", "back from the dead", kMonth);
  world_.Set("eu", "{a}kept", "v", kMonth);
  world_.executor.RunFor(absl::Seconds(1));
  world_.Set("asia", "{a}gone", "v", kMonth);
  world_.executor.RunFor(absl::Seconds(1));
  world_.Delete("asia", "{a}gone");
  world_.executor.RunFor(absl::Seconds(1));
  ASSERT_EQ(world_.Get("us", "{a}gone"), std::nullopt);
  Sleep(absl::Hours(48));
  ASSERT_EQ(world_.StoredVersion("us", "{a}gone"), Version()) << "the tombstone is not forgotten";
  Cut("eu", "us", StoreWire::Mode::kOpen);
  Wake();
  EXPECT_EQ(world_.Get("us", "{a}gone"), std::nullopt) << "asia was not heard";
  EXPECT_EQ(world_.Get("us", "{a}kept"), std::nullopt) << "asia was not heard";
  EXPECT_EQ(world_.Link("eu", "us").repair.withheld_total, 1u);
  EXPECT_THAT(world_.Link("eu", "us").repair.problem, HasSubstr("until asia answers"));
  EXPECT_EQ(world_.Link("eu", "us").repair.forgotten_total, 1u) << "us was told by asia";
  CutAll(StoreWire::Mode::kOpen);
  world_.executor.RunFor(absl::Seconds(100));
  ExpectGoneEverywhere("{a}gone");
  ExpectEverywhere("{a}kept");
  EXPECT_EQ(world_.Link("eu", "us").repair.problem, "");
}

// What eu keeps back from us until asia answers is not forgotten with the node that has compared.
TEST_F(AThirdRegionTest, IsWaitedForByTheNextOwnerToo) {
  Begin();
  CutAll(StoreWire::Mode::kRefused);
  world_.Set("eu", "{a}kept", "v", kMonth);
  world_.executor.RunFor(absl::Seconds(1));
  Sleep(absl::Hours(48));
  Cut("eu", "us", StoreWire::Mode::kOpen);
  Wake();
  ASSERT_THAT(world_.Link("eu", "us").repair.problem, HasSubstr("until asia answers"));
  Sleep(absl::Seconds(1));
  Wake();
  EXPECT_THAT(world_.Link("eu", "us").repair.problem, HasSubstr("until asia answers"));
  EXPECT_EQ(world_.Get("us", "{a}kept"), std::nullopt);
  Sleep(absl::Seconds(1));
  CutAll(StoreWire::Mode::kOpen);
  Wake();
  ExpectEverywhere("{a}kept");
  EXPECT_EQ(world_.Link("eu", "us").repair.problem, "");
  // And once only.
  Sleep(absl::Seconds(1));
  Wake();
  EXPECT_EQ(world_.Link("eu", "us").repair.compared_total, 0u);
}

// Two regions are silent in turn. A slot is compared ever more seldom only while the same region
// holds it back: of one that has answered nothing is remembered, though the other is silent.
class TwoSilentRegionsTest : public ReturningRegionTest {
 protected:
  TwoSilentRegionsTest() : ReturningRegionTest({"asia", "eu", "sa", "us"}) {}
  void SetSilent(const std::string& region, bool silent) {
    Cut("eu", region, silent ? StoreWire::Mode::kRefused : StoreWire::Mode::kOpen);
  }
};

TEST_F(TwoSilentRegionsTest, AreAskedSoonHoweverOftenTheyWereSilent) {
  Begin();
  CutAll(StoreWire::Mode::kRefused);
  world_.Set("eu", "{a}kept", "v", kMonth);
  world_.executor.RunFor(absl::Seconds(1));
  Sleep(absl::Hours(48));
  // Neither asia nor sa tells anything to eu: only their logs can be asked.
  for (const char* region : {"asia", "sa"}) world_.StopNode(world_.node(region));
  world_.node("eu").wires.at("us")->mode = StoreWire::Mode::kOpen;
  world_.node("us").wires.at("eu")->mode = StoreWire::Mode::kOpen;
  world_.Start();
  for (const char* region : {"asia", "sa"}) world_.StopNode(world_.node(region));
  world_.executor.RunFor(absl::Seconds(30));
  std::string silent = "asia";
  for (int round = 0; round < 12; ++round) {
    ASSERT_THAT(world_.Link("eu", "us").repair.problem, HasSubstr("until " + silent + " answers"))
        << round;
    const std::string other = silent == "asia" ? "sa" : "asia";
    SetSilent(other, true);
    SetSilent(silent, false);
    world_.executor.RunFor(absl::Seconds(25));
    silent = other;
  }
  SetSilent(silent, false);
  world_.executor.RunFor(absl::Seconds(25));
  EXPECT_EQ(world_.Link("eu", "us").repair.problem, "");
  EXPECT_THAT(world_.Get("us", "{a}kept"), Optional(std::string("v")));
}

// What is forgotten because it was overtaken must not take along what overtook it.
TEST_F(AThirdRegionTest, HasOvertakenTheValueWithOneThatLives) {
  Begin();
  CutAll(StoreWire::Mode::kRefused);
  world_.Set("us", "{a}k", "overtaken", kMonth);
  world_.executor.RunFor(absl::Seconds(1));
  world_.Set("asia", "{a}k", "v", kMonth);
  world_.executor.RunFor(absl::Seconds(1));
  Sleep(absl::Hours(48));
  Cut("us", "eu", StoreWire::Mode::kOpen);
  Cut("us", "asia", StoreWire::Mode::kOpen);
  world_.node("asia").wires.at("us")->mode = StoreWire::Mode::kRefused;  // us is told later.
  Wake();
  CutAll(StoreWire::Mode::kOpen);
  Wake();
  ExpectEverywhere("{a}k");
}

// Nobody has ever told anybody anything.
TEST_F(AThirdRegionTest, JoinsWithOldValuesOfItsOwnAndNobodyLosesAny) {
  for (const char* region : {"asia", "eu", "us"}) {
    world_.Set(region, absl::StrCat("{a}of ", region), "v", kMonth);
    world_.Set(region, "{a}of all", "w", kMonth);
    world_.executor.RunFor(absl::Seconds(1));
  }
  world_.clock.Advance(absl::Hours(48));
  Wake();
  for (const char* region : {"asia", "eu", "us"}) {
    ExpectEverywhere(absl::StrCat("{a}of ", region));
    EXPECT_THAT(world_.Get(region, "{a}of all"), Optional(std::string("w")));
    for (const char* other : {"asia", "eu", "us"}) {
      if (std::string(other) == region) continue;
      EXPECT_EQ(world_.Link(region, other).repair.forgotten_total, 0u) << region << other;
    }
  }
}

}  // namespace
}  // namespace meridian
