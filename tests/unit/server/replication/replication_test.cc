// Regions that replicate to each other: what arrives, how often, and who wins.

#include "server/replication/replication.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Optional;
using ::testing::SizeIs;

constexpr absl::Duration kSoon = absl::Milliseconds(50);  // Two idle polls and some.

std::vector<std::string> Keys(int count) {
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) keys.push_back(absl::StrCat("key:", i));
  return keys;
}

TEST(ReplicationTest, ASetArrivesInEveryOtherRegionExactlyOnceAndDoesNotEcho) {
  ReplicationWorld world;
  world.Start();
  world.executor.RunFor(kSoon);
  const Version version = world.Set("us", "k", "v");
  world.executor.RunFor(kSoon);

  for (const char* region : {"eu", "asia"}) {
    EXPECT_THAT(world.Get(region, "k"), Optional(std::string("v"))) << region;
    EXPECT_EQ(world.StoredVersion(region, "k"), version) << region;
  }
  world.executor.RunFor(absl::Seconds(10));
  for (const char* region : {"us", "eu", "asia"}) {
    EXPECT_THAT(world.Log(region, SlotOf("task", "k")), SizeIs(1)) << region;
    EXPECT_EQ(world.region(region).store->calls().applied_writes, 1u) << region;
  }
  EXPECT_EQ(world.Link("us", "eu").applied_total, 1u);
  EXPECT_EQ(world.Link("us", "eu").last_applied, version);
  EXPECT_EQ(world.Link("eu", "us").applied_total, 0u);
}

// One of a cluster's: of the target, then of the own region.
TEST(ReplicationTest, AServerThatIsAwayStopsItsSlotsAndNoOthers) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.executor.RunFor(absl::Seconds(1));
  const uint32_t a = SlotOf("task", "{a}");
  int round = 0;
  for (const char* where : {"eu", "us"}) {
    SCOPED_TRACE(where);
    StoreWire& wire = *world.node("us").wires[where];
    wire.away = {a};
    const std::string value = absl::StrCat("v", ++round);
    for (int i = 0; i < 5; ++i) {
      world.Set("us", "{a}k", value);
      world.Set("us", "{b}k", value);
      world.executor.RunFor(absl::Milliseconds(300));
    }
    EXPECT_THAT(world.Get("eu", "{b}k"), Optional(value));
    EXPECT_NE(world.Get("eu", "{a}k"), value);
    wire.away.clear();
    world.executor.RunFor(absl::Seconds(3));
    EXPECT_THAT(world.Get("eu", "{a}k"), Optional(value));
    EXPECT_EQ(world.DifferingKeys({"{a}k", "{b}k"}), 0);
  }
}

TEST(ReplicationTest, ADeleteWinsOverAnOlderSetThatArrivesLater) {
  ReplicationWorld world;
  world.Start();
  world.node("us").wires["asia"]->mode = StoreWire::Mode::kRefused;
  world.Set("us", "k", "old");
  world.executor.RunFor(absl::Seconds(1));
  ASSERT_THAT(world.Get("eu", "k"), Optional(std::string("old")));
  const Version deleted = world.Delete("eu", "k");
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.Get("us", "k"), std::nullopt);
  EXPECT_EQ(world.StoredVersion("asia", "k"), deleted);

  world.node("us").wires["asia"]->mode = StoreWire::Mode::kOpen;
  world.executor.RunFor(absl::Seconds(5));
  EXPECT_EQ(world.Get("asia", "k"), std::nullopt);
  EXPECT_EQ(world.StoredVersion("asia", "k"), deleted);
}

TEST(ReplicationTest, ConcurrentWritesConvergeToTheHighestVersionInAnyOrder) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    ReplicationWorld world;
    world.Start();
    Version highest;
    std::string winner;
    std::vector<std::string> order = {"us", "eu", "asia", "us", "eu", "asia"};
    std::shuffle(order.begin(), order.end(), random);
    for (size_t i = 0; i < order.size(); ++i) {
      // Every wire has a delay of its own at each step, so that writes pass each other.
      for (const auto& region : world.regions) {
        for (auto& [name, wire] : region->nodes[0]->wires) {
          wire->delay = absl::Milliseconds(random() % 40);
        }
      }
      const std::string value = absl::StrCat(order[i], i);
      const Version version = world.Set(order[i], "k", value);
      if (version > highest) {
        highest = version;
        winner = value;
      }
      if (random() % 2 == 0) world.executor.RunFor(absl::Milliseconds(random() % 30));
    }
    world.executor.RunFor(absl::Seconds(1));
    for (const auto& region : world.regions) {
      EXPECT_THAT(world.Get(region->name, "k"), Optional(winner)) << region->name << " " << seed;
    }
  }
}

