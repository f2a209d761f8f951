// A regional store that goes back to an older state, as after a failover to a replica that had not
// got the last changes: what was acknowledged comes back from L1 and from other regions, and no
// older value is readable where nobody has it.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/node/absence.h"
#include "server/node/fence.h"
#include "server/node/record.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::Eq;
using ::testing::Optional;

// Another region's node looks once a second, and compares at once.
constexpr absl::Duration kFromAnotherRegion = absl::Milliseconds(1200);
// The own nodes look with every poll.
constexpr absl::Duration kFromOwnNodes = absl::Milliseconds(50);

absl::Duration Unknown(uint64_t) { return absl::ZeroDuration(); }
void Nobody(const L2Key&, Version) {}

class StoreLossTest : public testing::Test {
 protected:
  void Start(int nodes = 1) {
    world_ = std::make_unique<ReplicationWorld>(std::vector<std::string>{"us", "eu"}, nodes);
    world_->Start();
    Run(absl::Seconds(1));
  }
  FakeL2Store& us() { return *world_->region("us").store; }
  void Run(absl::Duration duration) { world_->executor.RunFor(duration); }
  // Puts what the store of us has under `key` into L1 of its first node, as its owner does.
  void PutL1(const std::string& key, const std::string& value, Version version,
             bool absence = false) {
    Engine& engine = *world_->node("us").engine;
    const NamespaceId id = *engine.InternNamespace("task");
    Entry entry;
    entry.value = Buffer::CopyOf(value);
    entry.raw_size = static_cast<uint32_t>(value.size());
    entry.version = version;
    entry.expires_at = world_->clock.Monotonic() + absl::Hours(1);
    if (absence) MakeAbsence(&entry);
    ASSERT_EQ(engine.Put({.name_space = id,
                          .slot = SlotOf("task", key),
                          .hash = engine.HashOf(id, key),
                          .key = key},
                         std::move(entry), world_->clock.Monotonic()),
              PutOutcome::kStored);
  }
  // The node in us forgets everything: only other regions can help.
  void RestartUs() {
    world_->StopNode(world_->node("us"));
    world_->node("us").engine = *Engine::Create({.capacity_bytes = size_t{1} << 20});
    world_->Start();
  }
  RecordingObserver& observer() { return world_->node("us").observer; }

  std::unique_ptr<ReplicationWorld> world_;
};

// What an origin does not have is remembered as such, in L1 and in the store.
TEST_F(StoreLossTest, WhatIsKnownToBeAbsentDoesNotComeBackAsAValue) {
  Start();
  const Version before = world_->Set("us", "k", "old", absl::Hours(1));
  Run(kFromOwnNodes);
  const auto saved = us().Save();
  world_->node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  const Version absent = world_->Set("us", "k", "lost", absl::Hours(1));
  Run(kFromOwnNodes);
  PutL1("k", "", absent, /*absence=*/true);
  us().GoBackTo(*saved);
  world_->Set("us", "other", "v", absl::Hours(1));
  Run(absl::Seconds(2));
  EXPECT_LT(before, absent);
  std::vector<L2Record> records;
  us().Fetch({{SlotOf("task", "k"), "task", "k"}}, absl::InfiniteFuture(),
             [&](std::vector<L2Record> answer) { records = std::move(answer); });
  Run(absl::Milliseconds(10));
  const absl::StatusOr<Record> record = ParseRecord(records.at(0).record.view());
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->version, absent);
  EXPECT_EQ(record->kind, RecordKind::kAbsent);
}

TEST_F(StoreLossTest, ADeleteThatOnlyAnotherRegionStillHasComesBackFromThere) {
  Start();
  world_->Set("us", "k", "v");
  Run(absl::Seconds(1));
  const auto saved = us().Save();
  world_->Delete("us", "k");
  Run(absl::Seconds(1));
  us().GoBackTo(*saved);
  RestartUs();
  ASSERT_THAT(world_->Get("us", "k"), Optional(Eq("v")));  // It is back.
  Run(kFromAnotherRegion);
  EXPECT_EQ(world_->Get("us", "k"), std::nullopt);
  EXPECT_EQ(world_->StoredVersion("us", "k"), world_->StoredVersion("eu", "k"));
  EXPECT_EQ(world_->node("eu").observer.target_losses, 1);
}

