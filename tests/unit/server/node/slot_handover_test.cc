// A new owner of a slot that does not follow its changelog yet: others may write what it is not
// told of, so that it answers what the store has, and keeps nothing.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/node/followed_slots.h"
#include "server/node/hint_log.h"
#include "server/node/watch_hub.h"
#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::Each;
using testing::ElementsAre;

class SlotHandoverTest : public OriginFixture {
 protected:
  void StartUnfollowed(const char* origin, const char* more = "") {
    Start(1, origin, more);
    node(0).context().followed = &followed_;
  }
  void Follow() { followed_.Gained(SlotOf(kSpace, "k")); }
  // As the former owner, which does not know that it is none.
  void WriteElsewhere(const std::string& value) {
    Record record;
    record.version = node(0).versions().Next();
    record.expires_at = clock_.Now() + absl::Hours(1);
    record.value = value;
    std::string bytes;
    AppendRecord(record, &bytes);
    store_.Plant(L2Key{SlotOf(kSpace, "k"), kSpace, "k"}, bytes, absl::Hours(1));
  }

  FollowedSlots followed_;
};

TEST_F(SlotHandoverTest, NothingIsKeptBeforeTheLogIsFollowed) {
  StartUnfollowed(nullptr);
  EXPECT_EQ(ShowWrite(WriteOne(node(0), SetOf("k", "own"))), "ok");
  EXPECT_EQ(ReadThrough("k"), "own@L2") << "the own write neither";
  WriteElsewhere("newer");
  EXPECT_EQ(ReadThrough("k"), "newer@L2");
  EXPECT_EQ(ReadThrough("k", Force()), "newer@L2");
  EXPECT_EQ(node(0).engine().entries(), 0);
  Follow();
  EXPECT_EQ(ReadThrough("k"), "newer@L2");
  EXPECT_EQ(ReadThrough("k"), "newer@L1");
  followed_.Lost(SlotOf(kSpace, "k"));
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k"), "newer@L2");
  EXPECT_EQ(ReadThrough("k"), "newer@L2");
}

TEST_F(SlotHandoverTest, WhoComesLaterSharesNoLookThatHasBegun) {
  StartUnfollowed(nullptr);
  WriteElsewhere("old");
  store_.HoldReplies();
  const auto before = Begin({"k"});
  WriteElsewhere("new");
  const auto after = Begin({"k"});
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_THAT(before->shown, ElementsAre("old@L2"));
  EXPECT_THAT(after->shown, ElementsAre("new@L2"));
}

TEST_F(SlotHandoverTest, ManyMissesAreStillOneLoad) {
  StartUnfollowed("");
  origin_.rows["k"] = "loaded";
  std::vector<std::shared_ptr<Pending>> readers;
  for (int i = 0; i < 100; ++i) readers.push_back(Begin({"k"}));
  Settle();
  for (const auto& reader : readers) EXPECT_EQ(reader->shown.size(), 1u);
  EXPECT_EQ(origin_.loads, 1);
  EXPECT_EQ(node(0).engine().entries(), 0);
  EXPECT_EQ(ReadThrough("k"), "loaded@L2");
  EXPECT_EQ(ReadThrough("k", Force()), "loaded@origin");
  EXPECT_EQ(node(0).engine().entries(), 0);
  Follow();
  EXPECT_EQ(ReadThrough("k"), "loaded@L2");
  EXPECT_EQ(ReadThrough("k"), "loaded@L1");
}

