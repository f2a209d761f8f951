// PolicyRollouts when somebody asks twice, the leader changes, the store forgets, or too little is
// read to judge by.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/unit/server/rollout/rollout_fixture.h"

namespace meridian {
namespace {

using coordinator::v1::ApplyPolicyRequest;
using coordinator::v1::Rollout;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PolicyRolloutsFaultsTest : public RolloutFixture {
 protected:
  // What the store has now, to put back later: as a replica that had not heard of what came after.
  void TakeStore() {
    for (const char* key : {"policy/state", "policy/assignment", "policy/memory"}) {
      taken_[key] = store_.Value(key).value_or("");
    }
  }
  void PutStoreBack() {
    for (const auto& [key, value] : taken_) store_.SetValue(key, value);
  }
  ApplyPolicyRequest InAllSlots(const std::string& yaml) {
    ApplyPolicyRequest request;
    request.set_yaml(yaml);
    request.mutable_plan()->add_percents(100);
    return request;
  }

  std::map<std::string, std::string> taken_;
};

TEST_F(PolicyRolloutsFaultsTest, APromotionThatIsAskedForTwiceSkipsNoStage) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  ASSERT_EQ(process->Control(2, true, 10)->percent(), 50u);
  const auto again = process->Control(2, true, 10);
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(again.status().message()),
              HasSubstr("ROLLOUT_MOVED: version 2 is in 50 % of the slots by now, not in 10 %"));
  EXPECT_EQ(process->Newest().percent(), 50u);
  EXPECT_EQ(process->Control(2, true, 50)->percent(), 100u);
}

// The answer that says so is lost in the store's.
TEST_F(PolicyRolloutsFaultsTest, APromotionThatIsNotStoredYetIsNotRepeatedByAskingAgain) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  process->view->SetReachable(false);
  EXPECT_EQ(process->Control(2, true, 10).status().code(), absl::StatusCode::kUnavailable);
  process->view->SetReachable(true);
  EXPECT_EQ(process->Control(2, true, 10).status().code(), absl::StatusCode::kAborted);
  process->executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(process->assigned.back()->trial_percent(), 50u);
}

TEST_F(PolicyRolloutsFaultsTest, Requirement0_21_ANewLeaderSeesABreachInAllSlots) {
  auto first = StartWithFirst();
  ASSERT_TRUE(first->Apply(kSecond).ok());
  Pass(*first, 2 * (kHold + 3 * kLook));
  ASSERT_EQ(first->Newest().percent(), 100u);
  first->Die();
  figures_.table.clear();  // A new leader's sums begin at 0.
  auto second = Start("c2");
  Pass(*second, kLook);
  Pass(*second, kLook, 0.3);
  EXPECT_EQ(second->Newest().state(), coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
  EXPECT_THAT(second->Newest().reason(), HasSubstr("task: hit_rate 0.3, the others 0.95"));
}

TEST_F(PolicyRolloutsFaultsTest,
       Requirement0_21_ANewLeaderKnowsWhatWasBeforeThoughNobodyLookedSince) {
  auto first = StartWithFirst();
  Count(1, 9500, 500);
  ASSERT_TRUE(first->Apply(InAllSlots(kSecond)).ok());
  first->Die();
  figures_.table.clear();
  auto second = Start("c2");
  Pass(*second, kLook);
  Pass(*second, kLook, 0.3);
  EXPECT_EQ(second->Newest().state(), coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
}

TEST_F(PolicyRolloutsFaultsTest, Requirement0_21_ANewLeaderKnowsWhatWasBeforeTheLastStageBegan) {
  auto first = StartWithFirst();
  ASSERT_TRUE(first->Apply(kSecond).ok());
  Pass(*first, 2 * kLook);
  ASSERT_TRUE(first->Control(2, true).ok());
  ASSERT_TRUE(first->Control(2, true).ok());
  first->Die();
  figures_.table.clear();
  auto second = Start("c2");
  Pass(*second, kLook);
  Pass(*second, kLook, 0.3);
  EXPECT_EQ(second->Newest().state(), coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
}

TEST_F(PolicyRolloutsFaultsTest, TimeInWhichNobodyLookedIsNotHeld) {
  auto first = StartWithFirst();
  ASSERT_TRUE(first->Apply(kSecond).ok());
  Pass(*first, kLook);
  first->Die();
  first->executor.RunFor(2 * kHold);  // No leader.
  auto second = Start("c2");
  Pass(*second, 3 * kLook);
  EXPECT_EQ(second->Newest().percent(), 10u);
  EXPECT_THAT(second->Newest().waits_for(), HasSubstr("its hold time: watched 20s of 10m"));
  Pass(*second, kHold);
  EXPECT_EQ(second->Newest().percent(), 50u);
}

TEST_F(PolicyRolloutsFaultsTest, TooFewReadsHoldAStageUpForThreeHoldTimesAndAreNamed) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  const auto read_few = [&](absl::Duration time) {
    for (absl::Duration passed; passed < time; passed += kLook) {
      Count(1, 2, 0);
      Count(2, 1, 0);
      process->executor.RunFor(kLook);
      process->Follow();
    }
  };
  read_few(2 * kHold);
  EXPECT_EQ(process->Newest().percent(), 10u);
  EXPECT_THAT(process->Newest().waits_for(),
              HasSubstr("more reads: the guards were not sure of: task (119 reads, 238 to compare "
                        "with, of 1000); watched 19m50s of 30m, then it goes on without"));
  read_few(kHold + 2 * kLook);
  const Rollout rollout = process->Newest();
  EXPECT_EQ(rollout.percent(), 50u);
  EXPECT_THAT(rollout.events(1).reason(), HasSubstr("the guards were not sure of: task ("));
}

TEST_F(PolicyRolloutsFaultsTest, WhatNobodyReadsHoldsUpNobodyAndIsNamed) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply("namespaces: {task: {ttl: 1s}, idle: {ttl: 2s}}").ok());
  Pass(*process, kHold + 2 * kLook);
  const Rollout rollout = process->Newest();
  EXPECT_EQ(rollout.percent(), 50u);
  EXPECT_EQ(rollout.events(1).reason(), "the guards were not sure of: idle (not read)");
}

