#include "server/replication/fence_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/node/fence.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

class FenceFollowerTest : public testing::Test {
 protected:
  // What a node anywhere does to fence, but for telling anybody.
  Fence Store(std::string_view region, std::string name, bool local = false) {
    Fence fence{"task", FenceScope::kTag, std::move(name), world_.region(region).writer->Next(),
                local};
    world_.Apply(region, FenceWrite(fence));
    return fence;
  }
  bool Knows(std::string_view region, const Fence& fence, size_t index = 0) {
    for (const Fence& known : world_.node(region, index).fences->List()) {
      if (known.name == fence.name && known.version == fence.version) return true;
    }
    return false;
  }
  bool InStore(std::string_view region, const Fence& fence) {
    const L2Key key = FenceKey(fence);
    return world_.StoredVersion(region, key.key, key.name_space) == fence.version;
  }
  void Run(absl::Duration time) { world_.executor.RunFor(time); }

  ReplicationWorld world_{{"us", "eu"}, 2};
};

TEST_F(FenceFollowerTest, KnowsWhatWasStoredBeforeItStartedAndWhatComesLater) {
  const Fence before = Store("us", "before");
  const Fence home = Store("us", "home", /*local=*/true);
  EXPECT_FALSE(world_.node("us").fences->known());
  world_.Start();
  Run(absl::Milliseconds(100));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(world_.node("us", i).fences->known());
    EXPECT_TRUE(Knows("us", before, i));
    EXPECT_TRUE(Knows("us", home, i));
  }
  const Fence later = Store("us", "later");
  Run(absl::Milliseconds(25));
  EXPECT_TRUE(Knows("us", later, 0));
  EXPECT_TRUE(Knows("us", later, 1));
}

TEST_F(FenceFollowerTest, ReplicatesUnlessItsNamespaceStaysAtHome) {
  world_.Start();
  Run(absl::Milliseconds(100));
  const Fence fence = Store("us", "everywhere");
  const Fence home = Store("us", "home", /*local=*/true);
  Run(absl::Seconds(2));
  EXPECT_TRUE(Knows("eu", fence, 0));
  EXPECT_TRUE(Knows("eu", fence, 1));
  EXPECT_TRUE(InStore("eu", fence));
  EXPECT_FALSE(Knows("eu", home));
  EXPECT_FALSE(InStore("eu", home));
}

TEST_F(FenceFollowerTest, WithoutTheStoreNothingIsKnownUntilItIsBack) {
  const Fence fence = Store("us", "x");
  world_.node("us").wires["us"]->mode = StoreWire::Mode::kRefused;
  world_.Start();
  Run(absl::Seconds(3));
  EXPECT_FALSE(world_.node("us", 0).fences->known());
  EXPECT_TRUE(world_.node("us", 1).fences->known());
  world_.node("us").wires["us"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(3));
  EXPECT_TRUE(world_.node("us", 0).fences->known());
  EXPECT_TRUE(Knows("us", fence));
}

TEST_F(FenceFollowerTest, AHoleInTheLogIsFilledFromTheList) {
  world_.Start();
  Run(absl::Milliseconds(100));
  world_.node("us").wires["us"]->mode = StoreWire::Mode::kRefused;
  Run(absl::Milliseconds(100));
  const Fence lost = Store("us", "lost");
  Store("us", "last");
  world_.region("us").store->TrimLog(FenceKey(lost).slot, 0);
  world_.node("us").wires["us"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(3));
  EXPECT_TRUE(Knows("us", lost));
}

TEST_F(FenceFollowerTest, AStoreThatLostFencesGetsThemBackFromTheNodes) {
  world_.Start();
  Run(absl::Milliseconds(100));
  const Fence fence = Store("us", "x");
  const Fence home = Store("us", "home", /*local=*/true);
  Run(absl::Milliseconds(100));
  world_.Wipe(world_.region("us"));
  world_.node("us", 0).wires["us"]->mode = StoreWire::Mode::kRefused;
  world_.node("us", 1).wires["us"]->mode = StoreWire::Mode::kRefused;
  Run(absl::Milliseconds(100));
  world_.node("us", 0).wires["us"]->mode = StoreWire::Mode::kOpen;
  world_.node("us", 1).wires["us"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(5));
  EXPECT_TRUE(InStore("us", fence));
  EXPECT_TRUE(InStore("us", home));
}

TEST_F(FenceFollowerTest, WhatIsSuperfluousLeavesTheStore) {
  world_.Start();
  Run(absl::Milliseconds(100));
  const Fence fence = Store("us", "x");
  Run(absl::Milliseconds(100));
  Fence all{"task", FenceScope::kNamespace, "", world_.region("us").writer->Next()};
  world_.Apply("us", FenceWrite(all));
  Run(absl::Seconds(15));
  EXPECT_FALSE(InStore("us", fence));
  EXPECT_TRUE(InStore("us", all));
  EXPECT_FALSE(Knows("us", fence));
}

TEST_F(FenceFollowerTest, AFenceThatAClockWhichWasBehindHasRefusedIsReadAgain) {
  world_.Start();
  Run(absl::Milliseconds(100));
  Fence ahead{"task", FenceScope::kTag, "ahead", world_.region("us").writer->Next()};
  ahead.version.hlc += uint64_t{70'000} << 16;
  world_.Apply("us", FenceWrite(ahead));
  Run(absl::Seconds(5));
  EXPECT_FALSE(Knows("us", ahead));
  Run(absl::Seconds(10));  // It is less than a minute ahead now.
  EXPECT_TRUE(Knows("us", ahead, 0));
  EXPECT_TRUE(Knows("us", ahead, 1));
}

}  // namespace
}  // namespace meridian
