// Replication that an operator stops and resumes.

#include "server/replication/region_cuts.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/replication/heartbeat.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

constexpr absl::Duration kSoon = absl::Milliseconds(50);

absl::Status SetCut(ReplicationWorld& world, std::string_view at, const std::string& region,
                    bool cut, size_t node = 0) {
  std::optional<absl::Status> answer;
  world.node(at, node).replication->SetCut(region, cut, "new disks",
                                           [&](absl::Status status) { answer = status; });
  world.executor.RunFor(absl::Milliseconds(5));
  EXPECT_TRUE(answer.has_value()) << "not answered";
  return answer.value_or(absl::UnknownError("not answered"));
}

TEST(RegionCutsTest, NothingIsSentToARegionThatIsCutAndEverythingAfterwards) {
  ReplicationWorld world;
  world.Start();
  world.Set("us", "k", "old");
  world.executor.RunFor(kSoon);
  ASSERT_THAT(world.Get("eu", "k"), Optional(std::string("old")));

  ASSERT_TRUE(SetCut(world, "us", "eu", true).ok());
  const Version deleted = world.Delete("us", "k");
  for (int i = 0; i < 500; ++i) world.Set("us", absl::StrCat("key:", i), "v");
  world.executor.RunFor(absl::Minutes(10));
  EXPECT_THAT(world.Get("eu", "k"), Optional(std::string("old")));
  EXPECT_EQ(world.Get("eu", "key:0"), std::nullopt);
  EXPECT_EQ(world.StoredVersion("asia", "k"), deleted);  // Nobody else is cut.
  const LinkStatus cut = world.Link("us", "eu");
  EXPECT_EQ(cut.state, LinkState::kCut);
  EXPECT_EQ(cut.backlog, 502u);  // With the operator's order, which is an entry as well.
  EXPECT_GE(cut.lag, absl::Minutes(9));
  EXPECT_THAT(cut.problem, HasSubstr("new disks"));
  EXPECT_EQ(world.Link("us", "asia").state, LinkState::kStreaming);

  // The other direction is a cut of its own.
  world.Set("eu", "back", "v");
  world.executor.RunFor(kSoon);
  EXPECT_THAT(world.Get("us", "back"), Optional(std::string("v")));

  ASSERT_TRUE(SetCut(world, "us", "eu", false).ok());
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.StoredVersion("eu", "k"), deleted);
  EXPECT_THAT(world.Get("eu", "key:499"), Optional(std::string("v")));
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
  EXPECT_EQ(world.Link("us", "eu").problem, "");
}

TEST(RegionCutsTest, EveryNodeOfTheRegionObeysAndARestartedOneToo) {
  ReplicationWorld world({"us", "eu"}, /*nodes_per_region=*/2);
  world.Start();
  world.executor.RunFor(kSoon);
  ASSERT_TRUE(SetCut(world, "us", "eu", true).ok());
  world.executor.RunFor(RegionCuts::kInterval + kSoon);
  EXPECT_EQ(world.Link("us", "eu", 0).state, LinkState::kCut);
  EXPECT_EQ(world.Link("us", "eu", 1).state, LinkState::kCut);

  for (size_t i : {0, 1}) world.StopNode(world.node("us", i));
  for (int i = 0; i < 100; ++i) world.Set("us", absl::StrCat("key:", i), "v");
  world.Start();
  world.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world.Link("us", "eu", 1).state, LinkState::kCut);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(world.Get("eu", absl::StrCat("key:", i)), std::nullopt);

  ASSERT_TRUE(SetCut(world, "us", "eu", false, /*node=*/1).ok());
  world.executor.RunFor(RegionCuts::kInterval + absl::Seconds(1));
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(world.Get("eu", absl::StrCat("key:", i)), Optional(std::string("v")));
  }
}

TEST(RegionCutsTest, ANodeThatCannotAskSendsNothingAndOneThatKnewGoesOn) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.executor.RunFor(kSoon);
  ASSERT_TRUE(SetCut(world, "us", "eu", true).ok());
  // Known: the store is away for a while, and the cut stays.
  world.node("us").wires["us"]->mode = StoreWire::Mode::kRefused;
  world.executor.RunFor(absl::Minutes(1));
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kCut);
  EXPECT_FALSE(SetCut(world, "us", "eu", false).ok());
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kCut);

  // Not known: a node that begins without its store is not there yet.
  world.StopNode(world.node("us"));
  world.Start();
  world.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kDisconnected);
  EXPECT_THAT(world.Link("us", "eu").problem, HasSubstr("has not said yet"));
  world.node("us").wires["us"]->mode = StoreWire::Mode::kOpen;
  world.executor.RunFor(absl::Seconds(2));
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kCut);
}

