// Values that are large beside what the own store gives out in time, and many of them: all cross,
// and few are in memory at once.

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr size_t kKiB = 1024;

class LargeValuesTest : public testing::Test {
 protected:
  LargeValuesTest() {
    world_.Start();
    for (const char* slot : {"{a}", "{b}"}) world_.Set("us", absl::StrCat(slot, "first"), "v");
    Run(absl::Seconds(2));
  }
  void Run(absl::Duration time) { world_.executor.RunFor(time); }
  StoreWire& own() { return *world_.node("us").wires["us"]; }
  StoreWire& to_eu() { return *world_.node("us").wires["eu"]; }
  static std::string KeyOf(int i) { return absl::StrCat(i % 2 == 0 ? "{a}" : "{b}", i); }
  void Write(int values, size_t bytes) {
    for (int i = 0; i < values; ++i) world_.Set("us", KeyOf(i), std::string(bytes, 'x'));
  }
  void WriteDuringACut(int values, size_t bytes) {
    to_eu().mode = StoreWire::Mode::kRefused;
    Write(values, bytes);
    Run(absl::Seconds(5));
    own().most_fetched_bytes = 0;
    to_eu().mode = StoreWire::Mode::kOpen;
  }
  int Missing(int values, size_t bytes) {
    int missing = 0;
    for (int i = 0; i < values; ++i) {
      const std::optional<std::string> there = world_.Get("eu", KeyOf(i));
      missing += there && there->size() == bytes ? 0 : 1;
    }
    return missing;
  }
  // Within so long. Returns how long it took.
  absl::Duration ExpectAllCross(int values, size_t bytes, absl::Duration most) {
    absl::Duration took;
    for (; Missing(values, bytes) > 0 && took < most; took += absl::Seconds(5)) {
      Run(absl::Seconds(5));
    }
    EXPECT_EQ(Missing(values, bytes), 0);
    Run(absl::Minutes(1));
    EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kStreaming)
        << world_.Link("us", "eu").problem;
    EXPECT_EQ(world_.Link("us", "eu").backlog, 0u);
    return took;
  }

  ReplicationWorld world_{{"us", "eu"}};
};

// 200 values, each of which takes 2 s: sixteen of them never come in time.
TEST_F(LargeValuesTest, CrossThoughTheOwnStoreGivesThemOutSlowly) {
  constexpr int kValues = 200;
  constexpr size_t kBytes = 100 * kKiB;
  own().fetched_bytes_per_second = 50 * kKiB;
  WriteDuringACut(kValues, kBytes);
  ExpectAllCross(kValues, kBytes, 2 * kValues * absl::Seconds(2));
  EXPECT_LT(own().most_fetched_bytes, 50 * kBytes);
}

TEST_F(LargeValuesTest, OneThatTakesLongerThanTheTimeOutCrosses) {
  own().fetched_bytes_per_second = 25 * kKiB;
  Write(1, 400 * kKiB);  // 16 s.
  ExpectAllCross(1, 400 * kKiB, absl::Minutes(3));
}

// A link that has sent ten thousand small values expects the next to be small.
TEST_F(LargeValuesTest, AfterACutFewOfThemAreFetchedAtOnce) {
  constexpr int kValues = 3000;
  constexpr size_t kBytes = 16 * kKiB;
  world_.StopNode(world_.node("us"));
  world_.options.link.batch_bytes = 256 * kKiB;
  world_.Start();
  own().fetched_bytes_per_second = 200'000 * kKiB;
  for (int i = 0; i < 10'000; ++i) world_.Set("us", absl::StrCat("{a}small", i), "v");
  Run(absl::Seconds(20));
  ASSERT_EQ(world_.Link("us", "eu").backlog, 0u);
  WriteDuringACut(kValues, kBytes);
  ExpectAllCross(kValues, kBytes, absl::Minutes(1));
  const ReplicationLinkOptions& link = world_.options.link;
  EXPECT_LE(own().most_fetched_bytes, link.max_fetches * link.batch_bytes * 5 / 4);
}

TEST_F(LargeValuesTest, CrossInARepairAsWell) {
  constexpr int kValues = 40;
  constexpr size_t kBytes = 100 * kKiB;
  world_.StopNode(world_.node("us"));
  Write(kValues, kBytes);
  for (const char* slot : {"{a}", "{b}"}) world_.Set("us", absl::StrCat(slot, "last"), "v");
  world_.executor.RunDue();
  for (const char* slot : {"{a}", "{b}"}) {
    world_.region("us").store->TrimLog(SlotOf("task", slot), 1);
  }
  own().fetched_bytes_per_second = 25 * kKiB;  // 4 s for each.
  world_.Start();
  ExpectAllCross(kValues, kBytes, 4 * kValues * absl::Seconds(4));
  EXPECT_LT(own().most_fetched_bytes, 40 * kBytes);
}

TEST_F(LargeValuesTest, AreComparedAndMendedThoughAStoreGivesThemOutSlowly) {
  constexpr int kValues = 40;
  constexpr size_t kBytes = 100 * kKiB;
  for (const char* region : {"us", "eu"}) world_.Publish(world_.region(region), {});
  Run(absl::Seconds(2));
  Write(kValues, kBytes);
  own().fetched_bytes_per_second = 25 * kKiB;  // 4 s for each.
  RegionDiffOptions options;
  options.repair = true;
  std::optional<RegionDiffResult> result;
  world_.node("us").replication->Diff(
      options, [&result](RegionDiffResult found) { result = std::move(found); });
  Run(absl::Minutes(30));
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(result->status.ok()) << result->status;
  EXPECT_EQ(result->repaired_keys, static_cast<uint64_t>(kValues));
  EXPECT_EQ(Missing(kValues, kBytes), 0);
}

}  // namespace
}  // namespace meridian