TEST(ReplicationTest, ARegionThatWasDownCatchesUpAndDelaysNobodyElse) {
  for (const StoreWire::Mode mode : {StoreWire::Mode::kRefused, StoreWire::Mode::kSilent}) {
    ReplicationWorld world;
    world.Start();
    world.executor.RunFor(kSoon);
    world.node("us").wires["asia"]->mode = mode;
    const std::vector<std::string> keys = Keys(300);
    for (int round = 0; round < 20; ++round) {
      for (const std::string& key : keys) world.Set("us", key, absl::StrCat(key, "@", round));
      world.executor.RunFor(absl::Seconds(1));
      EXPECT_THAT(world.Get("eu", keys[0]), Optional(absl::StrCat("key:0@", round)));
      EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
      EXPECT_EQ(world.Link("us", "eu").backlog, 0u);
      EXPECT_EQ(world.Link("us", "eu").lag, absl::ZeroDuration());
    }
    const LinkStatus cut = world.Link("us", "asia");
    EXPECT_EQ(cut.state, LinkState::kDisconnected);
    EXPECT_NE(cut.problem, "");
    EXPECT_EQ(cut.backlog, 20u * 300u);
    EXPECT_GE(cut.lag, absl::Seconds(19));
    EXPECT_EQ(world.Get("asia", keys[0]), std::nullopt);

    world.node("us").wires["asia"]->mode = StoreWire::Mode::kOpen;
    world.executor.RunFor(absl::Seconds(10));
    EXPECT_EQ(world.DifferingKeys(keys), 0);
    const LinkStatus healed = world.Link("us", "asia");
    EXPECT_EQ(healed.state, LinkState::kStreaming);
    EXPECT_EQ(healed.problem, "");
    EXPECT_EQ(healed.backlog, 0u);
    EXPECT_EQ(healed.lag, absl::ZeroDuration());
    // Keys that changed 20 times cross once.
    EXPECT_EQ(healed.applied_total, 300u);
    EXPECT_EQ(world.node("us").observer.states["asia"].back(), LinkState::kStreaming);
  }
}

TEST(ReplicationTest, ALinkGoesOnSoonAfterTheCircuitBreakerHasClosedHoweverLongItWasOpen) {
  ReplicationWorld world;
  world.Start();
  world.executor.RunFor(kSoon);
  StoreWire& wire = *world.node("us").wires["asia"];
  wire.mode = StoreWire::Mode::kRefused;  // The link's own waits grow to 2 s.
  world.Set("us", "k", "v");
  world.executor.RunFor(absl::Seconds(20));
  wire.mode = StoreWire::Mode::kBreakerOpen;
  world.executor.RunFor(absl::Seconds(30));
  EXPECT_EQ(world.Link("us", "asia").state, LinkState::kDisconnected);
  EXPECT_EQ(world.Get("asia", "k"), std::nullopt);

  wire.mode = StoreWire::Mode::kOpen;
  world.executor.RunFor(absl::Milliseconds(250));
  EXPECT_THAT(world.Get("asia", "k"), Optional(std::string("v")));
  EXPECT_EQ(world.Link("us", "asia").state, LinkState::kStreaming);
}

TEST(ReplicationTest, ALinkWithAFullQueueReadsTheRestFromTheLog) {
  ReplicationWorld world;
  world.options.link.queue_capacity = 50;
  world.options.link.batch_changes = 20;
  world.options.link.read_entries = 3;
  world.Start();
  world.executor.RunFor(kSoon);
  world.node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  const std::vector<std::string> keys = Keys(1500);
  for (const std::string& key : keys) world.Set("us", key, key);
  for (int i = 0; i < 10; ++i) world.Set("us", absl::StrCat("{hot}", i), "v");  // One slot.
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_GE(world.Link("us", "eu").backlog, 1500u);
  world.node("us").wires["eu"]->mode = StoreWire::Mode::kOpen;
  world.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world.DifferingKeys(keys), 0);
  EXPECT_EQ(world.DifferingKeys({"{hot}0", "{hot}9"}), 0);
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
  EXPECT_EQ(world.Link("us", "eu").backlog, 0u);
}

