#include "server/replication/region_diff.h"

#include <functional>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;
using ::testing::SizeIs;

class RegionDiffTest : public ::testing::Test {
 protected:
  RegionDiffTest() {
    world_.modes = {{"scratch", ReplicationMode::kLocal}};
    world_.Start();
    for (int i = 0; i < 1200; ++i) world_.Set("us", absl::StrCat("k", i), "v");
    world_.Delete("eu", "k7");
    world_.executor.RunFor(absl::Seconds(5));
    // From here on nothing replicates by itself.
    for (const char* region : {"us", "eu", "asia"}) world_.Publish(world_.region(region), {});
    world_.executor.RunFor(absl::Seconds(2));
  }

  RegionDiffResult Diff(RegionDiffOptions options = {}) {
    std::optional<RegionDiffResult> result;
    world_.node("us").replication->Diff(
        std::move(options), [&result](RegionDiffResult found) { result = std::move(found); });
    world_.executor.RunFor(absl::Seconds(60));
    EXPECT_TRUE(result.has_value());
    return result.value_or(RegionDiffResult());
  }
  static RegionDiffOptions Repair() {
    RegionDiffOptions options;
    options.repair = true;
    return options;
  }

  ReplicationWorld world_;
};

TEST_F(RegionDiffTest, EqualRegionsDoNotDiffer) {
  const RegionDiffResult result = Diff();
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.differing_keys, 0u);
  EXPECT_EQ(result.compared_keys, 3600u);
}

TEST_F(RegionDiffTest, WhatDiffersIsCountedShownAndMendedToTheNewest) {
  const Version newer = world_.Set("asia", "k1", "newer");
  world_.Set("us", "only here", "v");
  world_.Delete("eu", "k2");
  world_.Set("us", "mine", "v", absl::Hours(1), "scratch");  // Never leaves its region.
  world_.executor.RunFor(absl::Milliseconds(10));
  const RegionDiffResult found = Diff();
  EXPECT_EQ(found.differing_keys, 3u);
  EXPECT_EQ(found.repaired_keys, 0u);
  EXPECT_THAT(found.examples, SizeIs(3));
  EXPECT_THAT(found.examples,
              testing::Contains(AllOf(HasSubstr("task k1:"), HasSubstr("asia " + newer.ToText()))));
  EXPECT_THAT(found.examples,
              testing::Contains(AllOf(HasSubstr("task only here:"), HasSubstr("eu none"))));

  EXPECT_EQ(Diff(Repair()).repaired_keys, 3u);
  EXPECT_EQ(Diff().differing_keys, 0u);
  for (const char* region : {"us", "eu", "asia"}) {
    EXPECT_THAT(world_.Get(region, "k1"), Optional(std::string("newer"))) << region;
    EXPECT_THAT(world_.Get(region, "only here"), Optional(std::string("v"))) << region;
    EXPECT_EQ(world_.Get(region, "k2"), std::nullopt) << region;
  }
  EXPECT_EQ(world_.Get("eu", "mine", "scratch"), std::nullopt);
}

// 2000 keys differ, 50 ms away: with 32 records at a time, one store after the other, that took 16
// s.
TEST_F(RegionDiffTest, ManyDifferingKeysAreFetchedTogetherFromAllStores) {
  for (int i = 0; i < 2000; ++i) world_.Set(i % 2 == 0 ? "us" : "asia", absl::StrCat("d", i), "v");
  world_.executor.RunFor(absl::Milliseconds(10));
  for (const char* region : {"us", "eu", "asia"}) {
    world_.node("us").wires.at(region)->delay = absl::Milliseconds(50);
  }
  const absl::Time begin = world_.clock.Now();
  absl::Time end = absl::InfiniteFuture();
  RegionDiffResult result;
  world_.node("us").replication->Diff({}, [&](RegionDiffResult found) {
    result = std::move(found);
    end = world_.clock.Now();
  });
  world_.executor.RunFor(absl::Seconds(60));
  EXPECT_EQ(result.differing_keys, 2000u);
  EXPECT_LT(end - begin, absl::Seconds(6));
}

