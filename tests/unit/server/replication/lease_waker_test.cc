// Who waits for somebody who has a lease hears of changes that went around this node: from the
// changelog, as the tail tells it.

#include "server/replication/lease_waker.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/replication/engine_coherence.h"
#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class LeaseWakerTest : public OriginFixture {
 protected:
  // Who still waits is answered while what the answer needs is there.
  void TearDown() override { executor_.RunFor(absl::Minutes(1)); }
  void SetUp() override {
    Start(2, nullptr, ", lease_ttl: 30s");
    key_ = KeyOwnedBy(1);
    slot_ = SlotOf(kSpace, key_);
    coherence_.emplace(node(1).engine(), node(1).versions(), clock_, observer_);
    waker_.emplace(node(1).engine(), &node(1).misses());
  }

  // What the owner's tail does with what the slot's log has by now.
  void Poll() {
    store_.ReadLogs({{slot_, read_}}, 1000, clock_.Now() + absl::Seconds(1),
                    [&](const absl::StatusOr<std::vector<LogSlice>>& slices) {
                      ASSERT_TRUE(slices.ok()) << slices.status();
                      for (const LogSlice& slice : *slices) {
                        coherence_->OnChanges(read_, slice);
                        waker_->OnChanges(read_, slice);
                        if (!slice.entries.empty()) read_ = slice.entries.back().position;
                      }
                    });
    executor_.RunDue();
  }
  // Carried out by the first node, while the owner's answers are late.
  std::string FillAround(const std::string& value, const std::string& lease) {
    peers_.Fail("n1", absl::DeadlineExceededError("too late"));
    const std::string shown = ShowWrite(WriteOne(node(0), FillOf(key_, value, lease)));
    peers_.Fail("n1", absl::OkStatus());
    return shown;
  }
  // As another region's write that arrives.
  void Arrive(Version version, const std::string& value, RecordKind kind = RecordKind::kValue) {
    Record record;
    record.version = version;
    record.expires_at = clock_.Now() + absl::Hours(1);
    record.kind = kind;
    if (kind == RecordKind::kValue) record.value = value;
    L2Write write;
    write.key = L2Key{slot_, kSpace, key_};
    write.version = version;
    write.expires_at = record.expires_at;
    write.retention = absl::Hours(1);
    AppendRecord(record, &write.record);
    bool applied = false;
    store_.Apply({write}, clock_.Now() + absl::Seconds(1),
                 [&](const std::vector<L2WriteResult>& results) {
                   applied = results[0].outcome == L2WriteOutcome::kApplied;
                 });
    executor_.RunDue();
    ASSERT_TRUE(applied);
  }
  int fetches() const { return store_.calls().fetch; }

  ReplicationObserver observer_;
  std::string key_;
  uint32_t slot_ = 0;
  LogPosition read_;
  std::optional<EngineCoherence> coherence_;
  std::optional<LeaseWaker> waker_;
};

// Defects once: the owner answered "miss", and let the others wait, until the lease was over.
TEST_F(LeaseWakerTest, AFillThatWentAroundALiveOwnerIsServedThere) {
  const auto holder = Begin({key_}, Lease());
  const auto other = Begin({key_}, Lease());
  EXPECT_EQ(FillAround("v", holder->results[0].lease), "ok");
  EXPECT_TRUE(other->shown.empty());
  Poll();
  EXPECT_THAT(other->shown, ElementsAre("v@L2"));
  EXPECT_EQ(ReadThrough(key_), "v@L1");
  EXPECT_EQ(counters(1).leases_granted, 1);
  EXPECT_EQ(node(1).misses().flights().size(), 0);
}

TEST_F(LeaseWakerTest, WhoWaitsForALeaseThatAWriteWentAroundIsGivenTheWrite) {
  const auto holder = Begin({key_}, Lease());
  const auto other = Begin({key_}, Lease());
  Arrive(Version{node(1).versions().last() + 1, RegionId("eu")}, "theirs");
  Poll();
  EXPECT_THAT(other->shown, ElementsAre("theirs@L2"));
  EXPECT_EQ(ReadThrough(key_), "theirs@L1");
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key_, "old", holder->results[0].lease))),
            "conflict LEASE_VOID");
}

// Written before the lease was given, by a clock that is behind or on a way that is long.
TEST_F(LeaseWakerTest, AnOlderValueThatArrivesDuringALeaseIsServedAndTheFillWins) {
  const Version before{node(1).versions().Next().hlc, RegionId("eu")};
  const auto holder = Begin({key_}, Lease());
  const auto other = Begin({key_}, Lease());
  Arrive(before, "theirs");
  Poll();
  EXPECT_THAT(other->shown, ElementsAre("theirs@L2"));
  EXPECT_EQ(ReadThrough(key_), "theirs@L1");
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key_, "v", holder->results[0].lease))), "ok");
  EXPECT_EQ(ReadThrough(key_), "v@L1");
}

