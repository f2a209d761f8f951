// Nodes that run all through a cut longer than tombstones are kept: until the other region has told
// what it has deleted, they serve nothing that is older, and all else as ever.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "server/replication/slot_fencer.h"
#include "tests/unit/server/replication/node_stack.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kTombstones = absl::Seconds(20);
const std::string kDeleted = "{a}deleted";
const std::string kKept = "{a}kept";

class SlotFenceTest : public testing::Test {
 protected:
  explicit SlotFenceTest(int nodes_per_region = 1) : world_({"us", "eu"}, nodes_per_region) {
    world_.options.link.repair.tombstone_ttl = kTombstones;
    world_.options.link.repair.listen_for = absl::Seconds(2);
    world_.options.link.repair.page_keys = 1;
    world_.options.link.repair.keys_per_second = 0.5;  // So that it can be watched.
    world_.options.heartbeat_interval = absl::Seconds(1);
    world_.Start();
    eu_ = std::make_unique<NodeStack>(world_, "eu", 0);
    world_.Set("us", kDeleted, "back from the dead");
    world_.Set("us", kKept, "v");
    for (int i = 0; i < 10; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
    world_.executor.RunFor(absl::Seconds(2));
  }
  void SetCut(bool cut) {
    const auto mode = cut ? StoreWire::Mode::kRefused : StoreWire::Mode::kOpen;
    for (const auto& node : world_.region("us").nodes) node->wires["eu"]->mode = mode;
    for (const auto& node : world_.region("eu").nodes) node->wires["us"]->mode = mode;
  }
  // us deletes the key, forgets that, and its log has a hole where the delete was. Its node, which
  // had it in memory, is not there any more.
  void OutlastTheTombstones() {
    EXPECT_EQ(eu_->Read(kDeleted), "back from the dead");
    SetCut(true);
    for (const auto& node : world_.region("us").nodes) world_.StopNode(*node);
    world_.Apply("us", MakeWrite("task", kDeleted, std::nullopt, world_.region("us").writer->Next(),
                                 world_.clock.Now(), kTombstones));
    world_.executor.RunFor(3 * kTombstones);
    ASSERT_EQ(world_.StoredVersion("us", kDeleted), Version()) << "the tombstone is not forgotten";
    world_.Set("us", "{a}last", "v");
    world_.executor.RunDue();
    world_.region("us").store->TrimLog(kSlot, 1);
    EXPECT_EQ(eu_->Read(kDeleted), "back from the dead") << "nobody can know";
    ASSERT_EQ(eu_->Write(WriteKind::kSet, "{a}young", "young"), "ok");
  }
  // The order of an operator that us does not send to eu.
  void OrderCut(bool cut) {
    absl::Status status = absl::UnknownError("not answered");
    world_.node("us").replication->SetCut("eu", cut, "a test",
                                          [&status](absl::Status s) { status = std::move(s); });
    world_.executor.RunFor(absl::Seconds(1));
    ASSERT_EQ(status, absl::OkStatus());
  }
  size_t fenced(size_t node = 0) { return world_.node("eu", node).horizons.size(); }
  EntryState Touch(const std::string& key) {
    EntryState state = EntryState::kError;
    eu_->Begin(WriteKind::kTouch, key, "", absl::Seconds(1),
               [&state](const WriteResult& result) { state = result.state; });
    world_.executor.RunFor(absl::Milliseconds(1));
    return state;
  }

  const uint32_t kSlot = SlotOf("task", kDeleted);
  ReplicationWorld world_;
  std::unique_ptr<NodeStack> eu_;
};

TEST_F(SlotFenceTest, WhatIsOldIsNotServedUntilTheOtherRegionHasToldWhatItDeleted) {
  OutlastTheTombstones();
  ASSERT_EQ(fenced(), 0u);
  SetCut(false);
  world_.Start();
  world_.executor.RunFor(absl::Seconds(3));
  EXPECT_EQ(fenced(), 1u);
  EXPECT_THAT(world_.node("eu").replication->WaitsForFences(), IsEmpty()) << "it goes on serving";
  ASSERT_NE(world_.Get("eu", kDeleted), std::nullopt) << "mended already: nothing was tested";
  EXPECT_EQ(eu_->Read(kDeleted), "miss");
  EXPECT_EQ(eu_->Read(kKept), "miss");
  EXPECT_EQ(eu_->Read("{a}young"), "young");
  EXPECT_EQ(Touch(kDeleted), EntryState::kMiss);
  EXPECT_EQ(Touch("{a}young"), EntryState::kOk);
  EXPECT_EQ(eu_->Write(WriteKind::kSet, "{a}new", "new"), "ok");
  EXPECT_EQ(eu_->Read("{a}new"), "new");
  for (int i = 0; i < 300 && fenced() > 0; ++i) {
    world_.executor.RunFor(absl::Seconds(1));
    EXPECT_EQ(eu_->Read(kDeleted), "miss") << i;
    ASSERT_EQ(eu_->Write(WriteKind::kSet, "{a}new", absl::StrCat(i)), "ok");
    EXPECT_EQ(eu_->Read("{a}new"), absl::StrCat(i));
    EXPECT_THAT(world_.node("eu").replication->WaitsForFences(), IsEmpty());
  }
  EXPECT_EQ(fenced(), 0u);
  EXPECT_EQ(world_.Get("eu", kDeleted), std::nullopt);
  EXPECT_EQ(eu_->Read(kKept), "v");
  EXPECT_EQ(eu_->Read("{a}young"), "young");
  EXPECT_EQ(eu_->Read("{a}last"), "v");
}

TEST_F(SlotFenceTest, ARegionThatNobodyMendsServesItsOldValuesAgain) {
  OutlastTheTombstones();
  SetCut(false);
  world_.executor.RunFor(absl::Minutes(9));
  EXPECT_EQ(fenced(), 1u);
  EXPECT_EQ(eu_->Read(kKept), "miss");
  world_.executor.RunFor(absl::Minutes(2));
  EXPECT_EQ(fenced(), 0u);
  EXPECT_EQ(eu_->Read(kKept), "v");
  // Somebody does, after all, long after everything else is over.
  world_.clock.Advance(absl::Hours(7));
  world_.executor.RunFor(absl::Seconds(15));
  EXPECT_EQ(fenced(), 0u);
  world_.Start();
  world_.executor.RunFor(absl::Seconds(3));
  EXPECT_EQ(fenced(), 1u);
  EXPECT_EQ(eu_->Read(kDeleted), "miss");
  world_.executor.RunFor(absl::Minutes(3));
  EXPECT_EQ(fenced(), 0u);
  EXPECT_EQ(world_.Get("eu", kDeleted), std::nullopt);
}

// Nobody mends what an operator has cut off: it serves what it has, as any region that is cut off.
TEST_F(SlotFenceTest, ACutByOrderFencesNothingUntilItIsHealed) {
  OrderCut(true);
  OutlastTheTombstones();
  SetCut(false);
  world_.StopNode(world_.node("eu"));
  world_.Start();  // Also one that starts now.
  eu_ = std::make_unique<NodeStack>(world_, "eu", 0);
  for (int i = 0; i < 30; ++i) {
    world_.executor.RunFor(absl::Seconds(1));
    ASSERT_EQ(fenced(), 0u) << i;
    ASSERT_THAT(world_.node("eu").replication->WaitsForFences(), IsEmpty()) << i;
  }
  EXPECT_EQ(eu_->Read(kKept), "v");
  OrderCut(false);
  world_.executor.RunFor(absl::Seconds(2));
  EXPECT_EQ(fenced(), 1u);
  EXPECT_EQ(eu_->Read(kDeleted), "miss");
  world_.executor.RunFor(absl::Minutes(3));
  EXPECT_EQ(fenced(), 0u);
  EXPECT_EQ(world_.Get("eu", kDeleted), std::nullopt);
}

// A cut that is shorter, or that both have told everything of, is no reason.
TEST_F(SlotFenceTest, AShortCutFencesNothing) {
  SetCut(true);
  world_.Set("us", "{a}meanwhile", "v");
  world_.executor.RunFor(kTombstones / 2);
  SetCut(false);
  for (int i = 0; i < 60; ++i) {
    world_.executor.RunFor(absl::Seconds(1));
    ASSERT_EQ(fenced(), 0u) << i;
  }
  EXPECT_EQ(eu_->Read(kKept), "v");
}

// Nothing of us is missing here, however old its last word on the slot may be, and whatever its log
// has lost of what eu has sent.
TEST_F(SlotFenceTest, ASlotInWhichTheOtherRegionWritesNothingIsNotFenced) {
  for (int i = 0; i < 100; ++i) {
    world_.Set("eu", absl::StrCat("{a}", i % 10), "v");
    world_.executor.RunFor(absl::Seconds(1));
    world_.region("us").store->TrimLog(kSlot, 2);
    ASSERT_EQ(fenced(), 0u) << i;
    ASSERT_EQ(world_.node("us").horizons.size(), 0u) << i;
  }
  world_.executor.RunFor(2 * kTombstones);  // Idle.
  EXPECT_EQ(fenced(), 0u);
  EXPECT_EQ(eu_->Read(kKept), "v");
}

class SlotFenceOfTwoNodesTest : public SlotFenceTest {
 protected:
  SlotFenceOfTwoNodesTest() : SlotFenceTest(/*nodes_per_region=*/2) {
    world_.Publish(world_.region("eu"), {"eu-0"});
    world_.executor.RunFor(absl::Seconds(2));
  }
};

// It knows before it owns the slot, so that there is no moment in which it serves what is old.
TEST_F(SlotFenceOfTwoNodesTest, ANewOwnerHasFencedTheSlotBefore) {
  OutlastTheTombstones();
  SetCut(false);
  world_.executor.RunFor(absl::Seconds(3));
  ASSERT_EQ(fenced(0), 1u);
  ASSERT_EQ(fenced(1), 1u);
  world_.node("eu", 1).wires["us"]->mode = StoreWire::Mode::kSilent;  // Nothing more is said.
  world_.Publish(world_.region("eu"), {"eu-1"});
  world_.executor.RunDue();
  NodeStack next(world_, "eu", 1);
  EXPECT_EQ(next.Read(kDeleted), "miss");
  EXPECT_EQ(next.Read("{a}young"), "young");
}

// One that goes around a dead owner reads the slot without owning it.
TEST_F(SlotFenceOfTwoNodesTest, ANodeThatIsNotTheOwnerHasFencedTheSlotToo) {
  OutlastTheTombstones();
  SetCut(false);
  world_.executor.RunFor(absl::Seconds(3));
  world_.StopNode(world_.node("eu", 0));
  NodeStack other(world_, "eu", 1);
  EXPECT_EQ(other.Read(kDeleted), "miss");
  EXPECT_EQ(other.Read("{a}young"), "young");
}

// The new owner may not have seen what the old one saw of the region.
TEST_F(SlotFenceOfTwoNodesTest, ASlotThatIsGainedBehindWaitsAnewForASignOfTheRegion) {
  OutlastTheTombstones();
  SetCut(false);
  world_.executor.RunFor(absl::Minutes(9));
  world_.Publish(world_.region("eu"), {"eu-1"});
  world_.executor.RunFor(absl::Minutes(2));
  EXPECT_EQ(fenced(0), 0u);
  EXPECT_EQ(fenced(1), 1u);
}

// What serves without asking the store is told at each step.
class SlotFencerTest : public testing::Test {
 protected:
  SlotFencerTest() {
    hub_.SlotFollowed(1);
    hub_.SlotFollowed(2);
    SlotSet slots;
    slots.set(1);
    slots.set(2);
    reader_ = hub_.Open(slots, 0, 0);
    (void)Gaps();
    for (const uint32_t slot : {1u, 2u}) Put(slot);
  }
  EntryKey KeyOf(uint32_t slot) {
    const NamespaceId name_space = *engine_->InternNamespace("task");
    const std::string_view key = slot == 1 ? "one" : "two";
    return {name_space, slot, engine_->HashOf(name_space, key), key};
  }
  void Put(uint32_t slot) {
    Entry entry;
    entry.value = Buffer::CopyOf("v");
    entry.version = Version{100 + slot, 1};
    entry.expires_at = clock_.Monotonic() + absl::Hours(1);
    ASSERT_EQ(engine_->Put(KeyOf(slot), std::move(entry), clock_.Monotonic()), PutOutcome::kStored);
  }
  bool InL1(uint32_t slot) {
    Entry entry;
    return engine_->Peek(KeyOf(slot), clock_.Monotonic(), &entry);
  }
  std::vector<uint32_t> Gaps() {
    std::string bytes;
    cache::v1::WatchResponse message;
    EXPECT_TRUE(hub_.Read(&reader_, /*alive=*/true, &bytes));
    EXPECT_TRUE(message.ParseFromString(bytes));
    std::vector<uint32_t> gaps;
    for (const auto& event : message.events()) {
      if (event.has_gap()) gaps.push_back(event.slot());
    }
    return gaps;
  }
  static uint64_t Clock(absl::Time time) {
    return static_cast<uint64_t>(absl::ToUnixMillis(time)) << 16;
  }