TEST(RegionCutsTest, ARepairWaitsForTheHealAsWell) {
  ReplicationWorld world({"us", "eu"});
  world.options.link.repair.page_keys = 10;
  world.options.link.repair.keys_per_second = 100;
  world.Start();
  world.Set("us", "{t}first", "v");
  world.executor.RunFor(absl::Seconds(2));
  ASSERT_TRUE(SetCut(world, "us", "eu", true).ok());
  for (int i = 0; i < 200; ++i) world.Set("us", absl::StrCat("{t}", i), "v");
  world.executor.RunDue();
  world.region("us").store->TrimLog(SlotOf("task", "{t}"), 1);
  world.StopNode(world.node("us"));  // It had them in memory.
  world.Start();
  world.executor.RunFor(absl::Seconds(30));
  EXPECT_EQ(world.Get("eu", "{t}0"), std::nullopt);
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kCut);

  ASSERT_TRUE(SetCut(world, "us", "eu", false).ok());
  world.executor.RunFor(absl::Seconds(3));
  // Cut again while it is being mended: the repair stops, too.
  ASSERT_EQ(world.Link("us", "eu").state, LinkState::kRepairing);
  ASSERT_TRUE(SetCut(world, "us", "eu", true).ok());
  const uint64_t sent = world.Link("us", "eu").repair.sent_total;
  EXPECT_GT(sent, 0u);
  EXPECT_LT(sent, 150u);
  world.executor.RunFor(absl::Seconds(30));
  EXPECT_EQ(world.Link("us", "eu").repair.sent_total, sent);
  ASSERT_TRUE(SetCut(world, "us", "eu", false).ok());
  world.executor.RunFor(absl::Minutes(1));
  for (int i = 0; i < 200; ++i) {
    EXPECT_THAT(world.Get("eu", absl::StrCat("{t}", i)), Optional(std::string("v"))) << i;
  }
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
}

TEST(RegionCutsTest, OnlyOtherRegionsCanBeCutAndACutOneIsNotRepairedByADiff) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.executor.RunFor(kSoon);
  EXPECT_EQ(SetCut(world, "us", "us", true).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(SetCut(world, "us", "mars", true).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(SetCut(world, "us", "eu", true).ok());
  world.Set("us", "k", "v");
  RegionDiffOptions options;
  options.repair = true;
  absl::Status refused;
  world.node("us").replication->Diff(options,
                                     [&](RegionDiffResult result) { refused = result.status; });
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(world.Get("eu", "k"), std::nullopt);
}

TEST(RegionCutsTest, AnAnswerOfAStoppedNodeIsNotForgotten) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.executor.RunFor(kSoon);
  std::optional<absl::Status> answer;
  world.node("us").replication->SetCut("eu", true, "",
                                       [&](absl::Status status) { answer = status; });
  world.StopNode(world.node("us"));
  world.executor.RunFor(absl::Seconds(1));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code(), absl::StatusCode::kCancelled);
}

// A cut that somebody with a clock ahead of ours has written is overtaken all the same.
TEST(RegionCutsTest, AHealWinsOverACutOfAClockThatIsAhead) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.executor.RunFor(kSoon);
  const std::string key = "cut:us:eu";
  const Version ahead{
      static_cast<uint64_t>(absl::ToUnixMillis(world.clock.Now() + absl::Seconds(30))) << 16,
      RegionId("us")};
  world.Apply("us", MakeWrite(kInternalNamespace, key, "planned", ahead, world.clock.Now(),
                              absl::Hours(1)));
  world.executor.RunFor(absl::Seconds(2));
  ASSERT_EQ(world.Link("us", "eu").state, LinkState::kCut);
  EXPECT_TRUE(SetCut(world, "us", "eu", false).ok());
  world.executor.RunFor(absl::Seconds(2));
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
}

}  // namespace
}  // namespace meridian
