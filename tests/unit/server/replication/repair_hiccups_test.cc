// A repair whose stores fail now and then: it ends, having walked the store about once.

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr int kKeys = 4000;
constexpr absl::Duration kOneWalk = absl::Seconds(8);

class RepairHiccupsTest : public testing::TestWithParam<int> {
 protected:
  std::string Key(int i) { return absl::StrCat("{", i % 20, "}", i); }
  int Random(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  // One of the stores does not answer, or not in time, or only to some calls.
  void Hiccup() {
    const std::string store = Random(2) == 0 ? "us" : "eu";
    StoreWire& wire = *world_.node("us").wires.at(store);
    switch (Random(4)) {
      case 0:
        wire.mode = StoreWire::Mode::kRefused;
        world_.executor.RunFor(absl::Milliseconds(Random(300)));
        break;
      case 1:  // What is asked now is answered when its deadline is over.
        wire.mode = StoreWire::Mode::kSilent;
        world_.executor.RunFor(absl::Milliseconds(Random(100)));
        break;
      case 2:
        world_.region(store).store->FailNext(absl::UnavailableError("a hiccup"), 1 + Random(5));
        break;
      default:
        world_.region(store).store->LoseNextReply(absl::DeadlineExceededError("late"),
                                                  1 + Random(5));
    }
    wire.mode = StoreWire::Mode::kOpen;
  }

  void Write(const std::string& region, const std::string& key, bool deletes) {
    const Version version = deletes ? world_.Delete(region, key) : world_.Set(region, key, "new");
    world_.executor.RunDue();
    if (world_.StoredVersion(region, key) != version) return;  // Refused by a hiccup.
    Written& newest = newest_[key];
    if (newest.version < version) newest = {version, deletes};
  }

  struct Written {
    Version version;
    bool deleted = false;
  };
  std::map<std::string, Written> newest_;
  std::minstd_rand random_{static_cast<std::minstd_rand::result_type>(GetParam())};
  ReplicationWorld world_{{"us", "eu"}};
};

TEST_P(RepairHiccupsTest, ItEndsAndNothingDeletedComesBack) {
  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; ++i) {
    keys.push_back(Key(i));
    if (i % 3 == 0) world_.Set("us", Key(i), "old");
  }
  world_.Start();
  world_.executor.RunFor(absl::Seconds(3));
  ASSERT_EQ(world_.DifferingKeys(keys), 0);
  ASSERT_EQ(world_.Link("us", "eu").repair.slots, 0u);
  world_.node("us").wires.at("eu")->mode = StoreWire::Mode::kRefused;
  world_.executor.RunFor(absl::Milliseconds(100));
  for (int i = 0; i < kKeys; ++i) Write("us", Key(i), /*deletes=*/i % 6 == 0);
  for (int i = 0; i < 20; ++i) {
    world_.region("us").store->TrimLog(SlotOf("task", absl::StrCat("{", i, "}")), 2);
  }
  world_.StopNode(world_.node("us"));  // It had them in memory.
  world_.options.link.repair.page_keys = 50;
  world_.options.link.repair.keys_per_second = kKeys / absl::ToDoubleSeconds(kOneWalk);
  world_.node("us").wires.at("eu")->mode = StoreWire::Mode::kOpen;
  world_.Start();

  const auto slots = [&] { return world_.Link("us", "eu").repair.slots; };
  for (int i = 0; i < 100 && slots() == 0; ++i) world_.executor.RunFor(absl::Milliseconds(10));
  ASSERT_GT(slots(), 0u);
  int hiccups = 0;
  const absl::Duration begin = world_.clock.Monotonic();
  while (slots() > 0 && world_.clock.Monotonic() - begin < absl::Minutes(10)) {
    world_.executor.RunFor(absl::Milliseconds(Random(1500)));
    // Life goes on.
    Write(Random(2) == 0 ? "us" : "eu", Key(Random(kKeys)), /*deletes=*/Random(2) == 0);
    Hiccup();
    ++hiccups;
  }
  EXPECT_GE(hiccups, 5);
  EXPECT_EQ(slots(), 0u) << "it does not end";
  // Pages that failed were asked for again.
  EXPECT_LE(world_.Link("us", "eu").repair.compared_total, kKeys * 3 / 2);
  world_.executor.RunFor(absl::Minutes(1));
  EXPECT_EQ(world_.DifferingKeys(keys), 0);
  for (const auto& [key, written] : newest_) {
    for (const char* region : {"us", "eu"}) {
      ASSERT_EQ(world_.Get(region, key).has_value(), !written.deleted) << key << " in " << region;
    }
  }
  EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kStreaming);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RepairHiccupsTest, testing::Range(1, 9));

}  // namespace
}  // namespace meridian
