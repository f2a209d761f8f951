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

// A server of the own cluster is gone, with what is known of asia.
TEST(RegionCutsTest, ARegionWhoseOrderCannotBeReadHoldsNoOtherUp) {
  ReplicationWorld world;
  StoreWire& own = *world.node("us").wires["us"];
  own.away = {SlotOf(kInternalNamespace, "cut:us:asia")};
  world.Start();
  world.Set("us", "k", "v");
  world.executor.RunFor(absl::Seconds(5));
  EXPECT_THAT(world.Get("eu", "k"), Optional(std::string("v")));
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
  EXPECT_EQ(world.Get("asia", "k"), std::nullopt);
  EXPECT_THAT(world.Link("us", "asia").problem, HasSubstr("has not said yet"));
  // An order that another node has stored is read all the same.
  world.Apply("us", MakeWrite(kInternalNamespace, "cut:us:eu", "planned",
                              world.region("us").writer->Next(), world.clock.Now(),
                              absl::Hours(1)));
  world.executor.RunFor(absl::Seconds(5));
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kCut);
  own.away.clear();
  world.executor.RunFor(absl::Seconds(5));
  EXPECT_THAT(world.Get("asia", "k"), Optional(std::string("v")));
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

// A store that goes back to an older state, comes back empty, or evicts: whoever knows the order
// stores it again.
class LostOrderTest : public testing::Test {
 protected:
  LostOrderTest() {
    world_.Start();
    world_.executor.RunFor(kSoon);
  }
  void Order(bool cut) {
    ASSERT_TRUE(SetCut(world_, "us", "eu", cut).ok());
    world_.executor.RunFor(RegionCuts::kInterval + kSoon);
  }
  FakeL2Store& us() { return *world_.region("us").store; }
  void ExpectState(LinkState state) {
    for (const size_t node : {0, 1}) {
      EXPECT_EQ(world_.Link("us", "eu", node).state, state) << node;
    }
  }
  // Nothing is sent meanwhile, not even by a node that starts later.
  void ExpectCutFor(absl::Duration time) {
    for (absl::Duration passed; passed < time; passed += absl::Milliseconds(100)) {
      world_.executor.RunFor(absl::Milliseconds(100));
      ExpectState(LinkState::kCut);
    }
    world_.StopNode(world_.node("us", 1));
    world_.Start();
    world_.executor.RunFor(absl::Seconds(1));
    ExpectState(LinkState::kCut);
  }

  ReplicationWorld world_{{"us", "eu"}, /*nodes_per_region=*/2};
};

TEST_F(LostOrderTest, AStoreThatComesBackEmptyDoesNotHeal) {
  const auto empty = us().Save();
  Order(/*cut=*/true);
  const Version ordered = world_.StoredVersion("us", "cut:us:eu", kInternalNamespace);
  us().GoBackTo(*empty);
  ExpectCutFor(absl::Seconds(10));
  EXPECT_EQ(world_.StoredVersion("us", "cut:us:eu", kInternalNamespace), ordered);
  world_.Wipe(world_.region("us"));
  ExpectCutFor(absl::Seconds(10));
  EXPECT_EQ(world_.StoredVersion("us", "cut:us:eu", kInternalNamespace), ordered);
  EXPECT_THAT(world_.Link("us", "eu").problem, HasSubstr("new disks"));
  Order(/*cut=*/false);
  ExpectState(LinkState::kStreaming);
}

TEST_F(LostOrderTest, AnOlderOrderIsNotObeyed) {
  Order(/*cut=*/true);
  const auto cut = us().Save();
  Order(/*cut=*/false);
  us().GoBackTo(*cut);
  world_.executor.RunFor(absl::Seconds(2));
  ExpectState(LinkState::kStreaming);
  const auto healed = us().Save();
  Order(/*cut=*/true);
  us().GoBackTo(*healed);
  ExpectCutFor(absl::Seconds(10));
}

// As a store that evicts volatile keys would, and one that forgets tombstones in time.
TEST_F(LostOrderTest, OrdersHaveNoEnd) {
  Order(/*cut=*/true);
  for (size_t node : {0, 1}) world_.StopNode(world_.node("us", node));
  world_.clock.Advance(absl::Hours(24) * 365 * 50);
  EXPECT_NE(world_.StoredVersion("us", "cut:us:eu", kInternalNamespace), Version());
  world_.Start();
  ExpectCutFor(absl::Seconds(2));
  Order(/*cut=*/false);
  // One that knew of the cut, and was away, is told of the heal.
  for (size_t node : {0, 1}) world_.StopNode(world_.node("us", node));
  world_.clock.Advance(absl::Hours(24) * 365);
  const Version healed = world_.StoredVersion("us", "cut:us:eu", kInternalNamespace);
  EXPECT_NE(healed, Version());
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