// It knows that it is the owner: there is nobody else who could.
TEST_F(SlotHandoverTest, LeasesAreGiven) {
  StartUnfollowed(nullptr);
  const auto holder = Begin({"k"}, Lease());
  const auto other = Begin({"k"}, Lease());
  ASSERT_THAT(holder->shown, ElementsAre("miss"));
  ASSERT_FALSE(holder->results[0].lease.empty());
  EXPECT_TRUE(other->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", holder->results[0].lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("v@L1"));
  EXPECT_EQ(node(0).engine().entries(), 0);
}

// The store is away, so that the slot's log cannot be followed as long.
class HandoverWithoutStoreTest : public SlotHandoverTest {
 protected:
  void StartWithout(const char* origin, const char* more = "") {
    Start(1, origin, more);
    node(0).context().followed = &followed_;
    store_.SetAvailable(false);
    origin_.rows["k"] = "v";
  }
};

// Defects once: nothing was kept, every read was a load, and who came during one waited for two.
TEST_F(HandoverWithoutStoreTest, WhatIsLoadedIsKeptUntilTheLogIsFollowed) {
  StartWithout("");
  std::vector<std::shared_ptr<Pending>> readers;
  for (int i = 0; i < 100; ++i) readers.push_back(Begin({"k"}));
  Settle();
  for (const auto& reader : readers) {
    EXPECT_THAT(reader->shown, ElementsAre(testing::StartsWith("v@")));
  }
  EXPECT_EQ(ReadThrough("k"), "v@L1");
  EXPECT_EQ(origin_.loads, 1);
  EXPECT_TRUE(IsQuiet());
  // As EngineCoherence does.
  store_.SetAvailable(true);
  WriteElsewhere("newer");
  node(0).engine().DropSlot(SlotOf(kSpace, "k"));
  Follow();
  EXPECT_EQ(ReadThrough("k"), "newer@L2");
}

TEST_F(HandoverWithoutStoreTest, AnAbsenceIsKeptAsWell) {
  StartWithout(", negative_ttl: 10s");
  EXPECT_EQ(ReadThrough("none"), "miss@origin");
  EXPECT_EQ(ReadThrough("none"), "miss@L1");
  EXPECT_EQ(origin_.loads, 1);
}

TEST_F(HandoverWithoutStoreTest, WhatLeavesNoRegionIsKeptAsWell) {
  StartWithout("", ", replication: invalidate_only");
  EXPECT_EQ(ReadThrough("k"), "v@origin");
  EXPECT_EQ(ReadThrough("k"), "v@L1");
}

TEST_F(HandoverWithoutStoreTest, WhoForcesALoadGetsOne) {
  StartWithout("");
  EXPECT_EQ(ReadThrough("k"), "v@origin");
  origin_.rows["k"] = "w";
  EXPECT_EQ(ReadThrough("k", Force()), "w@origin");
  EXPECT_EQ(ReadThrough("k"), "w@L1");
}

TEST_F(HandoverWithoutStoreTest, AStoreThatFailsOnceIsNotAway) {
  StartWithout("");
  store_.SetAvailable(true);
  const auto read = Begin({"k"});
  store_.FailNext(absl::UnavailableError("L2_UNAVAILABLE: once"));
  Settle();
  EXPECT_THAT(read->shown, ElementsAre("v@origin"));
  EXPECT_EQ(node(0).engine().entries(), 0);
}

TEST_F(HandoverWithoutStoreTest, ASlotThatGoesDuringTheLoadIsNotKept) {
  StartWithout("");
  const auto read = Begin({"k"});
  node(0).topology().Offer(TopologyOf(2, {"n1"}));
  node(0).engine().DropSlot(SlotOf(kSpace, "k"));
  Settle();
  EXPECT_THAT(read->shown, ElementsAre("v@origin"));
  EXPECT_EQ(node(0).engine().entries(), 0);
}

TEST_F(HandoverWithoutStoreTest, WhoGoesAroundAnOwnerKeepsNothing) {
  Start(2);
  const std::string key = KeyOwnedBy(1);
  origin_.rows[key] = "v";
  peers_.Fail("n1", absl::UnavailableError("dead"));
  store_.SetAvailable(false);
  EXPECT_EQ(ReadThrough(key), "v@origin");
  EXPECT_EQ(node(0).engine().entries(), 0);
}

// Writes that wait for the store, of an owner that has just started.
class HintsOfANewOwnerTest : public SlotHandoverTest {
 protected:
  void StartAccepting() {
    StartUnfollowed(nullptr, ", write_without_redis: accept");
    fences_.emplace(node(0).engine(), node(0).versions(), /*known=*/false);
    node(0).context().hints = &hints_;
  }
  void Forget() { node(0).context().fences = &*fences_; }

  HintLog hints_{HintLogOptions{}};
  std::optional<Fences> fences_;
};

// A defect once: FENCES_UNKNOWN.
TEST_F(HintsOfANewOwnerTest, WhatWasAcknowledgedIsRead) {
  StartAccepting();
  Forget();
  store_.SetAvailable(false);
  const WriteResult written = WriteOne(node(0), SetOf("k", "v"));
  ASSERT_EQ(ShowWrite(written), "ok");
  ASSERT_TRUE(written.degraded);
  EXPECT_EQ(ReadThrough("k"), "v@L1");
  EXPECT_EQ(ReadThrough("k"), "v@L1");
  ASSERT_TRUE(WriteOne(node(0), InvalidateOf("k")).degraded);
  EXPECT_EQ(ReadThrough("k"), "miss");
}

TEST_F(HintsOfANewOwnerTest, WhatTheStoreHasWaitsForTheFences) {
  StartAccepting();
  WriteElsewhere("old");
  Forget();
  EXPECT_EQ(ReadThrough("k"), "FENCES_UNKNOWN");
}

// A defect once: what was before the hint, and was read before the store had it.
TEST_F(HintsOfANewOwnerTest, AReplayDuringALookIsWaitedFor) {
  StartAccepting();
  WriteElsewhere("old");
  store_.SetAvailable(false);
  ASSERT_TRUE(WriteOne(node(0), SetOf("k", "waits")).degraded);
  node(0).engine().Clear();
  store_.SetAvailable(true);
  store_.HoldReplies();
  const auto read = Begin({"k"});
  const std::vector<L2Write> writes = hints_.Oldest(10, 1 << 20);
  ASSERT_EQ(writes.size(), 1u);
  store_.Apply(writes, clock_.Now() + absl::Seconds(1), [](const std::vector<L2WriteResult>&) {});
  executor_.RunDue();
  hints_.Replayed(writes[0], /*applied=*/true);
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_THAT(read->shown, ElementsAre("waits@L2"));
  EXPECT_TRUE(IsQuiet());
}

// A defect once: a near cache that had read the store before the replay kept what was there.
TEST_F(HintsOfANewOwnerTest, TheEchoOfAReplayIsToldOnceMore) {
  StartAccepting();
  WatchHub hub({}, clock_);
  node(0).context().watch = &hub;
  const uint32_t slot = SlotOf(kSpace, "k");
  hub.SlotFollowed(slot);
  SlotSet slots;
  slots.set(slot);
  const WatchHub::Reader reader = hub.Open(slots, 0, 0);
  store_.SetAvailable(false);
  const WriteResult written = WriteOne(node(0), SetOf("k", "v"));
  ASSERT_TRUE(written.degraded);
  ASSERT_EQ(hub.Stats().events, 1u);
  hub.Changed(slot, kSpace, "k", written.version);
  EXPECT_EQ(hub.Stats().events, 2u);
  EXPECT_EQ(hub.Stats().duplicates, 0u);
  hub.Close(reader);
}

// Fills of such a namespace are in no changelog, and the next owner may keep what was before.
class QuietFillTest : public OriginFixture {
 protected:
  void SetUp() override {
    Start(2, "", ", replication: invalidate_only");
    key_ = KeyOwnedBy(0);
    origin_.rows[key_] = "loaded";
    EXPECT_EQ(ShowWrite(WriteOne(node(0), SetOf(key_, "before"))), "ok");
    before_ = Told().size();
  }
  // The slot's changelog.
  std::vector<LogEntry> Told() {
    std::vector<LogEntry> entries;
    store_.ReadLogs({{SlotOf(kSpace, key_), {}}}, 1000, clock_.Now() + absl::Seconds(1),
                    [&](const absl::StatusOr<std::vector<LogSlice>>& slices) {
                      for (const LogSlice& slice : *slices) entries = slice.entries;
                    });
    executor_.RunDue();
    return entries;
  }
  void Move() {
    for (auto& one : nodes_) one->topology().Offer(TopologyOf(2, {"n1"}));
  }
  Version Stored() { return ParseRecord(*store_.Peek(kSpace, key_))->version; }

  std::string key_;
  size_t before_ = 0;
};

TEST_F(QuietFillTest, IsToldToNobodyByAnOwnerThatStays) {
  EXPECT_EQ(ReadThrough(key_, Force()), "loaded@origin");
  EXPECT_EQ(Told().size(), before_);
}

TEST_F(QuietFillTest, IsToldWhenTheSlotWentDuringTheLoad) {
  const auto read = Begin({key_}, Force());
  Move();
  Settle();
  EXPECT_THAT(read->shown, ElementsAre("loaded@origin"));
  ASSERT_EQ(Told().size(), before_ + 1);
  EXPECT_EQ(Told().back().version, Stored());
}

TEST_F(QuietFillTest, IsToldWhenTheSlotWentWhileItWasStored) {
  const auto read = Begin({key_}, Force());
  store_.HoldReplies();
  origin_.AnswerAll();
  executor_.RunDue();
  Move();
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_THAT(read->shown, ElementsAre("loaded@origin"));
  ASSERT_EQ(Told().size(), before_ + 1);
  EXPECT_EQ(Told().back().version, Stored());
  EXPECT_GT(Stored(), read->results[0].version);
}

TEST_F(QuietFillTest, IsToldAgainWhenTheMessageIsLost) {
  const auto read = Begin({key_}, Force());
  store_.HoldReplies();
  origin_.AnswerAll();
  executor_.RunDue();
  Move();
  store_.FailNext(absl::UnavailableError("lost"));
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_THAT(read->shown, ElementsAre("loaded@origin"));
  EXPECT_EQ(Told().size(), before_);
  executor_.RunFor(absl::Seconds(5));
  ASSERT_EQ(Told().size(), before_ + 1);
  EXPECT_EQ(Told().back().version, Stored());
}

TEST_F(QuietFillTest, IsToldWhenNobodyKnowsWhetherItWasStored) {
  const auto read = Begin({key_}, Force());
  store_.LoseNextReply(absl::DeadlineExceededError("no answer"));
  store_.HoldReplies();
  origin_.AnswerAll();
  executor_.RunDue();
  Move();
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_THAT(read->shown, ElementsAre("loaded@origin"));
  ASSERT_EQ(Told().size(), before_ + 1);
  EXPECT_EQ(Told().back().version, Stored());
}

TEST_F(QuietFillTest, IsNotToldForEver) {
  const auto read = Begin({key_}, Force());
  store_.HoldReplies();
  origin_.AnswerAll();
  executor_.RunDue();
  Move();
  store_.ReleaseReplies();
  store_.SetAvailable(false);
  executor_.RunFor(absl::Minutes(1));
  EXPECT_EQ(timers_.size(), 0u);
}

}  // namespace
}  // namespace meridian
