// Changes that are followed through real tails, links and stores in fake time; what is wrong is put
// where it is found behind everybody's back.

#include "server/replication/staleness_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/node/record.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class StalenessSamplerTest : public testing::Test {
 protected:
  void Start(int nodes) {
    world_ = std::make_unique<ReplicationWorld>(std::vector<std::string>{"us", "eu"}, nodes);
    world_->options.staleness.one_in = 1;
    world_->options.staleness.per_second = 100;
    world_->Start();
    Run(absl::Seconds(1));
  }
  void Run(absl::Duration duration) { world_->executor.RunFor(duration); }
  ReplicationWorld::Node& OwnerOf(std::string_view region, std::string_view key, bool other) {
    for (const auto& node : world_->region(region).nodes) {
      const Member* owner = node->topology.Get()->OwnerOf(SlotOf("task", key));
      if ((owner->id == node->id) != other) return *node;
    }
    ADD_FAILURE() << "nobody";
    return world_->node(region);
  }
  // What L1 of a node keeps, whatever anybody told it.
  void Plant(ReplicationWorld::Node& node, const std::string& key, Version version) {
    const NamespaceId id = *node.engine->InternNamespace("task");
    const EntryKey entry_key{.name_space = id,
                             .slot = SlotOf("task", key),
                             .hash = node.engine->HashOf(id, key),
                             .key = key};
    node.engine->Erase(entry_key, Version{~uint64_t{0} >> 1, 0});
    Entry entry;
    entry.value = Buffer::CopyOf("old");
    entry.raw_size = 3;
    entry.version = version;
    entry.expires_at = world_->clock.Monotonic() + absl::Hours(1);
    ASSERT_EQ(node.engine->Put(entry_key, std::move(entry), world_->clock.Monotonic()),
              PutOutcome::kStored);
  }
  // What a mirror of a node keeps.
  void PlantMirror(ReplicationWorld::Node& node, const std::string& key, Version version) {
    node.mirrors.entries[key].version = version;
  }
  Fence FenceOf(FenceScope scope, const std::string& name) {
    Fence fence{.name_space = "task", .scope = scope, .name = name};
    fence.version = world_->region("us").writer->Next();
    return fence;
  }
  // The sum of a region's looks of one age, of all nodes.
  static uint64_t RightAt(const StalenessReport& report, const std::string& region, size_t age) {
    uint64_t right = 0;
    for (const StalenessRow& row : report.rows) {
      if (row.region == region) right += row.right[age];
    }
    return right;
  }
  StalenessReport Report(std::string_view region) {
    StalenessReport sum;
    for (const auto& node : world_->region(region).nodes) {
      const StalenessReport report = node->replication->Staleness();
      sum.rows.insert(sum.rows.end(), report.rows.begin(), report.rows.end());
      sum.incidents.insert(sum.incidents.end(), report.incidents.begin(), report.incidents.end());
      sum.sampled_total += report.sampled_total;
      sum.fences_sampled_total += report.fences_sampled_total;
      sum.unanswered_total += report.unanswered_total;
      sum.late_total += report.late_total;
    }
    return sum;
  }

  std::unique_ptr<ReplicationWorld> world_;
};

TEST_F(StalenessSamplerTest, WhatIsRightEverywhereIsCountedByRegionAndTime) {
  Start(2);
  world_->Set("us", "k", "1", absl::Hours(1));
  Run(absl::Seconds(61));
  const StalenessReport us = Report("us");
  EXPECT_EQ(us.sampled_total, 1u);
  EXPECT_THAT(us.incidents, IsEmpty());
  ASSERT_THAT(us.rows, SizeIs(2));
  // The owner and a Redis at home (a defect once: also the node that has nothing to do with it), a Redis in the other region, where it came within a second.
  EXPECT_EQ(us.rows[0].region, "eu");
  EXPECT_THAT(us.rows[0].right, testing::ElementsAre(1, 1, 1));
  EXPECT_EQ(us.rows[1].region, "us");
  EXPECT_EQ(us.rows[1].name_space, "task");
  EXPECT_THAT(us.rows[1].right, testing::ElementsAre(2, 2, 2));
  EXPECT_THAT(us.rows[1].wrong, testing::ElementsAre(0, 0, 0));
  // The nodes there looked at themselves.
  const StalenessReport eu = Report("eu");
  ASSERT_THAT(eu.rows, SizeIs(1));
  EXPECT_THAT(eu.rows[0].right, testing::ElementsAre(2, 2, 2));
}

