// A full store evicts what it may, and it may have to forget that a key was deleted while another
// region was away: what was deleted stays deleted all the same.

#include <optional>
#include <string>
#include <vector>

#include "common/base/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/replication/replicated_write.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

class EvictedTombstoneTest : public ::testing::Test {
 protected:
  explicit EvictedTombstoneTest(std::vector<std::string> regions = {"eu", "us"})
      : world_(std::move(regions)) {}

  void Wire(const std::string& from, const std::string& to, StoreWire::Mode mode) {
    world_.node(from).wires.at(to)->mode = mode;
  }
  void Both(const std::string& a, const std::string& b, StoreWire::Mode mode) {
    Wire(a, b, mode);
    Wire(b, a, mode);
  }
  void Run(absl::Duration time) { world_.executor.RunFor(time); }
  FakeL2Store& Store(const std::string& region) { return *world_.region(region).store; }

  void Begin() {
    world_.Start();
    world_.Set("us", "{k}first", "v");  // A region that has nothing of a slot is compared.
    Run(absl::Seconds(10));
  }
  // us has written the key, eu has deleted it after that and forgotten that it did.
  void DeleteAndForget() {
    Begin();
    Both("eu", "us", StoreWire::Mode::kRefused);
    world_.Set("us", "k", "old");
    Run(absl::Seconds(1));
    world_.Delete("eu", "k");
    Run(absl::Seconds(1));
    ASSERT_NE(world_.StoredVersion("eu", "k"), Version());
    Store("eu").Evict("task", "k");
    ASSERT_EQ(world_.StoredVersion("eu", "k"), Version());
  }
  void ExpectGone() {
    for (const auto& region : world_.regions) {
      EXPECT_EQ(world_.Get(region->name, "k"), std::nullopt) << region->name;
    }
  }

  ReplicationWorld world_;
};

