// A change that the changelog has lost without a hole that anybody could see: L1 of the owner stays
// old, or another region, and who looks for it is the node that carried it out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "common/base/hash.h"
#include "server/node/fence.h"
#include "tests/unit/server/replication/node_stack.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class LostEntryTest : public testing::Test {
 protected:
  LostEntryTest() {
    world_.options.staleness.one_in = 1;
    world_.options.staleness.per_second = 100;
    world_.Start();
    Run(absl::Seconds(1));
    const bool first = OwnerOf(kKey) == "us-0";
    owner_ = std::make_unique<NodeStack>(world_, "us", first ? 0 : 1);
    other_ = std::make_unique<NodeStack>(world_, "us", first ? 1 : 0);
  }
  void Run(absl::Duration duration) { world_.executor.RunFor(duration); }
  std::string OwnerOf(std::string_view key) {
    return world_.node("us").topology.Get()->OwnerOf(SlotOf("task", key))->id;
  }
  // From now on no log of the region brings the newest version of the key.
  Version Lose(std::string_view key) {
    const Version version = world_.StoredVersion("us", key);
    for (const auto& node : world_.region("us").nodes) node->wires["us"]->unheard.insert(version);
    return version;
  }
  StalenessReport Report(NodeStack& node) { return node.node().replication->Staleness(); }

  static constexpr char kKey[] = "k";
  ReplicationWorld world_{{"us", "eu"}, 2};
  std::unique_ptr<NodeStack> owner_;
  std::unique_ptr<NodeStack> other_;
};

TEST_F(LostEntryTest, OfAWriteAroundTheOwnerIsAnIncidentThatNamesItsNodeSlotAndCause) {
  ASSERT_EQ(owner_->Write(WriteKind::kSet, kKey, "old"), "ok");
  const Version old = world_.StoredVersion("us", kKey);
  Run(absl::Seconds(70));
  ASSERT_EQ(owner_->Read(kKey), "old");
  // The other node cannot reach the owner and goes around it.
  ASSERT_EQ(other_->Write(WriteKind::kInvalidate, kKey), "ok");
  const Version deleted = Lose(kKey);
  ASSERT_GT(deleted, old);
  Run(absl::Seconds(2));
  ASSERT_EQ(owner_->Read(kKey), "old") << "it has not heard of it";
  EXPECT_THAT(Report(*owner_).incidents, IsEmpty()) << "who has not heard of it looks for nothing";
  const StalenessReport report = Report(*other_);
  ASSERT_THAT(report.incidents, SizeIs(1));
  const StalenessIncident& incident = report.incidents[0];
  EXPECT_EQ(incident.place, owner_->node().id);
  EXPECT_EQ(incident.region, "us");
  EXPECT_EQ(incident.slot, SlotOf("task", kKey));
  EXPECT_EQ(incident.key, kKey);
  EXPECT_STREQ(incident.cause, "CHANGE_MISSED");
  EXPECT_EQ(incident.expected, deleted);
  EXPECT_EQ(incident.found, old);
  EXPECT_EQ(report.incidents_total, 1u);
}

TEST_F(LostEntryTest, OfAnOwnersWriteIsAnIncidentOfTheRegionThatLacksIt) {
  ASSERT_EQ(owner_->Write(WriteKind::kSet, kKey, "old"), "ok");
  Run(absl::Seconds(70));
  ASSERT_EQ(world_.Get("eu", kKey), "old");
  ASSERT_EQ(owner_->Write(WriteKind::kSet, kKey, "new"), "ok");
  const Version lost = Lose(kKey);
  Run(absl::Seconds(11));
  ASSERT_EQ(world_.Get("eu", kKey), "old");
  const StalenessReport report = Report(*owner_);
  ASSERT_THAT(report.incidents, SizeIs(1));
  EXPECT_EQ(report.incidents[0].region, "eu");
  EXPECT_EQ(report.incidents[0].place, "redis");
  EXPECT_EQ(report.incidents[0].slot, SlotOf("task", kKey));
  EXPECT_STREQ(report.incidents[0].cause, "CHANGE_MISSED");
  EXPECT_EQ(report.incidents[0].expected, lost);
}

// The tail tells of an own write, too, a moment later.
TEST_F(LostEntryTest, WhatIsToldFromBothSidesIsFollowedOnce) {
  ASSERT_EQ(owner_->Write(WriteKind::kSet, kKey, "1"), "ok");
  Run(absl::Seconds(70));
  const StalenessReport report = Report(*owner_);
  EXPECT_EQ(report.sampled_total, 1u);
  ASSERT_THAT(report.rows, SizeIs(2));
  EXPECT_THAT(report.rows[1].right, testing::ElementsAre(2, 2, 2)) << "the owner and Redis";
  EXPECT_EQ(report.late_total, 0u);
}

TEST_F(LostEntryTest, OfAFenceIsAnIncidentOfTheNodesThatWereNotTold) {
  Fence fence{.name_space = "task", .scope = FenceScope::kTag, .name = "red"};
  fence.version = owner_->node().hybrid_clock->Next();
  for (const auto& node : world_.region("us").nodes) {
    node->wires["us"]->unheard.insert(fence.version);
    node->lost_fences = true;
  }
  owner_->store().Apply({FenceWrite(fence)}, world_.clock.Now() + absl::Seconds(1),
                        [](const std::vector<L2WriteResult>&) {});
  Run(absl::Seconds(2));
  const StalenessReport report = Report(*owner_);
  EXPECT_EQ(report.fences_sampled_total, 1u);
  ASSERT_GE(report.incidents.size(), 1u);
  EXPECT_STREQ(report.incidents[0].cause, "FENCE_MISSED");
  EXPECT_EQ(report.incidents[0].fence, FenceScope::kTag);
}

TEST_F(LostEntryTest, NothingIsSaidOfAWriteThatMayNotHaveHappened) {
  ASSERT_EQ(owner_->Write(WriteKind::kSet, kKey, "old"), "ok");
  Run(absl::Seconds(70));
  owner_->node().wires["us"]->mode = StoreWire::Mode::kSilent;
  EXPECT_NE(owner_->Write(WriteKind::kSet, kKey, "never"), "ok");
  Run(absl::Seconds(3));
  owner_->node().wires["us"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(70));
  EXPECT_EQ(Report(*owner_).sampled_total, 1u);
  EXPECT_THAT(Report(*owner_).incidents, IsEmpty());
}

}  // namespace
}  // namespace meridian
