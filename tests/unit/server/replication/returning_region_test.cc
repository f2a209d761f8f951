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

// Each waits for the other, and neither for ever.
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
  }
  world_.executor.RunFor(absl::Seconds(1));
  Sleep(absl::Hours(48));
  CutAll(StoreWire::Mode::kOpen);
  Wake();
  ExpectGoneEverywhere("{a}of us");
  ExpectGoneEverywhere("{a}of eu");
  EXPECT_EQ(world_.Link("eu", "us").state, LinkState::kStreaming);
  EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kStreaming);
  world_.Set("eu", "{a}young", "v");
  world_.executor.RunFor(absl::Seconds(1));
  ExpectEverywhere("{a}young");
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
  EXPECT_EQ(world_.Link("us", "eu").repair.forgotten_total, 0u);
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
  EXPECT_EQ(world_.Link("eu", "us").repair.withheld_total, 1u);
  EXPECT_EQ(world_.Link("eu", "us").repair.forgotten_total, 0u);
  CutAll(StoreWire::Mode::kOpen);
  world_.executor.RunFor(absl::Seconds(100));
  ExpectGoneEverywhere("{a}gone");
}

}  // namespace
}  // namespace meridian
