// Leases: who is given one, what it allows, and what makes it void.

#include <string>

#include "server/node/lease_token.h"
#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class LeaseTest : public OriginFixture {};

TEST_F(LeaseTest, ALeaseGoesToTheFirstAndTheOthersAreGivenItsValue) {
  Start(1, nullptr);
  const auto holder = Begin({"k"}, Lease());
  ASSERT_THAT(holder->shown, ElementsAre("miss"));
  const std::string lease = holder->results[0].lease;
  EXPECT_EQ(lease.size(), LeaseToken::kSize);
  const auto other = Begin({"k"}, Lease());
  const auto another = Begin({"k"}, Lease());
  EXPECT_THAT(Begin({"k"})->shown, ElementsAre("miss")) << "who wants no lease does not wait";
  EXPECT_TRUE(other->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("v@L1"));
  EXPECT_THAT(another->shown, ElementsAre("v@L1"));
  EXPECT_EQ(ReadThrough("k"), "v@L1");
  EXPECT_EQ(counters().leases_granted, 1);
  EXPECT_EQ(counters().leases_filled, 1);
  EXPECT_TRUE(IsQuiet());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", lease))), "ok") << "the same write again";
}

TEST_F(LeaseTest, ADeleteVoidsALeaseAndTheNextOneGetsANewOne) {
  for (const bool l1_only : {false, true}) {
    nodes_.clear();
    Start(1, nullptr, "", l1_only);
    const std::string key = l1_only ? "k1" : "k2";
    const auto holder = Begin({key}, Lease());
    const auto other = Begin({key}, Lease());
    EXPECT_EQ(ShowWrite(WriteOne(node(0), InvalidateOf(key))), "ok");
    ASSERT_THAT(other->shown, ElementsAre("miss"));
    EXPECT_FALSE(other->results[0].lease.empty());
    EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key, "old", holder->results[0].lease))),
              "conflict LEASE_VOID");
    const auto third = Begin({key});
    executor_.RunDue();
    EXPECT_THAT(third->shown, ElementsAre("miss"));
    EXPECT_EQ(counters().leases_void, 1);
  }
}

TEST_F(LeaseTest, AWriteVoidsALeaseAndEndsTheWaiting) {
  Start(1, nullptr);
  const auto holder = Begin({"k"}, Lease());
  const auto other = Begin({"k"}, Lease());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), SetOf("k", "written"))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("written@L1"));
  const WriteResult late = WriteOne(node(0), FillOf("k", "old", holder->results[0].lease));
  EXPECT_EQ(ShowWrite(late), "conflict LEASE_VOID");
  EXPECT_TRUE(late.version.is_set());
  EXPECT_EQ(ReadThrough("k"), "written@L1");
}

// It may have been sent before the lease was given, and before a fence that it does not know of.
TEST_F(LeaseTest, AWriteFromBeforeTheLeaseEndsNoWaiting) {
  Start(1, nullptr);
  const Version before = node(0).versions().Next();
  const auto holder = Begin({"k"}, Lease());
  const auto other = Begin({"k"}, Lease());
  Landing late;
  late.state = EntryState::kOk;
  late.version = before;
  node(0).misses().OnWritten(node(0).KeyOf("k"), late);
  EXPECT_TRUE(other->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", holder->results[0].lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("v@L1"));
}

// A near cache keeps it, and is told of fences by tag.
TEST_F(LeaseTest, WhoWaitsIsGivenTheTagsToo) {
  Start(1, nullptr);
  ReadOptions options = Lease();
  options.with_tags = true;
  const auto holder = Begin({"k"}, options);
  const auto other = Begin({"k"}, options);
  WriteItem fill = FillOf("k", "v", holder->results[0].lease);
  fill.tags = {"team"};
  EXPECT_EQ(ShowWrite(WriteOne(node(0), std::move(fill))), "ok");
  ASSERT_THAT(other->shown, ElementsAre("v@L1"));
  EXPECT_EQ(DecodeTags(other->results[0].tags.view()), std::vector<std::string>{"team"});
}

// A defect once: an owner that answers a miss without a lease at once was asked again and again.
TEST_F(LeaseTest, AnOwnerThatGivesNoLeaseIsAskedOnce) {
  Start(2, nullptr);
  const std::string key = KeyOwnedBy(1);
  ReadOptions options = Lease();
  options.force_refresh = true;
  const int before = peers_.calls();
  const auto forced = Begin({key}, options, 0, absl::Seconds(5));
  EXPECT_THAT(forced->shown, ElementsAre("miss"));
  EXPECT_EQ(peers_.calls(), before + 1);
}

TEST_F(LeaseTest, AHolderThatDiesIsReplacedAndItsLateValueRefused) {
  Start(1, nullptr, ", lease_ttl: 2s");
  const auto holder = Begin({"k"}, Lease());
  const auto next = Begin({"k"}, Lease(), 0, absl::Seconds(10));
  const auto third = Begin({"k"}, Lease(), 0, absl::Seconds(10));
  executor_.RunFor(absl::Milliseconds(1999));
  EXPECT_TRUE(next->shown.empty());
  executor_.RunFor(absl::Milliseconds(1));
  ASSERT_THAT(next->shown, ElementsAre("miss"));
  EXPECT_FALSE(next->results[0].lease.empty());
  EXPECT_TRUE(third->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "late", holder->results[0].lease))),
            "conflict LEASE_EXPIRED");
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", next->results[0].lease))), "ok");
  EXPECT_THAT(third->shown, ElementsAre("v@L1"));
  EXPECT_EQ(counters().leases_expired, 1);
}