TEST(ReplicationTest, ASlotThatMovesBetweenNodesLosesNothing) {
  ReplicationWorld world({"us", "eu"}, 2);
  world.Start();
  world.executor.RunFor(kSoon);
  const std::vector<std::string> keys = Keys(200);
  ReplicationWorld::Region& us = world.region("us");
  for (int round = 0; round < 40; ++round) {
    for (const std::string& key : keys) world.Set("us", key, absl::StrCat(round));
    world.executor.RunFor(absl::Milliseconds(3));
    // Everything on one node, on the other, on both: with changes under way each time.
    const std::vector<std::vector<std::string>> layouts = {
        {"us-0"}, {"us-0", "us-1"}, {"us-1"}, {"us-0", "us-1"}};
    world.Publish(us, layouts[static_cast<size_t>(round) % layouts.size()]);
    world.executor.RunFor(absl::Milliseconds(round % 7));
  }
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.DifferingKeys(keys), 0);
  EXPECT_THAT(world.Get("eu", "key:0"), Optional(std::string("39")));
  EXPECT_EQ(world.node("us", 0).replication->followed_slots() +
                world.node("us", 1).replication->followed_slots(),
            kSlotCount);
}

TEST(ReplicationTest, ARestartedNodeGoesOnFromTheCursors) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.executor.RunFor(kSoon);
  const std::vector<std::string> keys = Keys(100);
  for (const std::string& key : keys) world.Set("us", key, "before");
  world.executor.RunFor(absl::Seconds(1));
  ASSERT_EQ(world.DifferingKeys(keys), 0);

  world.StopNode(world.node("us"));
  for (int i = 0; i < 10; ++i) world.Set("us", keys[static_cast<size_t>(i)], "while down");
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.DifferingKeys(keys), 10);
  world.Start();
  world.executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(world.DifferingKeys(keys), 0);
  EXPECT_EQ(world.Link("us", "eu").applied_total, 10u);
  EXPECT_EQ(world.Link("us", "eu").stale_total, 0u);
  EXPECT_EQ(world.region("eu").store->calls().applied_writes, 110u);
}

TEST(ReplicationTest, ATargetThatComesBackEmptyIsFilledFromTheLog) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  const std::vector<std::string> keys = Keys(100);
  for (const std::string& key : keys) world.Set("us", key, "v");
  world.executor.RunFor(absl::Seconds(1));
  world.region("eu").store->SetAvailable(false);
  world.Set("us", keys[0], "newer");
  world.executor.RunFor(absl::Seconds(1));
  world.Wipe(world.region("eu"));
  world.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world.DifferingKeys(keys), 0);
  EXPECT_THAT(world.Get("eu", keys[0]), Optional(std::string("newer")));
}

// It restarts between two calls of the link: none fails.
TEST(ReplicationTest, ATargetThatLosesItsDataUnseenIsFilledAgain) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  const std::vector<std::string> keys = Keys(100);
  for (const std::string& key : keys) world.Set("us", key, "v");
  world.executor.RunFor(absl::Seconds(3));
  EXPECT_EQ(world.DifferingKeys(keys), 0);
  world.Wipe(world.region("eu"));
  EXPECT_GT(world.DifferingKeys(keys), 0);
  world.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world.DifferingKeys(keys), 0);
  EXPECT_EQ(world.node("us").observer.target_losses, 1);
  world.executor.RunFor(absl::Seconds(30));
  EXPECT_EQ(world.node("us").observer.target_losses, 1);
}