TEST_F(StalenessSamplerTest, AnInvalidationThatAnOwnerMissedIsAnIncidentThatNamesItAndIsMended) {
  Start(2);
  const Version old = world_->Set("us", "k", "1", absl::Hours(1));
  Run(absl::Seconds(70));
  const Version deleted = world_->Delete("us", "k");
  Run(absl::Milliseconds(500));
  ReplicationWorld::Node& owner = OwnerOf("us", "k", false);
  Plant(owner, "k", old);
  Run(absl::Milliseconds(1000));
  const StalenessReport report = Report("us");
  ASSERT_THAT(report.incidents, SizeIs(1));
  const StalenessIncident& incident = report.incidents[0];
  EXPECT_EQ(incident.place, owner.id);
  EXPECT_EQ(incident.region, "us");
  EXPECT_EQ(incident.slot, SlotOf("task", "k"));
  EXPECT_EQ(incident.key, "k");
  EXPECT_STREQ(incident.cause, "CHANGE_MISSED");
  EXPECT_EQ(incident.expected, deleted);
  EXPECT_EQ(incident.found, old);
  EXPECT_FALSE(incident.over);
  Run(absl::Seconds(10));
  EXPECT_TRUE(Report("us").incidents[0].over);
}

TEST_F(StalenessSamplerTest, ANodeThatIsNotTheOwnerIsNamedToo) {
  Start(2);
  const Version old = world_->Set("us", "k", "1", absl::Hours(1));
  world_->Set("us", "k", "2", absl::Hours(1));
  Run(absl::Milliseconds(500));
  ReplicationWorld::Node& other = OwnerOf("us", "k", true);
  Plant(other, "k", old);
  Run(absl::Seconds(11));
  const StalenessReport report = Report("us");
  ASSERT_THAT(report.incidents, SizeIs(1));
  EXPECT_EQ(report.incidents[0].place, other.id);
  EXPECT_STREQ(report.incidents[0].cause, "NOT_OWNER");
  EXPECT_EQ(report.incidents[0].age, absl::Seconds(10));
  EXPECT_FALSE(report.incidents[0].over);
}

TEST_F(StalenessSamplerTest, ANodeThatIsNotTheOwnerCountsWithWhatItHasOrHadWrong) {
  Start(2);
  const Version old = world_->Set("us", "k", "1", absl::Hours(1));
  const Version version = world_->Set("us", "k", "2", absl::Hours(1));
  Run(absl::Milliseconds(500));
  ReplicationWorld::Node& other = OwnerOf("us", "k", true);
  Plant(other, "k", old);
  Run(absl::Seconds(5));
  ASSERT_THAT(Report("us").incidents, SizeIs(1));
  EXPECT_FALSE(Report("us").incidents[0].over);
  other.engine->Clear();
  const uint64_t before = RightAt(Report("us"), "us", 1);
  Run(absl::Seconds(6));
  EXPECT_TRUE(Report("us").incidents[0].over);
  // Of two changes: the owner and Redis, and where it was wrong.
  EXPECT_EQ(RightAt(Report("us"), "us", 1), before + 5);
  const uint64_t at_last = RightAt(Report("us"), "us", 2);
  Plant(other, "k", version);
  Run(absl::Seconds(60));
  EXPECT_EQ(RightAt(Report("us"), "us", 2), at_last + 6);
}

TEST_F(StalenessSamplerTest, ARegionThatIsCutIsAnIncidentAfterTenSeconds) {
  Start(1);
  world_->Set("us", "k", "1", absl::Hours(1));
  Run(absl::Seconds(2));
  world_->node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  world_->Set("us", "k", "2", absl::Hours(1));
  Run(absl::Seconds(5));
  EXPECT_THAT(Report("us").incidents, IsEmpty()) << "other regions may be that late";
  Run(absl::Seconds(90));
  // It cannot be asked either: nothing is said about it.
  EXPECT_THAT(Report("us").incidents, IsEmpty());
  EXPECT_GT(Report("us").unanswered_total, 0u);
  world_->node("us").wires["eu"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(10));
  std::optional<absl::Status> cut;
  world_->node("us").replication->SetCut("eu", true, "maintenance",
                                         [&](absl::Status status) { cut = status; });
  Run(absl::Seconds(3));
  ASSERT_TRUE(cut.has_value() && cut->ok());
  world_->Set("us", "k", "3", absl::Hours(1));
  Run(absl::Seconds(11));
  const StalenessReport report = Report("us");
  ASSERT_THAT(report.incidents, SizeIs(1));
  EXPECT_EQ(report.incidents[0].region, "eu");
  EXPECT_EQ(report.incidents[0].place, "redis");
  EXPECT_STREQ(report.incidents[0].cause, "REGION_CUT");
}