TEST_F(LeaseTest, WhoWaitsForAHolderUntilItsDeadlineHasMissed) {
  Start(2, nullptr);
  const std::string key = KeyOwnedBy(1);
  const auto holder = Begin({key}, Lease(), 1);
  const auto other = Begin({key}, Lease(), 0, absl::Milliseconds(800));
  executor_.RunFor(absl::Milliseconds(700));
  EXPECT_TRUE(other->shown.empty()) << "also by way of another node";
  executor_.RunFor(absl::Milliseconds(100));
  ASSERT_THAT(other->shown, ElementsAre("miss"));
  EXPECT_TRUE(other->results[0].lease.empty());
}

TEST_F(LeaseTest, AnOldValueComesWithTheLeaseForWhoAllowsIt) {
  Start(1, nullptr, ", ttl: 60s, stale: {max: 30s}");
  WriteOne(node(0), SetOf("k", "v"));
  clock_.Advance(absl::Seconds(65));
  ReadOptions options = Stale();
  options.want_lease = true;
  const auto holder = Begin({"k"}, options);
  const auto other = Begin({"k"}, options);
  ASSERT_THAT(holder->shown, ElementsAre("v@L2 stale"));
  EXPECT_FALSE(holder->results[0].lease.empty());
  ASSERT_THAT(other->shown, ElementsAre("v@L2 stale"));
  EXPECT_TRUE(other->results[0].lease.empty());
}

TEST_F(LeaseTest, WhatIsNoLeaseOfTheKeyIsRefused) {
  Start(1, nullptr);
  const std::string lease = Begin({"k"}, Lease())->results[0].lease;
  std::string changed = lease;
  changed[5] ^= 1;
  const LeaseToken future{Version{(uint64_t{1} << 47) << 16, 1}, clock_.Now() + absl::Seconds(1)};
  const LeaseToken long_lived{node(0).versions().Next(), clock_.Now() + absl::Hours(1)};
  for (const std::string& bad : {std::string("x"), lease + "x", changed,
                                 future.ToBytes(kSpace, "k"), long_lived.ToBytes(kSpace, "k")}) {
    EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", bad))), "error LEASE_INVALID");
  }
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("other", "v", lease))), "error LEASE_INVALID");
  EXPECT_EQ(ReadThrough("k"), "miss");
}

TEST_F(LeaseTest, ALeaseHoldsAtTheNextOwnerOfItsSlot) {
  Start(2, nullptr);
  const std::string key = KeyOwnedBy(1);
  const auto holder = Begin({key}, Lease());
  node(0).topology().Offer(TopologyOf(2, {"n0"}));
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key, "v", holder->results[0].lease))), "ok");
  EXPECT_EQ(ReadThrough(key), "v@L1");
}

TEST_F(LeaseTest, AFenceVoidsALease) {
  Start(1, nullptr);
  const auto holder = Begin({"p:k"}, Lease());
  PutFence(FenceScope::kPrefix);
  const auto next = Begin({"p:k"}, Lease());
  ASSERT_THAT(next->shown, ElementsAre("miss"));
  EXPECT_FALSE(next->results[0].lease.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("p:k", "old", holder->results[0].lease))),
            "conflict LEASE_VOID");
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("p:k", "new", next->results[0].lease))), "ok");
  EXPECT_EQ(ReadThrough("p:k"), "new@L1");
}