TEST_F(RegionDiffTest, WhatIsRefusedTogetherIsFetchedInParts) {
  for (int i = 0; i < 100; ++i) world_.Set("us", absl::StrCat("d", i), "v");
  world_.executor.RunFor(absl::Milliseconds(10));
  world_.node("us").wires.at("eu")->overloaded_fetches = 3;
  const RegionDiffResult result = Diff(Repair());
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.repaired_keys, 100u);
  world_.node("us").wires.at("eu")->overloaded_fetches = 1000;  // Whatever is asked.
  world_.Set("us", "d0", "w");
  EXPECT_EQ(Diff().status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(RegionDiffTest, DeadEntriesThatOnlySomeRememberAreNoDifference) {
  world_.Delete("us", "never was");
  world_.Set("eu", "short", "v", absl::Seconds(1));
  world_.executor.RunFor(absl::Seconds(2));
  const RegionDiffResult result = Diff();
  EXPECT_EQ(result.differing_keys, 0u);
  EXPECT_GE(result.differing_slots, 1u);
}

// Which of them eu has deleted and forgotten nobody knows any more.
TEST_F(RegionDiffTest, WhatMayHaveBeenDeletedAndForgottenIsNotSpreadUnlessTheCallerSaysSo) {
  for (const char* key : {"old", "both"}) {
    world_.Set("us", key, "v", absl::Hours(24 * 30));
  }
  world_.Set("eu", "both", "older", absl::Hours(24 * 30));
  world_.Set("asia", "both", "oldest", absl::Hours(24 * 30));
  world_.executor.RunDue();
  world_.StopNode(world_.node("us"));  // Only time passes.
  world_.StopNode(world_.node("eu"));
  world_.StopNode(world_.node("asia"));
  world_.clock.Advance(absl::Hours(24));
  world_.Set("us", "young", "v");
  world_.Start();
  const RegionDiffResult repaired = Diff(Repair());
  EXPECT_EQ(repaired.differing_keys, 3u);
  EXPECT_EQ(repaired.doubtful_keys, 1u);
  EXPECT_EQ(repaired.repaired_keys, 2u);
  EXPECT_THAT(repaired.examples,
              testing::Contains(AllOf(HasSubstr("task old:"), HasSubstr("(doubtful)"))));
  EXPECT_EQ(world_.Get("eu", "old"), std::nullopt);
  EXPECT_EQ(world_.DifferingKeys({"both", "young"}), 0);

  EXPECT_EQ(Diff().doubtful_keys, 1u);
  RegionDiffOptions decided = Repair();
  decided.spread_doubtful = true;
  EXPECT_EQ(Diff(decided).repaired_keys, 1u);
  EXPECT_EQ(Diff().differing_keys, 0u);
  EXPECT_THAT(world_.Get("eu", "old"), Optional(std::string("v")));
}

TEST_F(RegionDiffTest, OnlyTheNamedRegionsAreComparedAndUnknownOnesRefused) {
  world_.Set("asia", "k1", "newer");
  world_.executor.RunFor(absl::Milliseconds(10));
  RegionDiffOptions two;
  two.regions = {"us", "eu"};
  EXPECT_EQ(Diff(two).differing_keys, 0u);
  two.regions = {"us", "mars"};
  EXPECT_EQ(Diff(two).status.code(), absl::StatusCode::kNotFound);
  two.regions = {"us"};
  EXPECT_EQ(Diff(two).status.code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RegionDiffTest, ARegionThatCannotBeReadIsAnErrorAndNotADifference) {
  world_.node("us").wires.at("asia")->mode = StoreWire::Mode::kRefused;
  const RegionDiffResult result = Diff();
  EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("the Redis of asia"));
}

// asia answers one second in two, and us loses replies: whatever is under way is asked again.
TEST_F(RegionDiffTest, HiccupsAreWaitedOut) {
  for (int i = 0; i < 100; ++i) world_.Set("us", absl::StrCat("d", i), "v");
  world_.executor.RunFor(absl::Milliseconds(10));
  const auto& wires = world_.node("us").wires;
  for (const char* region : {"us", "eu", "asia"}) wires.at(region)->delay = absl::Milliseconds(70);
  std::function<void(int)> hiccup = [&](int n) {
    wires.at("asia")->mode = n % 2 == 0 ? StoreWire::Mode::kRefused : StoreWire::Mode::kOpen;
    if (n % 2 != 0) world_.region("us").store->LoseNextReply(absl::DeadlineExceededError("late"));
    if (n > 0) world_.executor.PostAfter(absl::Seconds(1), [&hiccup, n] { hiccup(n - 1); });
  };
  hiccup(41);
  const RegionDiffResult repaired = Diff(Repair());
  EXPECT_TRUE(repaired.status.ok()) << repaired.status;
  EXPECT_EQ(repaired.compared_keys, 3700u);
  EXPECT_EQ(repaired.differing_keys, 100u);
  EXPECT_EQ(repaired.repaired_keys, 100u);
  EXPECT_EQ(Diff().differing_keys, 0u);
}

TEST_F(RegionDiffTest, AWalkThatCannotGoOnBeginsAnewAndCountsOnce) {
  world_.Set("us", "d", "v");
  world_.executor.RunFor(absl::Milliseconds(10));
  StoreWire& us = *world_.node("us").wires.at("us");
  us.delay = absl::Milliseconds(50);
  std::optional<RegionDiffResult> result;
  world_.node("us").replication->Diff({}, [&result](RegionDiffResult found) { result = found; });
  world_.executor.RunFor(absl::Milliseconds(130));  // One page was looked at.
  world_.region("us").store->FailNext(absl::AbortedError("another primary"));
  world_.executor.RunFor(absl::Seconds(10));
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(result->status.ok()) << result->status;
  EXPECT_EQ(result->compared_keys, 3601u);
  EXPECT_EQ(result->differing_keys, 1u);
}

TEST_F(RegionDiffTest, WhatAStoreRefusesIsNotCountedAsMended) {
  for (const char* key : {"d0", "d1", "d2"}) world_.Set("us", key, "v");
  world_.executor.RunFor(absl::Milliseconds(10));
  world_.node("us").wires.at("eu")->refused["d1"] = absl::FailedPreconditionError("WRONGTYPE");
  const RegionDiffResult result = Diff(Repair());
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.differing_keys, 3u);
  EXPECT_EQ(result.repaired_keys, 2u);
  EXPECT_EQ(Diff().differing_keys, 1u);
}

TEST_F(RegionDiffTest, ItEndsWhenTheCallerGoesOrTheNodeStops) {
  RegionDiffOptions options;
  options.cancelled = [] { return true; };
  EXPECT_EQ(Diff(options).status.code(), absl::StatusCode::kCancelled);

  std::optional<RegionDiffResult> result;
  world_.node("us").replication->Diff(
      {}, [&result](RegionDiffResult found) { result = std::move(found); });
  world_.StopNode(world_.node("us"));
  world_.executor.RunFor(absl::Seconds(1));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->status.code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace meridian