TEST_F(StoreLossTest, AValueThatOnlyAnotherRegionStillHasComesBackFromThereWhoeverWroteIt) {
  Start();
  world_->Set("us", "own", "1");
  world_->Set("us", "foreign", "1");
  Run(absl::Seconds(1));
  const auto saved = us().Save();
  world_->Set("us", "own", "2");
  world_->Set("eu", "foreign", "2");
  Run(absl::Seconds(1));
  us().GoBackTo(*saved);
  // Changes since then move the cursor past what was lost.
  world_->Set("eu", "later", "v");
  RestartUs();
  Run(kFromAnotherRegion);
  EXPECT_THAT(world_->Get("us", "own"), Optional(Eq("2")));
  EXPECT_THAT(world_->Get("us", "foreign"), Optional(Eq("2")));
  EXPECT_THAT(world_->Get("us", "later"), Optional(Eq("v")));
}

TEST_F(StoreLossTest, WhoeverGainsASlotAfterwardsComparesItToo) {
  Start(/*nodes=*/2);
  std::vector<std::string> keys;
  for (int i = 0; i < 50; ++i) keys.push_back(absl::StrCat("k", i));
  for (const std::string& key : keys) world_->Set("us", key, "v");
  Run(absl::Seconds(1));
  const auto saved = us().Save();
  for (const std::string& key : keys) world_->Delete("us", key);
  Run(absl::Seconds(1));
  us().GoBackTo(*saved);
  for (const auto& node : world_->region("us").nodes) world_->StopNode(*node);
  // One of two dies before it has done its part.
  world_->StopNode(world_->node("eu", 0));
  Run(absl::Seconds(3));
  world_->Publish(world_->region("eu"), {world_->node("eu", 1).id});
  Run(kFromAnotherRegion);
  for (const std::string& key : keys) EXPECT_EQ(world_->Get("us", key), std::nullopt) << key;
}

TEST_F(StoreLossTest, WhatL1HoldsIsWrittenBackAndGoesToOtherRegionsToo) {
  Start();
  const auto saved = us().Save();
  PutL1("told", "v", world_->Set("us", "told", "v"));
  world_->node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  world_->node("eu").wires["us"]->mode = StoreWire::Mode::kRefused;
  Run(absl::Milliseconds(50));
  // Nobody was told of this one: it was acknowledged just before the primary died.
  const Version version = world_->Set("us", "untold", "v");
  world_->executor.RunDue();
  PutL1("untold", "v", version);
  us().GoBackTo(*saved);
  ASSERT_EQ(world_->Get("us", "untold"), std::nullopt);
  Run(kFromOwnNodes);
  EXPECT_THAT(world_->Get("us", "told"), Optional(Eq("v")));
  EXPECT_THAT(world_->Get("us", "untold"), Optional(Eq("v")));
  EXPECT_EQ(world_->StoredVersion("us", "untold"), version);
  EXPECT_EQ(observer().recovered_values, 2u);
  EXPECT_EQ(observer().recovered_removals, 0u);
  EXPECT_EQ(observer().lost, 1u);
  world_->node("us").wires["eu"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(5));
  EXPECT_THAT(world_->Get("eu", "told"), Optional(Eq("v")));
  EXPECT_THAT(world_->Get("eu", "untold"), Optional(Eq("v")));
}

TEST_F(StoreLossTest, NoOlderValueIsReadableWhereNobodyHasTheNewerOne) {
  Start();
  PutL1("old in L1", "1", world_->Set("us", "old in L1", "1"));
  world_->Set("us", "deleted", "1");
  world_->Set("us", "changed", "1");
  world_->Set("us", "untouched", "1");
  Run(absl::Seconds(1));
  const auto saved = us().Save();
  world_->node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  world_->node("eu").wires["us"]->mode = StoreWire::Mode::kRefused;
  world_->Delete("us", "deleted");
  world_->Set("us", "changed", "2");
  world_->Set("us", "changed", "3");
  world_->Set("us", "new", "1");
  Run(absl::Seconds(1));
  us().GoBackTo(*saved);
  const Version overwritten = world_->Set("us", "new", "2");  // At the new primary.
  Run(kFromOwnNodes);
  EXPECT_EQ(world_->Get("us", "deleted"), std::nullopt);
  EXPECT_EQ(world_->Get("us", "changed"), std::nullopt);
  EXPECT_THAT(world_->Get("us", "untouched"), Optional(Eq("1")));
  EXPECT_EQ(world_->StoredVersion("us", "new"), overwritten);
  EXPECT_EQ(observer().lost, 4u);
  EXPECT_EQ(observer().recovered_removals, 2u);
  // Nor anywhere else: eu has never heard of the changes that were lost.
  ASSERT_THAT(world_->Get("eu", "deleted"), Optional(Eq("1")));
  world_->node("us").wires["eu"]->mode = StoreWire::Mode::kOpen;
  world_->node("eu").wires["us"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(5));
  EXPECT_EQ(world_->Get("eu", "deleted"), std::nullopt);
  EXPECT_EQ(world_->Get("eu", "changed"), std::nullopt);
  EXPECT_EQ(world_->DifferingKeys({"deleted", "changed", "untouched", "new", "old in L1"}), 0);
}