  FakeClock clock_;
  WatchHub hub_{{}, clock_};
  WatchHub::Reader reader_;
  std::unique_ptr<Engine> engine_ = *Engine::Create({.capacity_bytes = size_t{1} << 20});
  SlotHorizons horizons_;
  SlotFencer fencer_{absl::Seconds(10), horizons_, *engine_, &hub_};
  const absl::Time before_ = absl::FromUnixSeconds(1'000'000);
};

TEST_F(SlotFencerTest, DropsL1AndTellsThoseWhoFollow) {
  fencer_.Set({{1, before_}});
  EXPECT_FALSE(InL1(1));
  EXPECT_TRUE(InL1(2));
  EXPECT_THAT(Gaps(), ElementsAre(1u));
  EXPECT_EQ(horizons_.size(), 1u);
  EXPECT_TRUE(horizons_.Covers(1, Clock(before_ + absl::Seconds(10)) - 1));
  EXPECT_FALSE(horizons_.Covers(1, Clock(before_ + absl::Seconds(10))));
  EXPECT_FALSE(horizons_.Covers(2, 1));

  // It is in force: nothing is dropped again, until the horizon has moved on.
  Put(1);
  fencer_.Set({{1, before_ + absl::Seconds(10)}});
  EXPECT_TRUE(InL1(1));
  EXPECT_THAT(Gaps(), IsEmpty());
  EXPECT_FALSE(horizons_.Covers(1, Clock(before_ + absl::Seconds(10))));
  fencer_.Set({{1, before_ + absl::Seconds(11)}, {2, before_}});
  EXPECT_FALSE(InL1(1));
  EXPECT_FALSE(InL1(2));
  EXPECT_THAT(Gaps(), ElementsAre(1u, 2u));
  EXPECT_TRUE(horizons_.Covers(1, Clock(before_ + absl::Seconds(20))));
  EXPECT_EQ(horizons_.size(), 2u);

  fencer_.Set({{2, before_}});
  EXPECT_FALSE(horizons_.Covers(1, 1));
  EXPECT_TRUE(horizons_.Covers(2, 1));
  fencer_.Set({});
  EXPECT_EQ(horizons_.size(), 0u);
  EXPECT_THAT(Gaps(), IsEmpty());
}

}  // namespace
}  // namespace meridian