// A defect once: what a lease waited for was kept by one of 256 counters of a shard.
TEST_F(LeaseTest, WritesOfOtherKeysLeaveALeaseAlone) {
  for (const bool l1_only : {false, true}) {
    nodes_.clear();
    Start(1, nullptr, "", l1_only);
    const std::string key = l1_only ? "k1" : "k2";
    const auto holder = Begin({key}, Lease());
    for (int n = 0; n < 2000; ++n) WriteOne(node(0), InvalidateOf(absl::StrCat("other ", n)));
    const auto other = Begin({key}, Lease());
    EXPECT_TRUE(other->shown.empty());
    EXPECT_EQ(counters().leases_granted, 1);
    EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key, "v", holder->results[0].lease))), "ok");
    EXPECT_THAT(other->shown, ElementsAre("v@L1"));
  }
}

TEST_F(LeaseTest, AFenceThatDoesNotCoverTheKeyLeavesItsLeaseAlone) {
  Start(1, nullptr);
  const auto holder = Begin({"q:k"}, Lease());
  PutFence(FenceScope::kPrefix);
  PutFence(FenceScope::kTag);
  const auto other = Begin({"q:k"}, Lease());
  EXPECT_TRUE(other->shown.empty());
  EXPECT_EQ(counters().leases_granted, 1);
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("q:k", "v", holder->results[0].lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("v@L1"));
}

// Which keys it covers is known when they have their tags.
TEST_F(LeaseTest, AFenceByTagVoidsTheLeaseWhenItIsUsed) {
  Start(1, nullptr);
  const auto holder = Begin({"k"}, Lease());
  PutFence(FenceScope::kTag);
  const auto other = Begin({"k"}, Lease());
  WriteItem fill = FillOf("k", "old", holder->results[0].lease);
  fill.tags = {"t"};
  EXPECT_EQ(ShowWrite(WriteOne(node(0), std::move(fill))), "conflict LEASE_VOID");
  ASSERT_THAT(other->shown, ElementsAre("miss"));
  EXPECT_FALSE(other->results[0].lease.empty());
}

// A defect once: the value was in L2, acknowledged, and a miss here until the end of the lease.
TEST_F(LeaseTest, AFillThatIsSentAgainAfterATimeOutIsServed) {
  Start(1, nullptr, ", lease_ttl: 30s");
  const auto holder = Begin({"k"}, Lease());
  const auto other = Begin({"k"}, Lease());
  store_.LoseNextReply(absl::DeadlineExceededError("no answer"));
  WriteItem fill = FillOf("k", "v", holder->results[0].lease);
  EXPECT_EQ(WriteOne(node(0), fill).state, EntryState::kError);
  EXPECT_TRUE(other->shown.empty()) << "nobody knows whether it was filled";
  EXPECT_EQ(counters().leases_granted, 1);
  EXPECT_EQ(ShowWrite(WriteOne(node(0), fill)), "ok");
  EXPECT_THAT(other->shown, ElementsAre("v@L2"));
  EXPECT_EQ(ReadThrough("k"), "v@L1");
  EXPECT_EQ(counters().leases_granted, 1);
  EXPECT_TRUE(IsQuiet());
}

// Under one lease two values: the first is stored, and L1 must not hold the other.
TEST_F(LeaseTest, AnotherValueUnderAUsedLeaseIsNowhere) {
  Start(1, nullptr);
  const auto holder = Begin({"k"}, Lease());
  const std::string lease = holder->results[0].lease;
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "first", lease))), "ok");
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "second", lease))), "ok");
  EXPECT_EQ(ReadThrough("k"), "first@L1");
}

// The changelog tells what this node did itself, a moment later.
TEST_F(LeaseTest, AnOldChangeThatComesLateLeavesALeaseAlone) {
  Start(1, nullptr);
  const WriteResult deleted = WriteOne(node(0), InvalidateOf("k"));
  const auto holder = Begin({"k"}, Lease());
  node(0).engine().Erase(node(0).KeyOf("k"), deleted.version);
  const auto other = Begin({"k"}, Lease());
  EXPECT_TRUE(other->shown.empty());
  EXPECT_EQ(counters().leases_granted, 1);
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", holder->results[0].lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("v@L1"));
}