TEST_F(StalenessSamplerTest, AMirrorThatMissesAnInvalidationIsAnIncidentThatNamesIt) {
  Start(2);
  const Version old = world_->Set("us", "k", "1", absl::Hours(1));
  Run(absl::Seconds(70));
  const uint64_t before = RightAt(Report("us"), "us", 0);
  const Version deleted = world_->Delete("us", "k");
  Run(absl::Milliseconds(500));
  ReplicationWorld::Node& other = OwnerOf("us", "k", true);
  PlantMirror(other, "k", old);
  Run(absl::Seconds(5));
  EXPECT_THAT(Report("us").incidents, IsEmpty()) << "a mirror may be three seconds behind";
  EXPECT_EQ(RightAt(Report("us"), "us", 0), before + 2) << "L1 of the owner, and Redis";
  Run(absl::Seconds(6));
  const StalenessReport report = Report("us");
  ASSERT_THAT(report.incidents, SizeIs(1));
  const StalenessIncident& incident = report.incidents[0];
  EXPECT_EQ(incident.place, other.id + "/mirror");
  EXPECT_EQ(incident.slot, SlotOf("task", "k"));
  EXPECT_STREQ(incident.cause, "CHANGE_MISSED");
  EXPECT_EQ(incident.expected, deleted);
  EXPECT_EQ(incident.found, old);
  EXPECT_FALSE(incident.fence.has_value());
  // It hears of it at last.
  other.mirrors.entries.clear();
  Run(absl::Seconds(50));
  EXPECT_TRUE(Report("us").incidents[0].over);
}

TEST_F(StalenessSamplerTest, AnOwnMirrorThatIsWrongIsMended) {
  Start(2);
  const Version old = world_->Set("us", "k", "1", absl::Hours(1));
  world_->Set("us", "k", "2", absl::Hours(1));
  Run(absl::Milliseconds(500));
  ReplicationWorld::Node& owner = OwnerOf("us", "k", false);
  PlantMirror(owner, "k", old);
  Run(absl::Seconds(11));
  const StalenessReport report = Report("us");
  ASSERT_THAT(report.incidents, SizeIs(1));
  EXPECT_EQ(report.incidents[0].place, owner.id + "/mirror");
  EXPECT_THAT(owner.mirrors.entries, IsEmpty());
  Run(absl::Seconds(50));
  EXPECT_TRUE(Report("us").incidents[0].over);
}

TEST_F(StalenessSamplerTest, AMirrorThatIsRightIsCounted) {
  Start(2);
  const Version version = world_->Set("us", "k", "1", absl::Hours(1));
  PlantMirror(OwnerOf("us", "k", true), "k", version);
  Run(absl::Seconds(61));
  EXPECT_THAT(Report("us").incidents, IsEmpty());
  EXPECT_EQ(RightAt(Report("us"), "us", 0), 3u) << "L1 of the owner, a mirror, and Redis";
}

TEST_F(StalenessSamplerTest, AFenceIsFollowedThroughEveryNodeAndRedis) {
  Start(2);
  world_->Apply("us", FenceWrite(FenceOf(FenceScope::kTag, "red")));
  Run(absl::Seconds(61));
  const StalenessReport us = Report("us");
  EXPECT_EQ(us.fences_sampled_total, 1u);
  EXPECT_EQ(us.sampled_total, 0u);
  EXPECT_THAT(us.incidents, IsEmpty());
  for (size_t age = 0; age < kStalenessAges.size(); ++age) {
    EXPECT_EQ(RightAt(us, "us", age), 3u) << "two nodes and Redis";
    EXPECT_EQ(RightAt(us, "eu", age), 1u) << "Redis there";
    EXPECT_EQ(RightAt(Report("eu"), "eu", age), 3u) << "its own nodes look there";
  }
  EXPECT_EQ(us.rows[0].name_space, "task") << "whose fence it is";
}