TEST_F(PolicyRolloutsFaultsTest, AGoodVersionIsDoneBecauseTheGuardsWereSure) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  for (int stage = 0; stage < 3; ++stage) {
    Pass(*process, kHold + kLook);
    const Rollout rollout = process->Newest();
    for (const auto& reading : rollout.readings()) EXPECT_TRUE(reading.sure()) << stage;
    EXPECT_EQ(rollout.readings_size(), 3);
  }
  const Rollout rollout = process->Newest();
  EXPECT_EQ(rollout.state(), coordinator::v1::ROLLOUT_STATE_DONE);
  for (const auto& event : rollout.events()) EXPECT_THAT(event.reason(), IsEmpty());
  EXPECT_EQ(rollout.waits_for(), "");
}

TEST_F(PolicyRolloutsFaultsTest, AStageThatIsShorterThanTheLifeOfWhatIsCachedIsWarnedOf) {
  auto process = StartWithFirst();
  ApplyPolicyRequest request;
  request.set_yaml(kSecond);
  request.mutable_plan()->set_hold_ms(60'000);
  request.set_dry_run(true);
  EXPECT_THAT(process->Apply(request)->diff(),
              HasSubstr("warning: task: a stage of 1m is shorter than the ttl so far, 5m"));
  request.set_dry_run(false);
  EXPECT_THAT(process->Apply(request)->rollout().diff(), HasSubstr("warning: task"));
}

TEST_F(PolicyRolloutsFaultsTest, AStoreThatLostEverythingTakesNothingFromTheNodes) {
  auto process = Start("c1");
  process->Follow(41);
  EXPECT_THAT(process->assigned, IsEmpty());
  const auto refused = process->Apply(kSecond);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("POLICY_STATE_LOST"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--plan 100"));
  EXPECT_THAT(std::string(process->Get(0).status().message()), HasSubstr("POLICY_STATE_LOST"));
  EXPECT_THAT(process->assigned, IsEmpty());

  Count(7, 1000, 0);  // The nodes use version 7.
  const auto whole = process->Apply(InAllSlots(kSecond));
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->rollout().policy_version(), 8u + PolicyRollouts::kMaxVersions)
      << "8 may have come and gone";
  EXPECT_GT(process->assigned.back()->revision(), 41u);
  EXPECT_TRUE(process->Get(0).ok());
}

// A node that was elsewhere, or is broken, takes nothing back and stops nothing.
TEST_F(PolicyRolloutsFaultsTest, OneNodeThatSaysTooMuchTakesNoRolloutBack) {
  auto process = StartWithFirst();
  process->rollouts->SetNodes({"n1", "n2", "n3"});
  ASSERT_TRUE(process->Apply(kSecond).ok());
  const uint64_t revision = process->assigned.back()->revision();
  const auto say = [&](const std::string& node, uint64_t said) {
    coordinator::v1::PolicyReport report;
    report.set_revision(said);
    process->rollouts->Report(node, report);
    process->executor.RunDue();
  };
  say("n2", revision);
  say("n3", (uint64_t{1} << 62) - 1);
  say("n3", (uint64_t{1} << 61));
  EXPECT_EQ(process->assigned.back()->revision(), revision) << "no node can follow that";
  const uint64_t high = (uint64_t{1} << 61) - 1;
  say("n3", high);
  EXPECT_EQ(process->Newest().state(), coordinator::v1::ROLLOUT_STATE_RUNNING);
  EXPECT_EQ(process->assigned.back()->revision(), high + 1) << "that one is to follow, too";
  ASSERT_TRUE(process->Control(2, true).ok());
  EXPECT_EQ(process->assigned.back()->revision(), high + 2) << "there is room";
  EXPECT_EQ(process->assigned.back()->trial_percent(), 50u);
}

// Defects once: whoever followed such a revision was not heard, and no stage of any rollout ended.
TEST_F(PolicyRolloutsFaultsTest, WhoFollowsARevisionThatWasGivenOutIsHeardHoweverHighItIs) {
  auto process = StartWithFirst();
  process->rollouts->SetNodes({"n1", "n2"});
  coordinator::v1::PolicyReport report;
  report.set_revision((uint64_t{1} << 61) - 1);
  process->rollouts->Report("n2", report);  // It is broken.
  process->executor.RunDue();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  const uint64_t high = process->assigned.back()->revision();
  ASSERT_GT(high, uint64_t{1} << 61);
  EXPECT_EQ(process->Newest().behind().count("n1"), 0u) << "it follows";
  report.set_revision(high);
  process->rollouts->Report("n2", report);
  EXPECT_THAT(process->Newest().behind(), IsEmpty());
  report.set_revision(high + 1);
  process->rollouts->Report("n1", report);
  process->executor.RunDue();
  EXPECT_EQ(process->assigned.back()->revision(), high) << "nobody gave that one out";
}

TEST_F(PolicyRolloutsFaultsTest, RevisionsOfTheHighestTokensLeaveRoomForHigherOnes) {
  for (const uint64_t token : {uint64_t{1} << 29, uint64_t{1} << 30, uint64_t{1} << 62}) {
    store_.Empty();
    RolloutProcess process(clock_, store_, figures_, known_, "c1");
    process.rollouts->SetNodes({"n1"});
    process.Acquire(token);
    process.Follow();
    ASSERT_TRUE(process.Apply(InAllSlots(kFirst)).ok()) << token;
    const uint64_t revision = process.assigned.back()->revision();
    EXPECT_LT(revision, uint64_t{1} << 61) << token;
    process.Follow(revision + 7);
    EXPECT_EQ(process.assigned.back()->revision(), revision + 8) << token;
  }
}

TEST_F(PolicyRolloutsFaultsTest, ThatTheStoreWentBackHalfOfTheNodesSay) {
  auto first = StartWithFirst();
  ASSERT_TRUE(first->Apply(kSecond).ok());
  const uint64_t followed = first->assigned.back()->revision() + 1;
  first->Die();
  RolloutProcess second(clock_, store_, figures_, known_, "c2");
  second.rollouts->SetNodes({"n1", "n2", "n3", "n4"});
  second.Acquire();
  coordinator::v1::PolicyReport report;
  report.set_revision(followed);
  second.rollouts->Report("n1", report);
  second.executor.RunDue();
  EXPECT_EQ(second.Newest().state(), coordinator::v1::ROLLOUT_STATE_RUNNING) << "one of four";
  EXPECT_THAT(second.assigned,
              testing::Each(testing::Pointee(testing::Property(
                  &coordinator::v1::PolicyAssignment::revision, testing::Lt(followed)))))
      << "it is not tried again before the others were heard";
  second.rollouts->Report("n2", report);
  second.executor.RunDue();
  EXPECT_EQ(second.Newest().state(), coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
}

// An empty store may be a store that was emptied: what the nodes follow says which.
TEST_F(PolicyRolloutsFaultsTest, BeforeEveryNodeHasSaidWhatItFollowsAnEmptyStoreSaysNothing) {
  RolloutProcess process(clock_, store_, figures_, known_, "c1");
  process.rollouts->SetNodes({});
  process.Acquire();
  for (const ApplyPolicyRequest& request : {InAllSlots(kSecond), InAllSlots(kFirst)}) {
    const auto refused = process.ApplyUnheard(request);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.status().message()),
                HasSubstr("POLICY_STATE_UNKNOWN: the store has no policies"));
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr("no node has said"));
  }
  process.rollouts->SetNodes({"n1", "n2"});
  process.Follow(41);
  EXPECT_THAT(std::string(process.ApplyUnheard(InAllSlots(kSecond)).status().message()),
              HasSubstr("POLICY_STATE_UNKNOWN: the store has no policies, which may be because it "
                        "lost them, and node n2 has not said yet"));
  process.rollouts->Report("n2", {});
  known_ = false;
  EXPECT_THAT(std::string(process.ApplyUnheard(InAllSlots(kSecond)).status().message()),
              HasSubstr("POLICY_STATE_UNKNOWN"))
      << "a number may be used a second time";
  known_ = true;
  EXPECT_THAT(process.assigned, IsEmpty()) << "nothing was begun";
  EXPECT_TRUE(process.ApplyUnheard(InAllSlots(kSecond)).ok());
}

