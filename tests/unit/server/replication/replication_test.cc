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

// A cut of us from eu during which the changelog of the slot of {a} keeps `kept` entries.
class TrimmedLogTest : public ::testing::Test {
 protected:
  void Cut() {
    world_.Set("us", "{a}first", "v");
    world_.Start();
    world_.executor.RunFor(absl::Seconds(3));  // Cursors have been told.
    Wire().mode = StoreWire::Mode::kRefused;
    world_.executor.RunFor(absl::Milliseconds(100));
  }
  void TrimAndHeal(size_t kept) {
    world_.region("us").store->TrimLog(kSlot, kept);
    Wire().mode = StoreWire::Mode::kOpen;
  }
  StoreWire& Wire() { return *world_.node("us").wires.at("eu"); }
  LinkStatus Link() { return world_.Link("us", "eu"); }

  const uint32_t kSlot = SlotOf("task", "{a}0");
  ReplicationWorld world_{{"us", "eu"}};
};

TEST_F(TrimmedLogTest, IsReportedAndMendedByItself) {
  world_.Set("us", "{a}old", "1");
  world_.Set("us", "{a}deleted", "1");
  Cut();
  world_.Delete("us", "{a}deleted");
  for (int i = 0; i < 1500; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  world_.Set("us", "{a}old", "2");
  world_.modes = {{"scratch", ReplicationMode::kLocal}};
  world_.Set("us", "{a}secret", "s", absl::Hours(1), "scratch");
  for (int i = 0; i < 5; ++i) world_.Set("us", "{a}last", absl::StrCat(i));
  world_.executor.RunFor(kSoon);
  TrimAndHeal(3);
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
  EXPECT_EQ(Link().gaps_total, 1u);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
  EXPECT_EQ(Link().repair.slots, 0u);
  EXPECT_GE(Link().repair.mended_total, 1u);
  EXPECT_THAT(world_.node("us").observer.states["eu"], Contains(LinkState::kRepairing));
  for (int i = 0; i < 1500; ++i) {
    EXPECT_THAT(world_.Get("eu", absl::StrCat("{a}", i)), Optional(std::string("v"))) << i;
  }
  EXPECT_THAT(world_.Get("eu", "{a}old"), Optional(std::string("2")));
  EXPECT_THAT(world_.Get("eu", "{a}last"), Optional(std::string("4")));
  EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
  EXPECT_EQ(world_.Get("eu", "{a}secret", "scratch"), std::nullopt);
}

TEST_F(TrimmedLogTest, ALogOfWhichNothingIsLeftIsMendedToo) {
  world_.Set("us", "{a}old", "1");
  world_.Set("us", "{a}deleted", "1");
  Cut();
  world_.Delete("us", "{a}deleted");
  world_.Set("us", "{a}old", "2");
  world_.executor.RunFor(kSoon);
  TrimAndHeal(0);
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
  EXPECT_GE(Link().repair.mended_total, 1u);
  EXPECT_THAT(world_.Get("eu", "{a}old"), Optional(std::string("2")));
  EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
}

TEST_F(TrimmedLogTest, ALogThatIsLostAsAWholeIsMendedToo) {
  world_.Set("us", "{a}old", "1");
  world_.Set("us", "{a}deleted", "1");
  Cut();
  world_.Delete("us", "{a}deleted");
  world_.Set("us", "{a}old", "2");
  world_.executor.RunFor(kSoon);
  world_.region("us").store->LoseLog(kSlot);
  Wire().mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_GE(world_.node("us").observer.link_gaps, 1);
  EXPECT_THAT(world_.Get("eu", "{a}old"), Optional(std::string("2")));
  EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
  const uint64_t compared = Link().repair.compared_total;
  Wire().mode = StoreWire::Mode::kRefused;
  world_.executor.RunFor(absl::Seconds(1));
  Wire().mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(Link().repair.compared_total, compared) << "the same loss is mended once";
}

// What other processes wrote and trimmed while this one could not read its own store.
TEST_F(TrimmedLogTest, WhatTheTailMissedIsNotTakenForRead) {
  world_.Start();
  world_.Set("us", "{a}0", "v");
  world_.executor.RunFor(absl::Seconds(3));
  StoreWire& own = *world_.node("us").wires.at("us");
  own.mode = StoreWire::Mode::kRefused;
  world_.executor.RunFor(absl::Seconds(1));
  world_.Set("us", "{a}1", "missed");
  world_.Set("us", "{a}2", "seen");
  world_.executor.RunFor(kSoon);
  world_.region("us").store->TrimLog(kSlot, 1);
  own.mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world_.DifferingKeys({"{a}0", "{a}1", "{a}2"}), 0);
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
}