TEST_F(StalenessSamplerTest, ANodeThatLostAFenceIsAnIncidentThatNamesIt) {
  Start(2);
  const Fence fence = FenceOf(FenceScope::kPrefix, "auth:user:7:");
  const uint32_t slot = FenceKey(fence).slot;
  world_->Apply("us", FenceWrite(fence));
  Run(absl::Milliseconds(500));
  // A node that does not own the fence's slot forgets it.
  const std::string owner = world_->node("us").topology.Get()->OwnerOf(slot)->id;
  ReplicationWorld::Node& other = *world_->region("us").nodes[owner == "us-0" ? 1 : 0];
  ASSERT_GE(other.fences->ClockOf(fence), fence.version.hlc);
  other.lost_fences = true;
  Run(absl::Seconds(11));
  const StalenessReport report = Report("us");
  ASSERT_THAT(report.incidents, SizeIs(1));
  const StalenessIncident& incident = report.incidents[0];
  EXPECT_EQ(incident.place, other.id);
  EXPECT_STREQ(incident.cause, "FENCE_MISSED");
  EXPECT_EQ(incident.name_space, "task");
  EXPECT_EQ(incident.key, "auth:user:7:");
  EXPECT_EQ(incident.fence, FenceScope::kPrefix);
  EXPECT_EQ(incident.slot, slot);
  EXPECT_EQ(incident.expected, fence.version);
  EXPECT_FALSE(incident.found.is_set());
  EXPECT_EQ(incident.age, absl::Seconds(10));
  other.lost_fences = false;
  Run(absl::Seconds(50));
  EXPECT_TRUE(Report("us").incidents[0].over);
}

TEST_F(StalenessSamplerTest, AFenceThatRedisHasLostIsAnIncidentUnlessItIsSuperfluous) {
  Start(1);
  const Fence fence = FenceOf(FenceScope::kTag, "red");
  const L2Key key = FenceKey(fence);
  world_->Apply("us", FenceWrite(fence));
  Run(absl::Milliseconds(500));
  const auto forget = [&](std::string_view region) {
    absl::Status done = absl::UnknownError("no answer");
    world_->region(region).store->ForgetFences(
        key.slot, {{{}, fence.version, key.name_space, key.key}}, absl::InfiniteFuture(),
        [&](const absl::Status& status) { done = status; });
    Run(absl::Milliseconds(1));
    ASSERT_TRUE(done.ok()) << done;
  };
  forget("us");
  Run(absl::Seconds(2));
  const StalenessReport report = Report("us");
  ASSERT_THAT(report.incidents, SizeIs(1));
  EXPECT_EQ(report.incidents[0].place, "redis");
  EXPECT_STREQ(report.incidents[0].cause, "REDIS_WENT_BACK");
  EXPECT_EQ(report.incidents[0].fence, FenceScope::kTag);
  // The fence of the whole namespace says as much.
  world_->Apply("us", FenceWrite(FenceOf(FenceScope::kNamespace, "")));
  Run(absl::Seconds(10));
  EXPECT_TRUE(Report("us").incidents[0].over);
}

// A defect once: the node's own memory of a fence was taken for the store's.
TEST_F(StalenessSamplerTest, AFenceThatRedisHasLostTogetherWithItsNamespacesIsAnIncident) {
  Start(1);
  std::vector<LogEntry> lost;
  for (const Fence& fence :
       {FenceOf(FenceScope::kTag, "red"), FenceOf(FenceScope::kNamespace, "")}) {
    const L2Key key = FenceKey(fence);
    world_->Apply("us", FenceWrite(fence));
    lost.push_back({{}, fence.version, key.name_space, key.key});
  }
  Run(absl::Milliseconds(500));
  ASSERT_GE(world_->node("us").fences->ClockOf({.name_space = "task"}), lost[1].version.hlc);
  world_->region("us").store->ForgetFences(FenceSlots()[0], lost, absl::InfiniteFuture(),
                                           [](const absl::Status&) {});
  Run(absl::Seconds(2));
  const StalenessReport report = Report("us");
  ASSERT_GE(report.incidents.size(), 1u);
  EXPECT_EQ(report.incidents[0].place, "redis");
  EXPECT_EQ(report.incidents[0].fence, FenceScope::kTag);
  EXPECT_STREQ(report.incidents[0].cause, "REDIS_WENT_BACK");
}

