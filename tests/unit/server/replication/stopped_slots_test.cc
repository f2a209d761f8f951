// Slots that stop, because a store refuses their changes, lacks their server or must take a drop
// first, take no room from the others: not for an hour, and not while their own changes go on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/version_before.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

class StoppedSlotsTest : public testing::Test {
 protected:
  static constexpr int kStopped = 40;  // More than may wait in memory, each with many changes.

  StoppedSlotsTest() {
    world_.options.link.queue_capacity = 50;
    world_.options.link.batch_changes = 20;
    world_.options.link.most_owed_drops = 2;
    world_.Start();
    Run(absl::Seconds(10));
    for (int i = 0; i < kStopped; ++i) stopped_.insert(Slot(Stopped(i, "")));
  }
  void Run(absl::Duration time) { world_.executor.RunFor(time); }
  StoreWire& Wire(const std::string& to) { return *world_.node("us").wires[to]; }
  LinkStatus link() { return world_.Link("us", "eu"); }
  static uint32_t Slot(const std::string& key) { return SlotOf("task", key); }
  static std::string Stopped(int slot, const std::string& key) {
    return absl::StrCat("{s", slot, "}", key);
  }
  LogPosition Cursor(const std::string& key) {
    LogPosition cursor;
    world_.region("eu").store->FetchCursors(
        "us", {Slot(key)}, absl::InfiniteFuture(),
        [&](absl::StatusOr<std::vector<LogPosition>> cursors) { cursor = cursors->front(); });
    world_.executor.RunDue();
    return cursor;
  }
  LogPosition EndOf(const std::string& key) { return world_.Log("us", Slot(key)).back().position; }
  // us writes the key while its link is cut off, and evicts it before eu hears of it.
  Version WriteAndEvict(const std::string& key) {
    const StoreWire::Mode before = std::exchange(Wire("eu").mode, StoreWire::Mode::kRefused);
    const Version version = world_.Set("us", key, "new");
    Run(absl::Seconds(1));
    world_.region("us").store->Evict("task", key);
    Wire("eu").mode = before;
    return version;
  }
  void ExpectOthersGoOn() {
    for (int round = 0; round < 30; ++round) {
      for (int i = 0; i < kStopped; ++i) world_.Set("us", Stopped(i, absl::StrCat(round)), "v");
      for (int i = 0; i < 5; ++i) world_.Set("us", absl::StrCat("{fine", i, "}", round), "v");
      Run(absl::Milliseconds(300));
      for (int i = 0; i < 5; ++i) {
        ASSERT_EQ(world_.Get("eu", absl::StrCat("{fine", i, "}", round)), "v") << round;
      }
    }
    // Many at once, which have to be read from the log.
    for (int i = 0; i < 300; ++i) world_.Set("us", absl::StrCat("{fine}", i), "v");
    Run(absl::Seconds(3));
    for (int i = 0; i < 300; ++i) ASSERT_EQ(world_.Get("eu", absl::StrCat("{fine}", i)), "v") << i;
  }
  void ExpectAllArrive() {
    Run(absl::Seconds(20));
    for (int i = 0; i < kStopped; ++i) {
      for (int round = 0; round < 30; ++round) {
        ASSERT_EQ(world_.Get("eu", Stopped(i, absl::StrCat(round))), "v") << i << " " << round;
      }
      EXPECT_EQ(Cursor(Stopped(i, "")), EndOf(Stopped(i, "")));
    }
    EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
    EXPECT_EQ(link().problem, "");
    EXPECT_EQ(link().backlog, 0u);
    EXPECT_EQ(link().refused_slots, 0u);
    EXPECT_EQ(link().gaps_total, 0u);
  }

  ReplicationWorld world_{{"us", "eu"}};
  std::set<uint32_t> stopped_;
};

TEST_F(StoppedSlotsTest, OfAServerThatTakesNothing) {
  Wire("eu").full = absl::UnavailableError("Redis: MISCONF cannot save");
  Wire("eu").full_slots = stopped_;
  ExpectOthersGoOn();
  Wire("eu").full = absl::OkStatus();
  ExpectAllArrive();
}

TEST_F(StoppedSlotsTest, OfAServerThatIsFull) {
  Wire("eu").full = absl::ResourceExhaustedError("Redis: OOM command not allowed");
  Wire("eu").full_slots = stopped_;
  ExpectOthersGoOn();
  Wire("eu").full = absl::OkStatus();
  ExpectAllArrive();
}

TEST_F(StoppedSlotsTest, OfAServerThatIsAway) {
  Wire("eu").away = stopped_;
  ExpectOthersGoOn();
  Wire("eu").away.clear();
  ExpectAllArrive();
}

TEST_F(StoppedSlotsTest, ThatWaitForTheOwnStoreToTakeDrops) {
  Wire("us").full = absl::UnavailableError("Redis: MISCONF cannot save");
  Wire("us").full_slots = stopped_;
  for (int i = 0; i < kStopped; ++i) WriteAndEvict(Stopped(i, "gone"));
  Run(absl::Seconds(5));
  ExpectOthersGoOn();
  EXPECT_EQ(link().owed_drops, 2u) << "the others had no room";
  Wire("us").full = absl::OkStatus();
  ExpectAllArrive();
  EXPECT_EQ(link().owed_drops, 0u);
}

}  // namespace
}  // namespace meridian