TEST_F(PolicyRolloutsFaultsTest, NobodySaysThatNothingIsInForceBeforeTheNodesHaveSpoken) {
  RolloutProcess process(clock_, store_, figures_, known_, "c1");
  process.rollouts->SetNodes({"n1", "n2"});
  process.Acquire();
  EXPECT_THAT(std::string(process.Get(0).status().message()),
              HasSubstr("POLICY_STATE_UNKNOWN: the store has no policies"));
  process.rollouts->Report("n1", {});
  process.rollouts->Report("n2", {});
  const auto nothing = process.Get(0);
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  EXPECT_EQ(nothing->policy().version(), 0u) << "the nodes' own files";
}

TEST_F(PolicyRolloutsFaultsTest, ARegionWithoutNodesIsGivenPoliciesWhenNobodyHasComeForAWhile) {
  RolloutProcess process(clock_, store_, figures_, known_, "c1");
  process.rollouts->SetNodes({});
  process.Acquire();
  process.executor.RunFor(PolicyRollouts::kMostHearing);
  EXPECT_TRUE(process.ApplyUnheard(InAllSlots(kSecond)).ok());
}

// Who is to own slots waits for the policies; not for ever, and not when there are none.
TEST_F(PolicyRolloutsFaultsTest, WhatIsInForceIsKnownWhenItIsReadOrSoonAfter) {
  EXPECT_TRUE(Start("c1")->rollouts->Knows());
  RolloutProcess process(clock_, store_, figures_, known_, "c2");
  EXPECT_FALSE(process.rollouts->Knows()) << "it does not lead";
  process.view->FailGets(1000);
  process.rollouts->Lead(7);
  process.executor.RunFor(PolicyRollouts::kMostLoading - absl::Milliseconds(10));
  EXPECT_FALSE(process.rollouts->Knows());
  process.executor.RunFor(absl::Milliseconds(10));
  EXPECT_TRUE(process.rollouts->Knows());
  EXPECT_FALSE(process.rollouts->List().ok()) << "it is not read";
}