TEST(ReplicationTest, AnOwnStoreThatComesBackEmptyWithOlderIdsIsFollowedAgain) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.executor.RunFor(absl::Seconds(1));
  world.Set("us", "before", "v");
  world.executor.RunFor(absl::Seconds(1));
  // Redis is gone, and its new machine has a slower clock: log positions begin below the old ones.
  world.region("us").store->SetAvailable(false);
  world.executor.RunFor(absl::Seconds(1));
  world.clock.JumpTo(world.clock.Now() - absl::Minutes(10));
  world.Wipe(world.region("us"));
  world.Set("us", "before", "after the wipe");
  world.executor.RunFor(absl::Seconds(5));
  world.Set("us", "before", "later");
  world.executor.RunFor(absl::Seconds(5));
  EXPECT_THAT(world.Get("eu", "before"), Optional(std::string("later")));
  EXPECT_THAT(world.node("us").observer.tail_gaps, ElementsAre(SlotOf("task", "before")));
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
}

TEST(ReplicationTest, LocalNamespacesNeverLeaveButTheirCursorMoves) {
  ReplicationWorld world({"us", "eu"});
  world.modes = {{"scratch", ReplicationMode::kLocal}};
  world.Start();
  world.executor.RunFor(kSoon);
  world.Set("us", "k", "secret", absl::Hours(1), "scratch");
  world.Set("us", "k", "shared");
  world.executor.RunFor(absl::Seconds(5));
  EXPECT_EQ(world.Get("eu", "k", "scratch"), std::nullopt);
  EXPECT_THAT(world.Get("eu", "k"), Optional(std::string("shared")));

  const uint32_t slot = SlotOf("scratch", "k");
  std::vector<LogPosition> cursors;
  world.region("eu").store->FetchCursors("us", {slot}, absl::InfiniteFuture(),
                                         [&cursors](const auto& found) { cursors = *found; });
  const std::vector<LogEntry> log = world.Log("us", slot);
  EXPECT_THAT(cursors, ElementsAre(log.back().position));
}

TEST(ReplicationTest, AValueThatExpiredOnItsWayStillReplacesAnOlderLongerLivedOne) {
  for (const absl::Duration outage : {absl::Seconds(5), absl::Minutes(5)}) {
    ReplicationWorld world({"us", "eu"});
    world.Start();
    world.Set("us", "k", "old", absl::Hours(10));
    world.executor.RunFor(kSoon);
    world.node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
    world.Set("us", "k", "short-lived", absl::Seconds(1));
    world.executor.RunFor(outage);
    ASSERT_THAT(world.Get("eu", "k"), Optional(std::string("old")));
    world.node("us").wires["eu"]->mode = StoreWire::Mode::kOpen;
    world.executor.RunFor(absl::Seconds(5));
    EXPECT_EQ(world.Get("us", "k"), std::nullopt);
    EXPECT_EQ(world.Get("eu", "k"), std::nullopt) << outage;
    world.executor.RunFor(absl::Minutes(1));
    EXPECT_EQ(world.Get("eu", "k"), std::nullopt) << outage;
  }
}

TEST(ReplicationTest, AMalformedRecordIsCountedAndHoldsUpNothing) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.Set("us", "{a}bad", "v");
  world.executor.RunDue();  // Stored, but not yet seen by the tail.
  world.region("us").store->Plant({SlotOf("task", "{a}"), "task", "{a}bad"}, "garbage",
                                  absl::Hours(1));
  world.Set("us", "{a}good", "v");
  world.executor.RunFor(kSoon);
  EXPECT_EQ(world.Get("eu", "{a}bad"), std::nullopt);
  EXPECT_THAT(world.Get("eu", "{a}good"), Optional(std::string("v")));
  EXPECT_EQ(world.node("us").observer.dropped, 1);
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
}

TEST(ReplicationTest, AnOverloadedOwnStoreIsAskedAgainInSmallerPieces) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.executor.RunFor(kSoon);
  const std::vector<std::string> keys = Keys(100);
  for (const std::string& key : keys) world.Set("us", key, "v");
  world.node("us").wires["us"]->overloaded_fetches = 6;
  world.executor.RunFor(absl::Seconds(10));
  EXPECT_THAT(world.node("us").observer.states["eu"], testing::Contains(LinkState::kDisconnected));
  EXPECT_EQ(world.node("us").wires["us"]->overloaded_fetches, 0);
  EXPECT_EQ(world.DifferingKeys(keys), 0);
  EXPECT_EQ(world.Link("us", "eu").dropped_total, 0u);
  EXPECT_EQ(world.Link("us", "eu").state, LinkState::kStreaming);
}