// Three days after the last write of the slot one more is lost with the primary. That the log of
// the slot ends three days ago says nothing of the store.
class IdleSlotTest : public StoreLossTest {
 protected:
  // eu has evicted {a}idle; {a}lost is in eu alone.
  void Fail(bool restarted) {
    Start();
    world_->Set("us", "{a}idle", "v", absl::Hours(24 * 30));
    Run(absl::Seconds(5));
    for (const char* region : {"us", "eu"}) world_->StopNode(world_->node(region));
    world_->clock.Advance(absl::Hours(72));
    world_->region("eu").store->Plant({SlotOf("task", "{a}idle"), "task", "{a}idle"}, "evicted",
                                      absl::Milliseconds(1));
    world_->Start();
    for (const char* key : {"{b}", "{c}", "{d}"}) world_->Set("us", key, "v");
    Run(absl::Seconds(10));
    ASSERT_EQ(world_->Get("eu", "{a}idle"), std::nullopt);
    const auto saved = us().Save();
    world_->Set("us", "{a}lost", "v");
    Run(absl::Seconds(2));
    if (restarted) world_->StopNode(world_->node("us"));
    us().GoBackTo(*saved, /*noticed=*/!restarted);
    world_->Start();
    Run(absl::Seconds(30));
    EXPECT_THAT(world_->Get("us", "{a}idle"), Optional(Eq("v")));
    EXPECT_EQ(world_->Link("us", "eu").repair.forgotten_total, 0u);
  }
};

TEST_F(IdleSlotTest, ForgetsNothingInAnOrdinaryFailover) {
  Fail(/*restarted=*/false);
  EXPECT_THAT(world_->Get("us", "{a}lost"), Optional(Eq("v")));
}

// Only the cursor over there, past the end of the log, tells of the loss.
TEST_F(IdleSlotTest, ForgetsNothingWhenTheNodeStartsAfterOne) {
  Fail(/*restarted=*/true);
  EXPECT_GE(world_->Link("us", "eu").gaps_total, 1u);
  EXPECT_THAT(world_->Get("eu", "{a}idle"), Optional(Eq("v")));
}

// Everything that the nodes write themselves is theirs to write again.
TEST_F(StoreLossTest, LostFencesAreNobodysLossAndAreNotRemoved) {
  Start(/*nodes=*/2);
  const auto saved = us().Save();
  Fence fence{.name_space = "task", .scope = FenceScope::kTag, .name = "t"};
  fence.version = world_->region("us").writer->Next();
  world_->Apply("us", FenceWrite(fence));
  const L2Key key = FenceKey(fence);
  // A change of a user in the slot of fences, which every node follows.
  std::string user;
  for (int i = 0; user.empty() || SlotOf("task", user) != key.slot; ++i) user = absl::StrCat(i);
  world_->Set("us", user, "v");
  Run(absl::Seconds(1));
  us().GoBackTo(*saved);
  Run(absl::Seconds(3));
  EXPECT_EQ(world_->StoredVersion("us", key.key, key.name_space), fence.version);
  size_t lost = 0;
  for (const auto& node : world_->region("us").nodes) lost += node->observer.lost;
  EXPECT_EQ(lost, 1u);
}

TEST_F(StoreLossTest, WhatARemovalHidStillComesBackFromAnotherRegion) {
  Start();
  world_->Set("us", "k", "1");
  Run(absl::Seconds(1));
  const auto saved = us().Save();
  const Version version = world_->Set("us", "k", "2");
  Run(absl::Seconds(1));
  us().GoBackTo(*saved);
  Run(kFromOwnNodes);
  EXPECT_EQ(world_->Get("us", "k"), std::nullopt);
  Run(kFromAnotherRegion);
  EXPECT_THAT(world_->Get("us", "k"), Optional(Eq("2")));
  EXPECT_EQ(world_->StoredVersion("us", "k"), version);
  EXPECT_THAT(world_->Get("eu", "k"), Optional(Eq("2")));
}