TEST_F(PolicyRolloutsFaultsTest, AVersionThatWasTakenBackIsNotTriedAgainWhenTheStoreForgets) {
  auto first = StartWithFirst();
  ASSERT_TRUE(first->Apply(kSecond).ok());
  TakeStore();
  ASSERT_TRUE(first->Control(2, false).ok());
  const uint64_t followed = first->assigned.back()->revision();
  first->Die();
  PutStoreBack();
  auto second = Start("c2");
  second->Follow(followed);
  EXPECT_EQ(second->Newest().state(), coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
  EXPECT_THAT(second->Events(2), ElementsAre("applied 10 operator", "rolled_back 0 store"));
  EXPECT_FALSE(second->assigned.back()->has_trial());
  EXPECT_EQ(second->assigned.back()->base().version(), 1u);
  EXPECT_GT(second->assigned.back()->revision(), followed);
}

TEST_F(PolicyRolloutsFaultsTest, ARevisionIsNeverGivenOutAgainForSomethingElse) {
  auto first = StartWithFirst();
  TakeStore();
  ASSERT_TRUE(first->Apply(kSecond).ok());
  const uint64_t forgotten = first->assigned.back()->revision();
  first->Die();
  PutStoreBack();
  auto second = Start("c2");
  ASSERT_TRUE(second->Apply("namespaces: {task: {ttl: 9s}}").ok());
  EXPECT_GT(second->assigned.back()->revision(), forgotten)
      << "a node that follows what was forgotten would take it for what it has";
}

}  // namespace
}  // namespace meridian