// As the tail of the changelog tells it: of another region, or of a node that went around this one.
TEST_F(LeaseTest, ANewerChangeFromElsewhereVoidsALeaseForAllWhoWait) {
  Start(1, nullptr);
  const auto holder = Begin({"k"}, Lease());
  const auto early = Begin({"k"}, Lease());
  Record record;
  record.version = Version{node(0).versions().last() + 1, RegionId("eu")};
  record.expires_at = clock_.Now() + absl::Hours(1);
  record.value = "theirs";
  std::string bytes;
  AppendRecord(record, &bytes);
  store_.Plant(L2Key{SlotOf(kSpace, "k"), kSpace, "k"}, bytes, absl::Hours(1));
  node(0).engine().Erase(node(0).KeyOf("k"), record.version);
  const auto late = Begin({"k"}, Lease());
  EXPECT_THAT(early->shown, ElementsAre("theirs@L2"));
  EXPECT_THAT(late->shown, ElementsAre("theirs@L2"));
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "old", holder->results[0].lease))),
            "conflict LEASE_VOID");
  EXPECT_TRUE(IsQuiet());
}

TEST_F(LeaseTest, AVoidLeaseThatIsPresentedAgainGivesNobodyAnother) {
  Start(1, nullptr);
  const auto holder = Begin({"k"}, Lease());
  WriteOne(node(0), InvalidateOf("k"));
  const auto next = Begin({"k"}, Lease());
  const auto third = Begin({"k"}, Lease());
  ASSERT_THAT(next->shown, ElementsAre("miss"));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "old", holder->results[0].lease))),
              "conflict LEASE_VOID");
  }
  EXPECT_TRUE(third->shown.empty());
  EXPECT_EQ(counters().leases_granted, 2);
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", next->results[0].lease))), "ok");
  EXPECT_THAT(third->shown, ElementsAre("v@L1"));
}

// A defect once: the node that was asked judged the fence, and the owner, where others wait, heard
// nothing of it.
TEST_F(LeaseTest, TheOwnerHearsOfALeaseThatAFenceHasVoided) {
  Start(2, nullptr);
  const std::string key = KeyOwnedBy(1);
  const auto holder = Begin({key}, Lease(), 0);
  const auto other = Begin({key}, Lease(), 0);
  const Fence fence{kSpace, FenceScope::kTag, "t", node(1).versions().Next(), false};
  for (auto& one : nodes_) ASSERT_TRUE(one->context().fences->Learn(fence).ok());
  WriteItem fill = FillOf(key, "old", holder->results[0].lease);
  fill.tags = {"t"};
  EXPECT_EQ(ShowWrite(WriteOne(node(0), std::move(fill))), "conflict LEASE_VOID");
  ASSERT_THAT(other->shown, ElementsAre("miss"));
  EXPECT_FALSE(other->results[0].lease.empty());
}

TEST_F(LeaseTest, ALeaseOfAnotherRegionIsVoid) {
  Start(1, nullptr);
  const LeaseToken theirs{Version{node(0).versions().Next().hlc, RegionId("eu")},
                          clock_.Now() + absl::Seconds(5)};
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", theirs.ToBytes(kSpace, "k")))),
            "conflict LEASE_VOID");
  EXPECT_EQ(ReadThrough("k"), "miss");
}

// Tokens are not secret: what one says of the time must not outlive what comes after it.
TEST_F(LeaseTest, WhatIsFencedAfterAFillUnderAMadeUpVersionIsDead) {
  for (const bool l1_only : {false, true}) {
    nodes_.clear();
    Start(1, nullptr, "", l1_only);
    const std::string key = l1_only ? "p:1" : "p:2";
    const uint64_t ahead = static_cast<uint64_t>(
        absl::ToUnixMillis(clock_.Now() + HybridClock::kMaxSkew - absl::Seconds(1)));
    const LeaseToken token{Version{ahead << 16, node(0).versions().region()},
                           clock_.Now() + absl::Seconds(5)};
    const WriteResult filled = WriteOne(node(0), FillOf(key, "v", token.ToBytes(kSpace, key)));
    EXPECT_EQ(ShowWrite(filled), l1_only ? "conflict LEASE_VOID" : "ok");
    PutFence(FenceScope::kPrefix);
    EXPECT_EQ(ReadThrough(key), "miss");
  }
}

TEST_F(LeaseTest, AValueThatL1CannotHoldIsRefusedUnderALeaseToo) {
  Start(1, nullptr, "", /*l1_only=*/true);
  const auto holder = Begin({"k"}, Lease());
  const std::string large(65 << 20, 'x');
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", large, holder->results[0].lease))),
            "error OVERLOADED");
}

}  // namespace
}  // namespace meridian
