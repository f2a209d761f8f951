// Answers of replicas, whose primary cannot be reached and may have something newer: they are given
// to who asks, and to nobody else.

#include <string>

#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class ReplicaReadsTest : public OriginFixture {
 protected:
  // From now on nothing but a replica answers, which has got what there is now.
  void LosePrimaryAfter(WriteItem last) {
    const auto replica = store_.Save();
    ASSERT_EQ(ShowWrite(WriteOne(node(0), std::move(last))), "ok");
    store_.LosePrimary(replica);
  }
  void Plant(const std::string& key, Version version, const std::string& value) {
    Record record;
    record.version = version;
    record.expires_at = clock_.Now() + absl::Hours(1);
    record.value = value;
    std::string bytes;
    AppendRecord(record, &bytes);
    store_.Plant(L2Key{SlotOf(kSpace, key), kSpace, key}, bytes, absl::Hours(1));
  }
};

// A defect once: L1 kept it until its TTL, long after the primary was back.
TEST_F(ReplicaReadsTest, WhatWasDeletedIsAnsweredByAReplicaAndKeptNowhere) {
  Start(1, nullptr);
  WriteOne(node(0), SetOf("k", "v"));
  LosePrimaryAfter(InvalidateOf("k"));
  const auto read = Begin({"k"});
  ASSERT_THAT(read->shown, ElementsAre("v@L2"));
  EXPECT_TRUE(read->results[0].fleeting) << "nor may whoever is answered keep it";
  EXPECT_EQ(ReadThrough("k"), "v@L2");
  EXPECT_EQ(node(0).engine().entries(), 0);
  store_.LosePrimary(nullptr);
  EXPECT_EQ(ReadThrough("k"), "miss");
}

TEST_F(ReplicaReadsTest, WhatThePrimaryGivesIsKept) {
  Start(1, nullptr);
  WriteOne(node(0), SetOf("k", "v"));
  node(0).engine().Clear();
  const auto read = Begin({"k"});
  ASSERT_THAT(read->shown, ElementsAre("v@L2"));
  EXPECT_FALSE(read->results[0].fleeting);
  EXPECT_EQ(ReadThrough("k"), "v@L1");
}

TEST_F(ReplicaReadsTest, AnAbsenceThatAReplicaKnowsIsNotKeptEither) {
  Start(1, ", negative_ttl: 10s");
  EXPECT_EQ(ReadThrough("k"), "miss@origin");
  const auto replica = store_.Save();
  node(0).engine().Clear();
  store_.LosePrimary(replica);
  EXPECT_EQ(ReadThrough("k"), "miss@L2");
  EXPECT_EQ(ReadThrough("k"), "miss@L2");
}

TEST_F(ReplicaReadsTest, AForcedLookAtAReplicaReplacesNothingInL1) {
  Start(1, nullptr);
  WriteOne(node(0), SetOf("k", "old"));
  LosePrimaryAfter(SetOf("k", "new"));
  EXPECT_EQ(ReadThrough("k", Force()), "old@L2");
  EXPECT_EQ(ReadThrough("k"), "new@L1");
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k", Force()), "old@L2");
  EXPECT_EQ(node(0).engine().entries(), 0);
}

// Both defects once: a replica's old value ended it, and who did not reach L2 waited for the lease.
TEST_F(ReplicaReadsTest, AReplicaEndsNoLeaseAndTheLookIsTakenAgain) {
  Start(1, nullptr, ", lease_ttl: 30s");
  const Version before = node(0).versions().Next();
  const auto holder = Begin({"k"}, Lease());
  const auto other = Begin({"k"}, Lease(), 0, absl::Seconds(20));
  Plant("k", before, "theirs");
  store_.LosePrimary(store_.Save());
  node(0).misses().OnChanged(node(0).KeyOf("k"), before);
  executor_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(other->shown.empty());
  store_.LosePrimary(nullptr);
  executor_.RunFor(absl::Milliseconds(200));
  EXPECT_THAT(other->shown, ElementsAre("theirs@L2"));
  EXPECT_EQ(counters().leases_granted, 1);
  EXPECT_TRUE(IsQuiet());
}

}  // namespace
}  // namespace meridian