TEST_F(TrimmedLogTest, TheCursorStaysUntilItIsMendedSoThatANewOwnerFindsTheHole) {
  Cut();
  world_.Set("us", "{a}0", "v");
  for (int i = 0; i < 9; ++i) world_.Set("us", "{a}1", absl::StrCat(i));
  world_.executor.RunFor(kSoon);
  world_.options.link.repair.keys_per_second = 1;  // It cannot end before the node is gone.
  world_.StopNode(world_.node("us"));
  world_.Start();
  world_.executor.RunFor(kSoon);
  TrimAndHeal(2);
  world_.executor.RunFor(absl::Seconds(1));
  world_.Set("us", "{a}2", "live");
  world_.executor.RunFor(absl::Milliseconds(200));
  EXPECT_EQ(Link().state, LinkState::kRepairing);
  EXPECT_THAT(world_.Get("eu", "{a}2"), Optional(std::string("live")));  // Changes go on.
  world_.StopNode(world_.node("us"));
  world_.options.link.repair.keys_per_second = 20'000;
  world_.Start();
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_GE(Link().repair.mended_total, 1u);
  EXPECT_EQ(world_.DifferingKeys({"{a}0", "{a}1", "{a}2"}), 0);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
}

TEST_F(TrimmedLogTest, ARepairThatIsCutGoesOnWhereItWasAndChecksOnceMore) {
  world_.options.link.repair.page_keys = 10;
  world_.options.link.repair.keys_per_second = 100;
  Cut();
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) {
    keys.push_back(absl::StrCat("{a}", i));
    world_.Set("us", keys.back(), "v");
  }
  world_.executor.RunFor(kSoon);
  TrimAndHeal(2);
  world_.executor.RunFor(absl::Milliseconds(1500));
  const uint64_t compared = Link().repair.compared_total;
  EXPECT_GT(compared, 50u);
  EXPECT_LT(compared, 300u);
  Wire().mode = StoreWire::Mode::kRefused;
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_LE(Link().repair.compared_total, compared + 10);
  EXPECT_EQ(Link().repair.slots, 1u);
  Wire().mode = StoreWire::Mode::kOpen;
  world_.executor.RunFor(absl::Seconds(15));
  EXPECT_EQ(Link().state, LinkState::kStreaming);
  EXPECT_EQ(world_.DifferingKeys(keys), 0);
  EXPECT_LE(Link().repair.sent_total, 300u);
  EXPECT_EQ(world_.node("us").observer.link_gaps, 1);
}

TEST_F(TrimmedLogTest, WhatASlowRegionHasNotReadYetIsNoticedToo) {
  world_.options.link.queue_capacity = 4;
  world_.options.link.read_entries = 2;
  world_.Start();
  world_.Set("us", "{a}0", "v");
  world_.executor.RunFor(kSoon);
  Wire().delay = absl::Milliseconds(400);  // Slow, and never an error.
  std::vector<std::string> keys;
  for (int i = 0; i < 60; ++i) {
    keys.push_back(absl::StrCat("{a}", i));
    world_.Set("us", keys.back(), "w");
  }
  world_.executor.RunFor(absl::Milliseconds(600));
  world_.region("us").store->TrimLog(kSlot, 3);
  world_.executor.RunFor(absl::Seconds(60));
  EXPECT_GE(world_.node("us").observer.link_gaps, 1);
  EXPECT_EQ(world_.DifferingKeys(keys), 0);
  EXPECT_EQ(Link().state, LinkState::kStreaming);
}

TEST_F(TrimmedLogTest, BeyondTheTombstonesWhatIsOlderAndOnlyThereIsFenced) {
  world_.options.link.repair.tombstone_ttl = absl::Hours(24);
  world_.Set("us", "{a}deleted", "back from the dead", absl::Hours(24 * 30));
  world_.Set("us", "{a}kept", "v", absl::Hours(24 * 30));
  world_.Set("us", "{b}elsewhere", "v", absl::Hours(24 * 30));
  Cut();
  EXPECT_THAT(world_.Get("eu", "{a}deleted"), Optional(std::string("back from the dead")));
  world_.Delete("us", "{a}deleted");
  world_.executor.RunFor(kSoon);
  world_.StopNode(world_.node("us"));  // Nothing happens for two days; only time passes.
  world_.clock.Advance(absl::Hours(48));
  EXPECT_EQ(world_.StoredVersion("us", "{a}deleted"), Version());  // The tombstone is forgotten.
  world_.Set("us", "{a}new", "v");
  world_.Set("eu", "{a}young", "v", absl::Hours(24 * 30));
  world_.executor.RunFor(kSoon);
  world_.Start();
  TrimAndHeal(1);
  world_.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world_.Get("eu", "{a}deleted"), std::nullopt);
  EXPECT_THAT(world_.Get("eu", "{a}kept"), Optional(std::string("v")));
  EXPECT_THAT(world_.Get("eu", "{a}new"), Optional(std::string("v")));
  EXPECT_THAT(world_.Get("eu", "{a}young"), Optional(std::string("v")));
  EXPECT_THAT(world_.Get("eu", "{b}elsewhere"), Optional(std::string("v")));
  EXPECT_EQ(Link().state, LinkState::kStreaming);
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
  world.node("us").wires["us"]->overloaded_fetches = 5;
  world.Set("us", "k", "too large");
  world.executor.RunFor(absl::Seconds(10));
  EXPECT_EQ(world.Get("eu", "k"), std::nullopt);  // A miss, not the overtaken value.
  EXPECT_EQ(world.Link("us", "eu").dropped_total, 1u);
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
  const auto create = [&world](ReplicationOptions options, std::string other) {
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
                  .mode_of = [](std::string_view) { return ReplicationMode::kAsync; },
                  .write_heartbeat = [](std::string_view, const std::string&) {}});
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
