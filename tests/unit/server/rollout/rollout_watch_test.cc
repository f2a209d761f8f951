#include "server/rollout/rollout_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/rollout/rollout_plan.h"

namespace meridian {
namespace {

using coordinator::v1::GuardReading;
using testing::ElementsAre;
using testing::IsEmpty;

PolicyTable Table(const std::string& yaml) {
  PolicyTable table;
  EXPECT_TRUE(table.ReadText("test", yaml).ok());
  return table;
}

class RolloutWatchTest : public testing::Test {
 protected:
  // In the slots of version 1, and of version 2.
  void Count(const std::string& name_space, uint64_t version, uint64_t hits, uint64_t misses) {
    VersionReads reads;
    reads.hits = hits;
    reads.misses = misses;
    reads.latency = {hits + misses};
    figures_.table[{name_space, version}] += reads;
  }
  // Breached guards.
  int Look() {
    if (!watch_.Look(figures_, &look_)) return -1;
    int breached = 0;
    for (const GuardReading& reading : look_.readings) breached += reading.breached();
    return breached;
  }

  VersionFigures figures_{.latency_bounds = {0.001}, .table = {}};
  RolloutLook look_;
  RolloutWatch watch_{1,
                      2,
                      ChangedNamespaces(Table("task: {ttl: 5s}"), Table("task: {ttl: 1s}")),
                      ShippedPlan().guards(),
                      {{"floor", 0.8}}};
};

TEST_F(RolloutWatchTest, ComparesWhatWasReadSinceTheStageBegan) {
  watch_.BeginStage(false);
  Count("task", 1, 90'000, 0);
  Count("task", 2, 0, 90'000);  // Of an earlier trial of the same version number, say.
  EXPECT_EQ(Look(), -1);
  Count("task", 1, 9000, 1000);
  Count("task", 2, 1800, 200);
  EXPECT_EQ(Look(), 0);
  ASSERT_EQ(look_.readings.size(), 3u);
  EXPECT_EQ(look_.readings[0].guard(), "hit_rate");
  EXPECT_EQ(look_.readings[0].reads(), 2000u);
  EXPECT_NEAR(look_.readings[0].base(), 0.9, 1e-9);
}

TEST_F(RolloutWatchTest, Requirement0_21_WhatBecomesBadLateIsSeenInOneLook) {
  watch_.BeginStage(false);
  Look();
  Count("task", 1, 900'000, 0);
  Count("task", 2, 100'000, 0);
  EXPECT_EQ(Look(), 0);
  Count("task", 1, 9000, 0);
  Count("task", 2, 500, 1500);  // 1.5 % of all misses since the stage began.
  EXPECT_EQ(Look(), 1);
  EXPECT_EQ(look_.readings[0].guard(), "hit_rate");
  EXPECT_EQ(look_.readings[0].reads(), 2000u);
}

TEST_F(RolloutWatchTest, WhatDoesNotChangeIsNotWatched) {
  Count("task", 1, 1, 0);
  watch_.BeginStage(false);
  Look();
  Count("idle", 1, 9000, 0);
  Count("idle", 2, 0, 9000);
  EXPECT_EQ(Look(), 0);
  EXPECT_TRUE(look_.readings.empty());
}

TEST_F(RolloutWatchTest, InAllSlotsItIsComparedWithBefore) {
  watch_.BeginStage(false);
  Look();
  Count("task", 1, 9000, 1000);
  Count("task", 2, 900, 100);
  EXPECT_EQ(Look(), 0);
  watch_.BeginStage(true);
  EXPECT_EQ(Look(), -1);
  Count("task", 2, 1800, 200);
  EXPECT_EQ(Look(), 0);
  EXPECT_NEAR(look_.readings[0].base(), 0.9, 1e-9);
  Count("task", 2, 200, 1800);
  EXPECT_EQ(Look(), 1);
}

// As after a change of leader, which has not seen the stages of before.
TEST_F(RolloutWatchTest, InAllSlotsAllThatWasEverCountedIsBefore) {
  Count("task", 1, 9000, 1000);
  watch_.BeginStage(true);
  EXPECT_EQ(Look(), -1);
  Count("task", 2, 200, 1800);
  EXPECT_EQ(Look(), 1);
  EXPECT_NEAR(look_.readings[0].base(), 0.9, 1e-9);
}

TEST_F(RolloutWatchTest, TheNextLeaderComparesWithWhatTheFirstHasSeen) {
  watch_.BeginStage(false);
  Look();
  Count("task", 1, 9000, 1000);
  Count("task", 2, 900, 100);
  ASSERT_EQ(Look(), 0);
  const VersionFigures base = watch_.BaseFigures();
  EXPECT_EQ(base.Of("task", 1).reads(), 10'000u);
  EXPECT_EQ(base.Of("task", 2).reads(), 0u);

  RolloutWatch next(1, 2, ChangedNamespaces(Table("task: {ttl: 5s}"), Table("task: {ttl: 1s}")),
                    ShippedPlan().guards(), {});
  next.Restore(base);
  next.BeginStage(true);
  figures_.table.clear();
  ASSERT_FALSE(next.Look(figures_, &look_));
  Count("task", 2, 200, 1800);
  ASSERT_TRUE(next.Look(figures_, &look_));
  EXPECT_TRUE(look_.readings[0].breached());
  EXPECT_NEAR(look_.readings[0].base(), 0.9, 1e-9);
  EXPECT_EQ(next.BaseFigures().Of("task", 1).reads(), 10'000u) << "for the one after";
}

TEST_F(RolloutWatchTest, WhatCannotBeJudgedIsNamed) {
  watch_.BeginStage(false);
  Look();
  EXPECT_EQ(Look(), 0);
  EXPECT_THAT(look_.unsure, ElementsAre("task (not read)"));
  EXPECT_TRUE(look_.needs_reads) << "nothing at all is read";
  Count("task", 1, 5000, 0);
  EXPECT_EQ(Look(), 0);
  EXPECT_THAT(look_.unsure, ElementsAre("task (0 reads, 5000 to compare with, of 1000)"));
  EXPECT_TRUE(look_.needs_reads);
  Count("task", 2, 1000, 0);
  EXPECT_EQ(Look(), 0);
  EXPECT_THAT(look_.unsure, IsEmpty());
  EXPECT_FALSE(look_.needs_reads);
}

// As the 201st namespace of a node.
TEST_F(RolloutWatchTest, ANamespaceThatIsCountedWithOthersIsJudgedWithThemAndNeverSure) {
  watch_.BeginStage(false);
  Look();
  Count("other", 1, 9000, 1000);
  Count("other", 2, 1800, 200);
  EXPECT_EQ(Look(), 0);
  EXPECT_THAT(look_.unsure, ElementsAre("task (counted with others)"));
  EXPECT_TRUE(look_.needs_reads);
  Count("other", 1, 9000, 1000);
  Count("other", 2, 200, 1800);
  EXPECT_EQ(Look(), 1);
  EXPECT_EQ(look_.readings[0].namespace_(), "other");
}

TEST(ChangedNamespacesTest, AChangeOfTheRestIsOfAllThatAreNotNamed) {
  const ChangedNamespaces named(Table("a: {ttl: 5s}\nb: {ttl: 6s}"),
                                Table("a: {ttl: 5s}\nb: {ttl: 7s}"));
  EXPECT_FALSE(named.Has("a"));
  EXPECT_TRUE(named.Has("b"));
  EXPECT_FALSE(named.Has("c"));
  const ChangedNamespaces rest(Table("a: {ttl: 5s}\nb: {ttl: 6s}"),
                               Table("a: {ttl: 5s}\nb: {ttl: 7s}\n\"*\": {ttl: 3s}"));
  EXPECT_FALSE(rest.Has("a"));
  EXPECT_TRUE(rest.Has("b"));
  EXPECT_TRUE(rest.Has("c"));
  EXPECT_TRUE(ChangedNamespaces().Has("a"));
}

TEST(PolicyDiffTest, SaysWhatChangesAndWhatWaitsForAllSlots) {
  const auto changes =
      DiffPolicies(Table("task: {ttl: 5m, max_entries: 10}\nsame: {ttl: 9s}"),
                   Table("task: {ttl: 1s, max_entries: 20}\nsame: {ttl: 9s}\nnew: {ttl: 2s}"));
  EXPECT_EQ(DiffText(changes, 1000),
            "new.ttl: 1h -> 2s\ntask.ttl: 5m -> 1s\n"
            "task.max_entries: 10 -> 20 (when it is in all slots)\n");
  EXPECT_EQ(DiffText(changes, 20), "new.ttl: 1h -> 2s\n... and 2 more\n");
}

TEST(PolicyDiffTest, ALifeThatIsLongerThanAStageIsToldOf) {
  const PolicyTable before = Table("task: {ttl: 5m}\nshort: {ttl: 10s}\nroom: {max_entries: 10}");
  const auto changes =
      DiffPolicies(before, Table("task: {ttl: 1s}\nshort: {ttl: 9s}\nroom: {max_entries: 20}"));
  EXPECT_EQ(ShortHoldText(changes, before, absl::Minutes(5)), "");
  EXPECT_EQ(ShortHoldText(changes, before, absl::Seconds(30)),
            "warning: task: a stage of 30s is shorter than the ttl so far, 5m: what is cached "
            "keeps its life, so that guards see little of the new one\n");
}

}  // namespace
}  // namespace meridian