// A defect once: its age began when it was heard of.
TEST_F(StalenessSamplerTest, WhatIsHeardOfTooLateDoesNotCountAsRightInTime) {
  Start(1);
  world_->node("us").wires["us"]->mode = StoreWire::Mode::kRefused;
  world_->Set("us", "k", "1", absl::Hours(1));
  Run(absl::Seconds(3));
  ASSERT_EQ(Report("us").sampled_total, 0u);
  world_->node("us").wires["us"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(70));
  const StalenessReport report = Report("us");
  EXPECT_EQ(report.sampled_total, 1u);
  EXPECT_EQ(report.late_total, 1u);
  for (const std::string region : {"us", "eu"}) {
    EXPECT_EQ(RightAt(report, region, 0), 0u) << region << ": nobody can say so";
    EXPECT_GT(RightAt(report, region, 1), 0u) << region;
  }
  EXPECT_EQ(RightAt(Report("eu"), "eu", 0), 2u) << "heard of there a moment after it came";
}

TEST_F(StalenessSamplerTest, TheAgeBeginsWhenTheChangeWasMade) {
  Start(1);
  world_->node("us").wires["us"]->mode = StoreWire::Mode::kRefused;
  world_->Set("us", "k", "1", absl::Hours(1));
  Run(absl::Milliseconds(600));
  world_->node("us").wires["us"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Milliseconds(500));
  const StalenessReport report = Report("us");
  EXPECT_EQ(report.sampled_total, 1u);
  EXPECT_EQ(report.late_total, 0u);
  EXPECT_EQ(RightAt(report, "us", 0), 2u) << "its node and Redis, a second after it was made";
}

// A load's value has the version of the load's begin.
TEST_F(StalenessSamplerTest, AChangeIsAsOldAsItsPlaceInTheLog) {
  Start(1);
  Record record;
  record.version = world_->region("us").writer->Next();
  Run(absl::Milliseconds(9900));
  record.expires_at = world_->clock.Now() + absl::Hours(1);
  record.value = "loaded";
  L2Write write;
  write.key = {SlotOf("task", "k"), "task", "k"};
  write.version = record.version;
  write.expires_at = record.expires_at;
  write.retention = absl::Hours(1);
  AppendRecord(record, &write.record);
  world_->Apply("us", std::move(write));
  Run(absl::Milliseconds(900));
  EXPECT_EQ(Report("us").sampled_total, 1u);
  EXPECT_THAT(Report("us").rows, IsEmpty()) << "it was not looked for yet";
  Run(absl::Milliseconds(200));
  EXPECT_EQ(Report("us").late_total, 0u);
  EXPECT_EQ(RightAt(Report("us"), "us", 0), 2u);
}

TEST_F(StalenessSamplerTest, WhatIsHeardOfAfterTheLastAgeCountsAsRightAtNone) {
  Start(1);
  world_->node("us").wires["us"]->mode = StoreWire::Mode::kRefused;
  world_->Set("us", "k", "1", absl::Hours(1));
  Run(absl::Seconds(70));
  world_->node("us").wires["us"]->mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(5));
  const StalenessReport report = Report("us");
  EXPECT_EQ(report.late_total, 1u);
  for (size_t age = 0; age < kStalenessAges.size(); ++age) {
    EXPECT_EQ(RightAt(report, "us", age), 0u);
  }
}

TEST_F(StalenessSamplerTest, FollowsOneFenceASecond) {
  Start(1);
  for (int i = 0; i < 50; ++i) {
    world_->Apply("us", FenceWrite(FenceOf(FenceScope::kTag, absl::StrCat("t", i))));
  }
  Run(absl::Milliseconds(300));
  EXPECT_GE(Report("us").fences_sampled_total, 1u);
  EXPECT_LE(Report("us").fences_sampled_total, 2u);
}

TEST_F(StalenessSamplerTest, FollowsNoMoreThanItMay) {
  Start(1);
  world_->StopNode(world_->node("us"));
  world_->options.staleness.per_second = 2;
  world_->Start();
  Run(absl::Seconds(1));
  for (int i = 0; i < 50; ++i) world_->Set("us", absl::StrCat("k", i), "1", absl::Hours(1));
  Run(absl::Milliseconds(300));
  EXPECT_LE(Report("us").sampled_total, 4u);
  EXPECT_GE(Report("us").sampled_total, 2u);
}

}  // namespace
}  // namespace meridian