TEST_F(LeaseWakerTest, TheEchoOfWhatWasKnownWhenTheLeaseWasGivenCostsNothing) {
  WriteOne(node(1), InvalidateOf(key_));
  const auto holder = Begin({key_}, Lease());
  const auto other = Begin({key_}, Lease());
  const int before = fetches();
  Poll();
  EXPECT_EQ(fetches(), before);
  EXPECT_TRUE(other->shown.empty());
  EXPECT_EQ(counters(1).leases_granted, 1);
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key_, "v", holder->results[0].lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("v@L1"));
}

// Of a value that has died since, and of one that came to L2 while it was looked for.
TEST_F(LeaseWakerTest, TheEchoOfAnOwnFillLeavesTheNextLeaseAlone) {
  const auto first = Begin({key_}, Lease(), 1);
  WriteItem fill = FillOf(key_, "v", first->results[0].lease);
  fill.ttl = absl::Seconds(1);
  EXPECT_EQ(ShowWrite(WriteOne(node(1), std::move(fill))), "ok");
  executor_.RunFor(absl::Seconds(1));
  const auto holder = Begin({key_}, Lease(), 1);
  ASSERT_FALSE(holder->results[0].lease.empty());
  const auto other = Begin({key_}, Lease(), 1);
  const int fetched = fetches();
  Poll();
  EXPECT_TRUE(other->shown.empty());
  EXPECT_EQ(fetches(), fetched);
  EXPECT_EQ(counters(1).leases_granted, 2);
  EXPECT_EQ(ShowWrite(WriteOne(node(1), FillOf(key_, "w", holder->results[0].lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("w@L1"));
}

// Defects once: who waited waited for the whole lease, or until its own deadline.
TEST_F(LeaseWakerTest, AFillThatAHoleInTheLogHasSwallowedIsServed) {
  const auto holder = Begin({key_}, Lease());
  const auto other = Begin({key_}, Lease());
  EXPECT_EQ(FillAround("v", holder->results[0].lease), "ok");
  EXPECT_TRUE(other->shown.empty());
  coherence_->OnGap(slot_, GapKind::kTrimmed);
  waker_->OnGap(slot_, GapKind::kTrimmed);
  executor_.RunDue();
  EXPECT_THAT(other->shown, ElementsAre("v@L2"));
  EXPECT_EQ(counters(1).leases_granted, 1);
}

TEST_F(LeaseWakerTest, AHoleInTheLogGivesTheLeasesOfItsSlotToTheNext) {
  const auto holder = Begin({key_}, Lease());
  const auto next = Begin({key_}, Lease());
  const auto third = Begin({key_}, Lease());
  const std::string elsewhere = KeyOwnedBy(1, 1);
  ASSERT_NE(SlotOf(kSpace, elsewhere), slot_);
  const auto holder_elsewhere = Begin({elsewhere}, Lease());
  const auto other_elsewhere = Begin({elsewhere}, Lease());
  waker_->OnLoss({.slot = slot_, .kept = {1, 0}, .resumed = {5, 0}, .rewound = true, .lost = {}});
  executor_.RunDue();
  ASSERT_THAT(next->shown, ElementsAre("miss"));
  const std::string lease = next->results[0].lease;
  EXPECT_FALSE(lease.empty());
  EXPECT_TRUE(third->shown.empty());
  EXPECT_TRUE(other_elsewhere->shown.empty());
  EXPECT_EQ(counters(1).leases_granted, 3);
  EXPECT_EQ(ShowWrite(WriteOne(node(1), FillOf(key_, "v", lease))), "ok");
  EXPECT_THAT(third->shown, ElementsAre("v@L1"));
}

TEST_F(LeaseWakerTest, WhoWaitsAtAnOwnerThatLosesTheSlotAsksTheNextOne) {
  const auto holder = Begin({key_}, Lease(), 1);
  const auto by_another = Begin({key_}, Lease(), 0, absl::Seconds(20));
  const auto at_the_owner = Begin({key_}, Lease(), 1, absl::Seconds(20));
  for (auto& one : nodes_) one->topology().Offer(TopologyOf(2, {"n0"}));
  EXPECT_TRUE(by_another->shown.empty());
  coherence_->OnSlotLost(slot_);
  waker_->OnSlotLost(slot_);
  executor_.RunDue();
  EXPECT_EQ(node(1).misses().flights().leased(), 0);
  EXPECT_EQ(node(1).misses().flights().waiters(), 0);
  // One of them has the new owner's lease, and the other waits for it there.
  EXPECT_EQ(counters(0).leases_granted, 1);
  EXPECT_EQ(counters(1).leases_granted, 1);
  const bool first = !by_another->shown.empty();
  const auto& has = first ? by_another : at_the_owner;
  const auto& waits = first ? at_the_owner : by_another;
  ASSERT_THAT(has->shown, ElementsAre("miss"));
  EXPECT_TRUE(waits->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(1), FillOf(key_, "v", has->results[0].lease))), "ok");
  EXPECT_THAT(waits->shown, ElementsAre("v@L1"));
}

// It was looked for when the slot went.
TEST_F(LeaseWakerTest, AnOwnerThatHasLostTheSlotGivesNoLease) {
  store_.HoldReplies();
  const auto late = Begin({key_}, Lease(), 1, absl::Seconds(20));
  for (auto& one : nodes_) one->topology().Offer(TopologyOf(2, {"n0"}));
  coherence_->OnSlotLost(slot_);
  waker_->OnSlotLost(slot_);
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_EQ(counters(1).leases_granted, 0);
  EXPECT_EQ(counters(0).leases_granted, 1);
  ASSERT_THAT(late->shown, ElementsAre("miss"));
  EXPECT_FALSE(late->results[0].lease.empty());
}

// A defect once: the tail begins after what came since the lease was given, and nobody told of it.
TEST_F(LeaseWakerTest, WhatCameBeforeANewOwnerFollowedTheLogIsServed) {
  const auto holder = Begin({key_}, Lease());
  const auto other = Begin({key_}, Lease());
  EXPECT_EQ(FillAround("v", holder->results[0].lease), "ok");
  EXPECT_TRUE(other->shown.empty());
  coherence_->OnSlotGained(slot_, {5, 0});
  waker_->OnSlotGained(slot_, {5, 0});
  executor_.RunDue();
  EXPECT_THAT(other->shown, ElementsAre("v@L2"));
}

// Tells at one moment.
class TellingClock final : public Clock {
 public:
  explicit TellingClock(const Clock& clock) : clock_(clock) {}
  absl::Time Now() const override {
    if (tell_) std::exchange(tell_, nullptr)();
    return clock_.Now();
  }
  absl::Duration Monotonic() const override { return clock_.Monotonic(); }
  void Tell(std::function<void()> tell) { tell_ = std::move(tell); }

 private:
  const Clock& clock_;
  mutable std::function<void()> tell_;
};

// Who goes through the leases of the slot has done so by then, and nobody would end the waiting.
TEST_F(LeaseWakerTest, AnOwnerThatLosesTheSlotWhileItGivesALeaseGivesNone) {
  TellingClock telling(clock_);
  ClockGuard guard(telling);
  guard.Measured("redis of us", clock_.Now(), clock_.Monotonic(), clock_.Monotonic());
  node(1).context().clock_guard = &guard;
  store_.HoldReplies();
  const auto first = Begin({key_}, Lease(), 1, absl::Seconds(20));
  const auto second = Begin({key_}, Lease(), 1, absl::Seconds(20));
  bool told = false;
  telling.Tell([&] {
    told = true;
    for (auto& one : nodes_) one->topology().Offer(TopologyOf(2, {"n0"}));
    coherence_->OnSlotLost(slot_);
    node(1).misses().OnSlotInDoubt(slot_, /*lost=*/true);
  });
  store_.ReleaseReplies();
  executor_.RunDue();
  ASSERT_TRUE(told);
  EXPECT_EQ(counters(1).leases_granted, 0);
  EXPECT_EQ(counters(0).leases_granted, 1);
  EXPECT_EQ(node(1).misses().flights().waiters(), 0);
  EXPECT_THAT(first->shown.size() + second->shown.size(), 1u);
  node(1).context().clock_guard = nullptr;
}

// A delete that is older than the lease and was not there when it was given.
TEST_F(LeaseWakerTest, AnOldDeleteThatArrivesDuringALeaseIsLookedAtOnce) {
  const Version before{node(1).versions().Next().hlc, RegionId("eu")};
  const auto holder = Begin({key_}, Lease());
  const auto other = Begin({key_}, Lease());
  Arrive(before, "theirs", RecordKind::kTombstone);
  const LogPosition read = read_;
  const int fetched = fetches();
  Poll();
  read_ = read;
  Poll();
  EXPECT_EQ(fetches(), fetched + 1);
  EXPECT_TRUE(other->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key_, "v", holder->results[0].lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("v@L1"));
}

}  // namespace
}  // namespace meridian
