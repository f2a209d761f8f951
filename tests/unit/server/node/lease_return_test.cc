// Leases that end without a value: there is none, or their holder gives them back.

#include <string>

#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class LeaseReturnTest : public OriginFixture {
 protected:
  WriteItem AbsentOf(std::string_view key, const std::string& lease) {
    WriteItem item = FillOf(key, "", lease);
    item.lease_use = LeaseUse::kAbsent;
    return item;
  }
  WriteItem BackOf(std::string_view key, const std::string& lease) {
    WriteItem item = FillOf(key, "", lease);
    item.lease_use = LeaseUse::kGiveBack;
    return item;
  }
};

// With a store, and without one.
class AbsenceTest : public LeaseReturnTest, public testing::WithParamInterface<bool> {
 protected:
  void Start(const char* policy) {
    LeaseReturnTest::Start(1, nullptr, policy, /*l1_only=*/GetParam());
  }
};

TEST_P(AbsenceTest, IsToldToWhoWaitsAndRemembered) {
  Start(", origin: {negative_ttl: 20s}");
  const std::string key = "k";
  const auto holder = Begin({key}, Lease());
  const auto other = Begin({key}, Lease());
  const WriteResult absent = WriteOne(node(0), AbsentOf(key, holder->results[0].lease));
  EXPECT_EQ(ShowWrite(absent), "ok");
  EXPECT_TRUE(absent.version.is_set());
  EXPECT_THAT(other->shown, ElementsAre("miss@origin"));
  EXPECT_THAT(Begin({key})->shown, ElementsAre("miss@L1"));
  const auto next = Begin({key}, Lease());
  EXPECT_THAT(next->shown, ElementsAre("miss@L1"));
  EXPECT_TRUE(next->results[0].lease.empty());
  EXPECT_FALSE(next->results[0].lease_taken);
  executor_.RunFor(absl::Seconds(21));
  EXPECT_FALSE(Begin({key}, Lease())->results.at(0).lease.empty()) << "it was long enough";
  EXPECT_EQ(counters().leases_returned, 1);
  EXPECT_EQ(counters().leases_filled, 0);
}

TEST_F(LeaseReturnTest, OtherNodesReadTheAbsenceFromTheStore) {
  Start(2, nullptr);
  const std::string key = KeyOwnedBy(1);
  const auto holder = Begin({key}, Lease());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), AbsentOf(key, holder->results[0].lease))), "ok");
  node(0).topology().Offer(TopologyOf(2, {"n0"}));
  EXPECT_EQ(ReadThrough(key), "miss@L2");
}

TEST_P(AbsenceTest, ThatIsNotRememberedEndsTheLease) {
  Start(", origin: {negative_ttl: 0}");
  const std::string key = "k";
  const auto holder = Begin({key}, Lease());
  const auto other = Begin({key}, Lease());
  const auto another = Begin({key}, Lease());
  const std::string lease = holder->results[0].lease;
  EXPECT_EQ(ShowWrite(WriteOne(node(0), AbsentOf(key, lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("miss@origin"));
  EXPECT_THAT(another->shown, ElementsAre("miss@origin"));
  EXPECT_EQ(ShowWrite(WriteOne(node(0), AbsentOf(key, lease))), "ok") << "the same again";
  const auto next = Begin({key}, Lease());
  ASSERT_THAT(next->shown, ElementsAre("miss"));
  EXPECT_FALSE(next->results[0].lease.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), AbsentOf(key, lease))), "ok");
  EXPECT_EQ(counters().leases_returned, 1) << "it was not the next one's lease that ended";
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key, "v", next->results[0].lease))), "ok");
}

INSTANTIATE_TEST_SUITE_P(Stores, AbsenceTest, testing::Bool());

TEST_F(LeaseReturnTest, AnAbsenceRemovesTheOldValueThatItsLeaseWasToRenew) {
  Start(1, nullptr, ", ttl: 60s, stale: {max: 30s}, origin: {negative_ttl: 0}");
  WriteOne(node(0), SetOf("k", "v"));
  clock_.Advance(absl::Seconds(65));
  ReadOptions options = Stale();
  options.want_lease = true;
  const auto holder = Begin({"k"}, options);
  ASSERT_THAT(holder->shown, ElementsAre("v@L2 stale"));
  EXPECT_EQ(ShowWrite(WriteOne(node(0), AbsentOf("k", holder->results[0].lease))), "ok");
  EXPECT_THAT(Begin({"k"}, Stale())->shown, ElementsAre("miss"));
}