TEST(ReplicationTest, ARecordTooLargeToBeReadIsGivenUpAndHoldsUpNothing) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.Set("us", "k", "old");
  world.executor.RunFor(kSoon);
  world.node("us").wires["us"]->too_large.insert("k");
  world.Set("us", "k", "too large");
  world.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world.Get("eu", "k"), std::nullopt);  // A miss, not the overtaken value.
  EXPECT_EQ(world.Link("us", "eu").dropped_total, 1u);
  world.node("us").wires["us"]->too_large.clear();
  world.Set("us", "k", "next");
  world.executor.RunFor(kSoon);
  EXPECT_THAT(world.Get("eu", "k"), Optional(std::string("next")));
}

TEST(ReplicationTest, AnIdleLinkShowsItsLagByTheHeartbeat) {
  ReplicationWorld world({"us", "eu"});
  world.options.heartbeat_interval = absl::Seconds(1);
  world.node("us").wires["eu"]->delay = absl::Milliseconds(80);
  world.Start();
  world.executor.RunFor(absl::Seconds(30));
  const std::vector<RecordingObserver::Foreign>& heard = world.node("eu").observer.foreign;
  EXPECT_GE(heard.size(), 29u);
  for (size_t i = 1; i < heard.size(); ++i) {  // The first waited for its slot's cursor, too.
    EXPECT_EQ(heard[i].region, RegionId("us"));
    EXPECT_GE(heard[i].lag, absl::Milliseconds(80));
    EXPECT_LE(heard[i].lag, absl::Milliseconds(80) + kSoon);
  }
}

TEST(ReplicationTest, AStoppedReplicationDoesNothingMore) {
  ReplicationWorld world({"us", "eu"});
  world.Start();
  world.executor.RunFor(kSoon);
  world.Set("us", "k", "v");
  world.node("us").replication->Stop();
  const int before = world.region("us").store->calls().read_logs;
  world.Publish(world.region("us"), {"us-0", "us-1"});  // The listener is still there.
  world.executor.RunFor(absl::Seconds(5));
  EXPECT_EQ(world.Get("eu", "k"), std::nullopt);
  EXPECT_EQ(world.region("us").store->calls().read_logs, before);
}

TEST(ReplicationTest, BadOptionsAreRefusedByName) {
  ReplicationWorld world({"us", "eu"});
  NoPeers peers;
  const auto create = [&](ReplicationOptions options, std::string other) {
    ReplicationWorld::Node& node = world.node("us");
    const auto created = Replication::Create(
        options, {.own = *node.wires["us"],
                  .others = {{other, node.wires["eu"].get()}},
                  .engine = *node.engine,
                  .hybrid_clock = *node.hybrid_clock,
                  .topology = node.topology,
                  .executor = world.executor,
                  .clock = world.clock,
                  .observer = node.observer,
                  .clock_guard = node.clock_guard,
                  .hints = node.hints,
                  .fences = *node.fences,
                  .horizons = node.horizons,
                  .mode_of = [](std::string_view) { return ReplicationMode::kAsync; },
                  .write_heartbeat = [](std::string_view, const std::string&) {},
                  .peers = peers,
                  .watch = nullptr,
                  .stored_until = nullptr});
    return created.status();
  };
  ReplicationOptions good;
  good.own_region = "us";
  good.node_id = "us-0";
  EXPECT_EQ(create(good, "eu"), absl::OkStatus());
  EXPECT_THAT(std::string(create(good, "us").message()), testing::HasSubstr("'us'"));
  ReplicationOptions no_polls = good;
  no_polls.tail.active_interval = absl::ZeroDuration();
  EXPECT_THAT(std::string(create(no_polls, "eu").message()),
              testing::HasSubstr("tail.active_interval"));
  ReplicationOptions nameless = good;
  nameless.node_id = "";
  EXPECT_THAT(std::string(create(nameless, "eu").message()), testing::HasSubstr("node_id"));
}

}  // namespace
}  // namespace meridian