// The slot's new owner may still hold what this node would remove.
TEST_F(StoreLossTest, ASlotThatIsLostMeanwhileIsLeftToItsNewOwner) {
  Start();
  world_->StopNode(world_->node("us"));
  const Version version = world_->Set("us", "k", "v");
  world_->executor.RunDue();
  TaskGate gate(world_->executor);
  StoreRecovery recovery({}, us(), *world_->node("us").engine, Unknown, Nobody, gate, world_->clock,
                         observer());
  const uint32_t slot = SlotOf("task", "k");
  SlotLoss loss{.slot = slot, .kept = {}, .resumed = {}, .rewound = true, .lost = {}};
  loss.lost.push_back({{1, 0}, {version.hlc + 100, version.region}, "task", "k"});
  recovery.OnLoss(loss);
  recovery.OnSlotLost(slot);
  Run(absl::Seconds(1));
  EXPECT_EQ(world_->StoredVersion("us", "k"), version);
  EXPECT_TRUE(recovery.idle());
  recovery.OnLoss(loss);
  Run(absl::Seconds(1));
  EXPECT_NE(world_->StoredVersion("us", "k"), version);
}

// Who keeps a copy hears of no change in the log that was not told: this is the change.
TEST_F(StoreLossTest, WhatL1GivesUpIsToldToThoseWhoKeepCopies) {
  Start();
  world_->StopNode(world_->node("us"));
  PutL1("k", "old", world_->region("us").writer->Next());
  PutL1("same", "v", world_->Set("us", "same", "v"));
  const Version newest = world_->Set("us", "k", "new");
  world_->executor.RunDue();
  TaskGate gate(world_->executor);
  std::vector<std::pair<std::string, Version>> dropped;
  const auto note = [&](const L2Key& key, Version version) {
    dropped.emplace_back(key.key, version);
  };
  StoreRecovery recovery({}, us(), *world_->node("us").engine, Unknown, note, gate, world_->clock,
                         observer());
  for (const char* key : {"k", "same"}) {
    recovery.OnLoss(
        {.slot = SlotOf("task", key), .kept = {}, .resumed = {}, .rewound = true, .lost = {}});
  }
  EXPECT_FALSE(recovery.idle()) << "nothing is known to be complete";
  Run(absl::Seconds(1));
  EXPECT_TRUE(recovery.idle());
  EXPECT_THAT(dropped, testing::ElementsAre(testing::Pair("k", newest)));
}

// L1 keeps it for an hour, the store had it for a day.
TEST_F(StoreLossTest, WhatL1GivesBackHasTheLifeThatTheStoreGaveIt) {
  Start();
  world_->StopNode(world_->node("us"));
  PutL1("k", "v", world_->region("us").writer->Next());
  TaskGate gate(world_->executor);
  const auto a_day = [until = world_->clock.Monotonic() + absl::Hours(24)](uint64_t) {
    return until;
  };
  StoreRecovery recovery({}, us(), *world_->node("us").engine, a_day, Nobody, gate, world_->clock,
                         observer());
  recovery.OnLoss(
      {.slot = SlotOf("task", "k"), .kept = {}, .resumed = {}, .rewound = true, .lost = {}});
  Run(absl::Seconds(1));
  world_->clock.Advance(absl::Hours(23));
  EXPECT_THAT(world_->Get("us", "k"), Optional(Eq("v")));
  world_->clock.Advance(absl::Hours(2));
  EXPECT_EQ(world_->Get("us", "k"), std::nullopt);
}

TEST_F(StoreLossTest, AStoreThatComesBackEmptyGetsBackWhatL1Holds) {
  Start();
  const auto empty = us().Save();
  world_->node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  world_->node("eu").wires["us"]->mode = StoreWire::Mode::kRefused;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = absl::StrCat("k", i);
    PutL1(key, "v", world_->Set("us", key, "v"));
  }
  Run(absl::Seconds(1));
  us().FailNext(absl::UnavailableError("it restarts"), 5);
  us().GoBackTo(*empty);
  Run(absl::Seconds(3));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(world_->Get("us", absl::StrCat("k", i)), Optional(Eq("v"))) << i;
  }
  EXPECT_EQ(observer().recovered_values, 1000u);
}

}  // namespace
}  // namespace meridian