TEST_F(LeaseReturnTest, ALeaseThatIsGivenBackIsTheNextOnes) {
  Start(2, nullptr);
  const std::string key = KeyOwnedBy(1);
  const auto holder = Begin({key}, Lease());
  const auto next = Begin({key}, Lease(), 0, absl::Seconds(5));
  const auto third = Begin({key}, Lease(), 1, absl::Seconds(5));
  const std::string lease = holder->results[0].lease;
  EXPECT_EQ(ShowWrite(WriteOne(node(0), BackOf(key, lease))), "ok");
  ASSERT_THAT(next->shown, ElementsAre("miss"));
  EXPECT_FALSE(next->results[0].lease.empty());
  EXPECT_TRUE(third->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), BackOf(key, lease))), "ok") << "again, and of nobody's";
  EXPECT_TRUE(third->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key, "v", next->results[0].lease))), "ok");
  EXPECT_THAT(third->shown, ElementsAre("v@L1"));
  EXPECT_EQ(counters(1).leases_returned, 1);
  EXPECT_EQ(counters(1).leases_granted, 2);
}

TEST_F(LeaseReturnTest, WhatIsGivenBackWhileNobodyWaitsLeavesNothingBehind) {
  Start(1, nullptr);
  const auto holder = Begin({"k"}, Lease());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), BackOf("k", holder->results[0].lease))), "ok");
  executor_.RunDue();
  EXPECT_TRUE(IsQuiet());
  EXPECT_FALSE(Begin({"k"}, Lease())->results.at(0).lease.empty());
}

TEST_F(LeaseReturnTest, WhatCameMeanwhileWinsOverAnAbsence) {
  Start(1, nullptr);
  const auto holder = Begin({"k"}, Lease());
  WriteOne(node(0), SetOf("k", "written"));
  EXPECT_EQ(ShowWrite(WriteOne(node(0), AbsentOf("k", holder->results[0].lease))),
            "conflict LEASE_VOID");
  EXPECT_EQ(ReadThrough("k"), "written@L1");
  EXPECT_EQ(ShowWrite(WriteOne(node(0), BackOf("k", holder->results[0].lease))), "ok");
  EXPECT_EQ(ReadThrough("k"), "written@L1");
}

TEST_F(LeaseReturnTest, AfterItsEndALeaseSaysNothingAndMayBeGivenBack) {
  Start(1, nullptr, ", lease_ttl: 2s");
  const auto holder = Begin({"k"}, Lease());
  executor_.RunFor(absl::Seconds(3));
  EXPECT_EQ(ShowWrite(WriteOne(node(0), AbsentOf("k", holder->results[0].lease))),
            "conflict LEASE_EXPIRED");
  EXPECT_EQ(ShowWrite(WriteOne(node(0), BackOf("k", holder->results[0].lease))), "ok");
}

TEST_F(LeaseReturnTest, AnAbsenceDiesWithItsTags) {
  Start(1, nullptr);
  const auto holder = Begin({"k"}, Lease());
  WriteItem absent = AbsentOf("k", holder->results[0].lease);
  absent.tags = {"t"};
  EXPECT_EQ(ShowWrite(WriteOne(node(0), std::move(absent))), "ok");
  EXPECT_EQ(ReadThrough("k"), "miss@L1");
  PutFence(FenceScope::kTag);
  EXPECT_EQ(ReadThrough("k"), "miss");
}

TEST_F(LeaseReturnTest, AroundAnOwnerThatIsAwayALeaseIsGivenBackByItsTime) {
  Start(2, nullptr);
  const std::string key = KeyOwnedBy(1);
  const auto holder = Begin({key}, Lease());
  peers_.Fail("n1", absl::UnavailableError("away"));
  EXPECT_EQ(ShowWrite(WriteOne(node(0), BackOf(key, holder->results[0].lease))), "ok");
  EXPECT_EQ(ShowWrite(WriteOne(node(0), AbsentOf(key, holder->results[0].lease))), "ok");
  EXPECT_EQ(ReadThrough(key), "miss@L2") << "an absence is written by whoever can";
}

}  // namespace
}  // namespace meridian
