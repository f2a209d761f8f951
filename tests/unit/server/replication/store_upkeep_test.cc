#include "server/replication/store_upkeep.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

class StoreUpkeepTest : public testing::Test {
 protected:
  StoreUse Sum() {
    StoreUse sum;
    for (size_t i = 0; i < 2; ++i) {
      const StoreUse use = world_.node("us", i).replication->Use();
      sum.changelog_entries += use.changelog_entries;
      sum.changelog_bytes += use.changelog_bytes;
      sum.tombstones += use.tombstones;
      sum.tombstone_bytes += use.tombstone_bytes;
      sum.tombstones_evictable += use.tombstones_evictable;
      sum.changelog_trimmed += use.changelog_trimmed;
    }
    return sum;
  }
  uint64_t Entries() {
    uint64_t entries = 0;
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) entries += world_.Log("us", slot).size();
    return entries;
  }

  ReplicationWorld world_{{"us", "eu"}, 2};
};

TEST_F(StoreUpkeepTest, TheNodesTogetherCountWhatTheirRegionHas) {
  world_.options.heartbeat_interval = absl::ZeroDuration();
  for (int i = 0; i < 1200; ++i) world_.Set("us", absl::StrCat("k", i), "v");
  for (int i = 0; i < 700; ++i) world_.Delete("us", absl::StrCat("k", i));
  world_.Start();
  world_.executor.RunFor(absl::Seconds(60));
  const StoreUse use = Sum();
  EXPECT_EQ(use.changelog_entries, Entries());
  EXPECT_GE(use.changelog_entries, 1900u);
  EXPECT_GT(use.changelog_bytes, use.changelog_entries * 10);
  EXPECT_EQ(use.tombstones, 700u);
  EXPECT_GE(use.tombstone_bytes, 700u * 44);

  // Slots that move are counted once.
  world_.Publish(world_.region("us"), {"us-1"});
  world_.executor.RunFor(absl::Minutes(3));
  EXPECT_EQ(Sum().changelog_entries, Entries());
  EXPECT_EQ(Sum().tombstones, 700u);
}

TEST_F(StoreUpkeepTest, AStoreThatDoesNotAnswerLeavesTheFiguresOfBefore) {
  for (int i = 0; i < 10; ++i) world_.Delete("us", absl::StrCat("k", i));
  world_.Start();
  world_.executor.RunFor(absl::Seconds(60));
  EXPECT_EQ(Sum().tombstones, 10u);
  for (size_t i = 0; i < 2; ++i) {
    world_.node("us", i).wires["us"]->mode = StoreWire::Mode::kRefused;
  }
  world_.executor.RunFor(absl::Minutes(3));
  EXPECT_EQ(Sum().tombstones, 10u);
  EXPECT_GE(Sum().changelog_entries, 10u);
}

TEST_F(StoreUpkeepTest, ChangelogsThatTakeTooMuchAreTrimmedTheLargestFirst) {
  constexpr size_t kMany = 4000;
  world_.options.heartbeat_interval = absl::ZeroDuration();
  const uint32_t slot = SlotOf("task", "{a}k");
  for (size_t i = 0; i < kMany; ++i) world_.Set("us", absl::StrCat("{a}k", i), "v");
  for (int i = 0; i < 500; ++i) world_.Set("us", absl::StrCat("{b}k", i), "v");
  const size_t others = Entries() - world_.Log("us", slot).size();
  world_.options.upkeep.changelog_max_bytes = 1;
  world_.Start();
  world_.executor.RunFor(absl::Seconds(60));
  EXPECT_EQ(world_.Log("us", slot).size(), StoreUpkeep::kFewestEntries) << "and no less";
  EXPECT_EQ(Entries() - world_.Log("us", slot).size(), others) << "those of few entries stay";
  EXPECT_EQ(Sum().changelog_trimmed, kMany - StoreUpkeep::kFewestEntries);
}