TEST_F(EvictedTombstoneTest, TheOldValueArrivesFirst) {
  DeleteAndForget();
  Wire("us", "eu", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get("eu", "k"), "old") << "nobody there knows better; so the test tests";
  Wire("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  ExpectGone();
  EXPECT_EQ(world_.Link("eu", "us").gone_total, 1u);
  EXPECT_EQ(world_.node("eu").observer.removals_gone, 1);
}

TEST_F(EvictedTombstoneTest, TheDeleteArrivesFirst) {
  DeleteAndForget();
  Wire("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get("us", "k"), std::nullopt);
  Run(absl::Minutes(15));  // A drop that stands for a value would be gone.
  Wire("us", "eu", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  ExpectGone();
}

TEST_F(EvictedTombstoneTest, BothAtOnce) {
  DeleteAndForget();
  Both("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  ExpectGone();
}

// A value that was overwritten by one that was evicted.
TEST_F(EvictedTombstoneTest, SoDoesAnOverwrittenValue) {
  world_.Start();
  Run(absl::Seconds(10));
  Both("eu", "us", StoreWire::Mode::kRefused);
  world_.Set("us", "k", "old");
  Run(absl::Seconds(1));
  world_.Set("eu", "k", "new");
  Run(absl::Seconds(1));
  Store("eu").Evict("task", "k");
  Wire("us", "eu", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  Wire("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  ExpectGone();
}

// Of two values of one tick the region decides, and what stands for the newer one removes the
// other.
TEST_F(EvictedTombstoneTest, SoDoesAValueThatLostByItsRegionAlone) {
  Begin();
  Both("eu", "us", StoreWire::Mode::kRefused);
  const bool eu_wins = RegionId("eu") > RegionId("us");
  const std::string winner = eu_wins ? "eu" : "us";
  const std::string loser = eu_wins ? "us" : "eu";
  const uint64_t hlc = world_.region(winner).writer->Next().hlc;
  const auto write = [&](const std::string& region, const char* value) {
    const Version version{hlc, RegionId(region)};
    world_.Apply(region,
                 MakeWrite("task", "k", value, version, world_.clock.Now(), absl::Hours(1)));
  };
  write(loser, "old");
  write(winner, "new");
  Run(absl::Seconds(1));
  Store(winner).Evict("task", "k");
  Wire(loser, winner, StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get(winner, "k"), "old") << "so the test tests";
  Wire(winner, loser, StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  ExpectGone();
}

// us sends its older value just before it is told to drop it.
class EvictedHereTest : public EvictedTombstoneTest {
 protected:
  void Cross(absl::Duration way) {
    StoreWire& to_eu = *world_.node("us").wires.at("eu");
    to_eu.mode = StoreWire::Mode::kOpen;
    to_eu.delay = way;
    to_eu.sent.clear();
    for (int i = 0; i < 3000 && to_eu.sent.count("k") == 0; ++i) Run(absl::Milliseconds(10));
    ASSERT_EQ(to_eu.sent.count("k"), 1u);
    Wire("eu", "us", StoreWire::Mode::kOpen);
    Run(way - absl::Milliseconds(20));
    ASSERT_EQ(world_.node("eu").observer.gone, 1) << "it is on its way, and eu has nothing";
    Run(absl::Seconds(30));
  }
};

TEST_F(EvictedHereTest, AnOlderValueThatWasOnItsWayDoesNotStay) {
  DeleteAndForget();
  Cross(absl::Seconds(4));
  ExpectGone();
}

TEST_F(EvictedHereTest, NorWhenItWasAValueThatHadOvertakenIt) {
  Begin();
  Both("eu", "us", StoreWire::Mode::kRefused);
  world_.Set("us", "k", "old");
  Run(absl::Seconds(1));
  world_.Set("eu", "k", "new", absl::Seconds(5));
  Run(absl::Minutes(1));
  Cross(absl::Seconds(4));
  ExpectGone();
}

// It comes between the look that found nothing and the drop.
TEST_F(EvictedHereTest, NorWhenItComesInBetween) {
  world_.Start();
  Run(absl::Seconds(10));
  Both("eu", "us", StoreWire::Mode::kRefused);
  const Version old = world_.Set("us", "k", "old");
  Run(absl::Seconds(1));
  world_.Set("eu", "k", "new");
  Run(absl::Seconds(1));
  Store("eu").Evict("task", "k");
  world_.node("eu").wires.at("eu")->delay = absl::Milliseconds(500);
  Wire("eu", "us", StoreWire::Mode::kOpen);
  const size_t logged = world_.Log("eu", SlotOf("task", "k")).size();
  const int fetched = Store("eu").calls().fetch;
  for (int i = 0; i < 3000 && Store("eu").calls().fetch == fetched; ++i) {
    Run(absl::Milliseconds(10));
  }
  ASSERT_EQ(Store("eu").calls().fetch, fetched + 1);
  ASSERT_FALSE(world_.StoredVersion("eu", "k").is_set()) << "the drop is on its way";
  L2Write late = MakeWrite("task", "k", "old", old, world_.clock.Now(), absl::Hours(1));
  world_.Apply("eu", std::move(late));
  Run(absl::Seconds(30));
  ExpectGone();
  EXPECT_GE(world_.Log("eu", SlotOf("task", "k")).size(), logged + 2)
      << "who has read it must hear that it went";
  EXPECT_EQ(world_.node("eu").observer.gone, 1);
}

// A full store that does not even take the drop; what is behind it is sent all the same.
TEST_F(EvictedHereTest, AnOwnStoreThatTakesNoDropHoldsUpNothing) {
  Begin();
  Both("eu", "us", StoreWire::Mode::kRefused);
  world_.Set("us", "k", "old");
  Run(absl::Seconds(1));
  world_.Set("eu", "k", "new");
  world_.Set("eu", "{k}behind", "v");
  Run(absl::Seconds(1));
  Store("eu").Evict("task", "k");
  world_.node("eu").wires.at("eu")->full = absl::ResourceExhaustedError("OOM");
  Wire("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(20));
  EXPECT_EQ(world_.Get("us", "k"), std::nullopt);
  EXPECT_EQ(world_.Get("us", "{k}behind"), "v");
}

// What expires before it can be sent is nothing that is remembered for long, nor in the way.
TEST_F(EvictedHereTest, WhatHasExpiredIsRememberedForMinutesAndMayBeEvicted) {
  world_.Start();
  Run(absl::Seconds(10));
  Both("eu", "us", StoreWire::Mode::kRefused);
  const Version version = world_.Set("eu", "k", "short", absl::Seconds(5));
  Run(absl::Minutes(1));
  Both("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.node("eu").observer.gone, 1);
  EXPECT_EQ(world_.node("eu").observer.removals_gone, 0);
  for (const char* region : {"eu", "us"}) {
    EXPECT_TRUE(world_.StoredVersion(region, "k").is_set()) << region;
    EXPECT_LT(world_.StoredVersion(region, "k"), version) << region;
    EXPECT_FALSE(world_.Log(region, SlotOf("task", "k")).back().removal) << region;
  }
  EXPECT_EQ(world_.Log("eu", SlotOf("task", "k")).back().version, version) << "no change of ours";
  Run(kDropKeep);
  for (const char* region : {"eu", "us"}) {
    EXPECT_FALSE(world_.StoredVersion(region, "k").is_set()) << region;
  }
}

// L1 may still have what Redis has evicted, and gives it back after a loss.
TEST_F(EvictedHereTest, WhatWasEvictedIsWelcomeWhenItComesBack) {
  world_.Start();
  Run(absl::Seconds(10));
  Both("eu", "us", StoreWire::Mode::kRefused);
  const Version version = world_.Set("eu", "k", "new");
  Run(absl::Seconds(1));
  Store("eu").Evict("task", "k");
  Both("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get("us", "k"), std::nullopt);
  world_.Apply("eu", MakeWrite("task", "k", "new", version, world_.clock.Now(), absl::Hours(1)));
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get("us", "k"), "new");
}

// A replica that lags may answer in place of a primary that is gone: that nothing is there is no
// reason to drop anything.
TEST_F(EvictedHereTest, WhatOnlyAReplicaLacksIsSent) {
  world_.Start();
  Run(absl::Seconds(10));
  world_.node("eu").wires.at("eu")->lags = {"k"};
  world_.Set("eu", "k", "new");
  Run(absl::Seconds(1));
  EXPECT_EQ(world_.Get("us", "k"), "new");
  EXPECT_EQ(world_.node("eu").observer.gone, 0);
}

// asia was told of the delete long before it is told of the value.
class EvictedInThreeRegionsTest : public EvictedTombstoneTest {
 protected:
  EvictedInThreeRegionsTest() : EvictedTombstoneTest({"asia", "eu", "us"}) {}
};

TEST_F(EvictedInThreeRegionsTest, AThirdRegionRemembersTheDelete) {
  world_.Start();
  Run(absl::Seconds(10));
  Wire("us", "asia", StoreWire::Mode::kRefused);
  Both("eu", "us", StoreWire::Mode::kRefused);
  Wire("eu", "asia", StoreWire::Mode::kRefused);
  world_.Set("us", "k", "old");
  Run(absl::Seconds(1));
  world_.Delete("eu", "k");
  Run(absl::Seconds(1));
  Store("eu").Evict("task", "k");
  Wire("eu", "asia", StoreWire::Mode::kOpen);
  Run(absl::Minutes(15));
  Wire("us", "asia", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get("asia", "k"), std::nullopt);
  Both("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  ExpectGone();
}

}  // namespace
}  // namespace meridian
