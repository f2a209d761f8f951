// A full store evicts what it may, and it may have to forget that a key was deleted while another
// region was away: what was deleted stays deleted all the same.

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
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

  // us has written the key, eu has deleted it after that and forgotten that it did.
  void DeleteAndForget() {
    world_.Start();
    Run(absl::Seconds(10));
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
  EXPECT_EQ(world_.Link("eu", "us").evicted_total, 1u);
}

TEST_F(EvictedTombstoneTest, TheDeleteArrivesFirst) {
  DeleteAndForget();
  Wire("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get("us", "k"), std::nullopt);
  Run(absl::Minutes(5));  // A drop that is kept for seconds only would be gone.
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
  Run(absl::Minutes(5));
  Wire("us", "asia", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get("asia", "k"), std::nullopt);
  Both("eu", "us", StoreWire::Mode::kOpen);
  Run(absl::Seconds(10));
  ExpectGone();
}

}  // namespace
}  // namespace meridian