TEST(TrimsForTest, AllFitTogetherAfterwardsAndSmallLogsStay) {
  const std::map<uint32_t, LogSize> logs = {
      {1, {100, 10'000}}, {2, {30'000, 3'000'000}}, {3, {50'000, 5'000'000}}, {4, {0, 0}}};
  EXPECT_TRUE(TrimsFor(logs, 8'010'000).empty());
  const std::vector<LogTrim> trims = TrimsFor(logs, 4'010'000);
  ASSERT_EQ(trims.size(), 2u);
  for (const LogTrim& trim : trims) EXPECT_EQ(trim.entries, 20'000u) << trim.slot;
  const std::vector<LogTrim> one = TrimsFor(logs, 7'010'000);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].slot, 3u);
  EXPECT_EQ(one[0].entries, 40'000u);
  EXPECT_TRUE(TrimsFor({}, 1).empty());
}

// Deletes, one a second, of which a budget of a tenth is kept.
// 60,000 keys take twelve seconds.
TEST_F(StoreUpkeepTest, ALongWalkIsFollowedByALongRestUnlessTheBudgetIsNear) {
  world_.options.heartbeat_interval = absl::ZeroDuration();
  world_.options.upkeep.tombstone_max_bytes = 20'000;
  for (int i = 0; i < 60'000; ++i) world_.Set("us", absl::StrCat("k", i), "v");
  world_.Start();
  world_.executor.RunFor(absl::Seconds(15));
  for (int i = 0; i < 300; ++i) world_.Delete("us", absl::StrCat("k", i));
  world_.executor.RunFor(absl::Seconds(90));
  EXPECT_EQ(Sum().tombstones, 0u);
  world_.executor.RunFor(absl::Seconds(30));
  ASSERT_EQ(Sum().tombstones, 300u);
  ASSERT_GT(Sum().tombstone_bytes, 10'000u);
  for (int i = 300; i < 310; ++i) world_.Delete("us", absl::StrCat("k", i));
  world_.executor.RunFor(absl::Seconds(80));
  EXPECT_EQ(Sum().tombstones, 310u);
}

// A walk takes twelve seconds here, and the rest after it would be 108 s.
TEST_F(StoreUpkeepTest, TheFasterTombstonesComeTheShorterIsTheRest) {
  world_.options.heartbeat_interval = absl::ZeroDuration();
  world_.options.upkeep.tombstone_max_bytes = 40'000;
  for (int i = 0; i < 60'000; ++i) world_.Set("us", absl::StrCat("k", i), "v");
  world_.Start();
  world_.executor.RunFor(absl::Seconds(15));
  for (int i = 0; i < 400; ++i) world_.Delete("us", absl::StrCat("k", i));
  for (int i = 0; i < 200 && Sum().tombstones < 400; ++i) {
    world_.executor.RunFor(absl::Seconds(1));
  }
  ASSERT_EQ(Sum().tombstones, 400u);
  ASSERT_GT(Sum().tombstone_bytes, 14'000u);
  ASSERT_LT(Sum().tombstone_bytes, 20'000u) << "half of the budget would be another reason";
  for (int i = 400; i < 800; ++i) world_.Delete("us", absl::StrCat("k", i));
  world_.executor.RunFor(absl::Seconds(105));
  EXPECT_EQ(Sum().tombstones, 800u);
  for (int i = 800; i < 900; ++i) world_.Delete("us", absl::StrCat("k", i));
  world_.executor.RunFor(StoreUpkeep::kRest + absl::Seconds(15));
  EXPECT_EQ(Sum().tombstones, 900u) << "half of the budget is used";
}

TEST_F(StoreUpkeepTest, TheOldestTombstonesMayBeEvictedWhenAllTakeTooMuch) {
  world_.options.heartbeat_interval = absl::ZeroDuration();
  world_.options.link.repair.tombstone_ttl = absl::Hours(1);
  for (int i = 0; i < 3000; ++i) {
    world_.Delete("us", absl::StrCat("k", i), "task");
    world_.executor.RunFor(absl::Seconds(1));
  }
  world_.options.upkeep.tombstone_max_bytes = 300 * 50;
  world_.Start();
  world_.executor.RunFor(absl::Minutes(5));
  const StoreUse use = Sum();
  EXPECT_GT(use.tombstones, 2500u);
  EXPECT_LT(use.tombstones - use.tombstones_evictable, 400u) << "within the budget";
  EXPECT_GT(use.tombstones_evictable, 2000u);
}

}  // namespace
}  // namespace meridian
