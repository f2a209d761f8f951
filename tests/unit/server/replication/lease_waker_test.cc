// Who waits for somebody who has a lease hears of changes that went around this node: from the
// changelog, as the tail tells it.

#include "server/replication/lease_waker.h"

#include <optional>
#include <string>
#include <vector>

#include "server/replication/engine_coherence.h"
#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class LeaseWakerTest : public OriginFixture {
 protected:
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
