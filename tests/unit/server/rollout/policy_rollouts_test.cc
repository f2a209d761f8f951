// PolicyRollouts: stages, guards, history, whoever leads and whatever the store does.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/server/rollout/rollout_fixture.h"

namespace meridian {
namespace {

using coordinator::v1::ApplyPolicyRequest;
using coordinator::v1::Rollout;
using testing::ElementsAre;
using testing::HasSubstr;

class PolicyRolloutsTest : public RolloutFixture {};

TEST_F(PolicyRolloutsTest, Requirement0_20_AGoodVersionGoesFrom10To50To100Percent) {
  auto process = StartWithFirst();
  const auto started = process->Apply(kSecond);
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(started->diff(), "task.ttl: 5m -> 1s\n");
  EXPECT_EQ(process->assigned.back()->trial_percent(), 10u);
  EXPECT_EQ(process->assigned.back()->trial().yaml(), kSecond);
  EXPECT_EQ(process->assigned.back()->base().version(), 1u);
  Pass(*process, kHold - 2 * kLook);
  EXPECT_EQ(process->Newest().percent(), 10u);
  Pass(*process, 4 * kLook);
  EXPECT_EQ(process->Newest().percent(), 50u);
  Pass(*process, kHold + 2 * kLook);
  EXPECT_EQ(process->Newest().percent(), 100u);
  EXPECT_EQ(process->assigned.back()->trial_percent(), 100u);
  Pass(*process, kHold + 2 * kLook);
  EXPECT_EQ(process->Newest().state(), coordinator::v1::ROLLOUT_STATE_DONE);
  EXPECT_EQ(process->assigned.back()->base().version(), 2u);
  EXPECT_FALSE(process->assigned.back()->has_trial());
  EXPECT_THAT(process->Events(2), ElementsAre("applied 10 operator", "stage 50 hold time",
                                              "stage 100 hold time", "done 100 hold time"));
  EXPECT_EQ(process->Get(0)->policy().yaml(), kSecond);
}

TEST_F(PolicyRolloutsTest, Requirement0_21_ABreachTakesItBackEverywhereInOneInterval) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  Pass(*process, kLook);  // What the next is compared with.
  const size_t before = process->assigned.size();
  Pass(*process, kLook, 0.3);
  ASSERT_EQ(process->assigned.size(), before + 1);
  EXPECT_FALSE(process->assigned.back()->has_trial());
  EXPECT_EQ(process->assigned.back()->base().yaml(), kFirst);
  EXPECT_GT(process->assigned.back()->revision(), process->assigned[before - 1]->revision());
  const Rollout rollout = process->Newest();
  EXPECT_EQ(rollout.state(), coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
  EXPECT_THAT(rollout.reason(), HasSubstr("task: hit_rate 0.3, the others 0.95"));
  EXPECT_THAT(process->Events(2), ElementsAre("applied 10 operator", "rolled_back 0 hit_rate"));
  ASSERT_GT(rollout.readings_size(), 0);
  EXPECT_TRUE(rollout.readings(0).breached());
  EXPECT_EQ(rollout.readings(0).reads(), 2000u);
  EXPECT_EQ(process->rollouts->counters().breaches, 1u);
}

TEST_F(PolicyRolloutsTest, Requirement0_21_ABreachInAllSlotsIsSeenAgainstBefore) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  Pass(*process, 2 * (kHold + 3 * kLook));
  ASSERT_EQ(process->Newest().percent(), 100u);
  Count(2, 100, 1900);
  process->executor.RunFor(kLook);
  EXPECT_EQ(process->Newest().state(), coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
  EXPECT_EQ(process->assigned.back()->base().version(), 1u);
}

TEST_F(PolicyRolloutsTest, Requirement1_14_ByHandItGoesOnAndBack) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  EXPECT_EQ(process->Control(2, true)->percent(), 50u);
  const auto back = process->Control(2, false);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->state(), coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
  EXPECT_EQ(process->assigned.back()->base().version(), 1u);
  EXPECT_FALSE(process->assigned.back()->has_trial());
  EXPECT_THAT(std::string(process->Control(2, true).status().message()), HasSubstr("ROLLOUT_OVER"));
  EXPECT_THAT(std::string(process->Control(9, true).status().message()),
              HasSubstr("ROLLOUT_UNKNOWN"));
  EXPECT_THAT(std::string(process->Control(0, true).status().message()),
              HasSubstr("FIELD_INVALID: policy_version"));
}

TEST_F(PolicyRolloutsTest, WhoGoesOnOrBackWhereNothingWasAppliedIsToldHowToBegin) {
  EXPECT_THAT(std::string(Start("c1")->Control(0, false).status().message()),
              HasSubstr("ROLLOUT_UNKNOWN: there is no rollout: no version was ever applied; begin "
                        "one with `meridianctl policy apply FILE`"));
}

TEST_F(PolicyRolloutsTest, Requirement1_14_AVersionThatIsInAllSlotsGoesBackToTheOneBefore) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  for (int stage = 0; stage < 3; ++stage) ASSERT_TRUE(process->Control(2, true).ok());
  ASSERT_EQ(process->assigned.back()->base().version(), 2u);
  ASSERT_TRUE(process->Control(2, false).ok());
  EXPECT_EQ(process->assigned.back()->base().version(), 1u);
  EXPECT_EQ(process->assigned.back()->base().yaml(), kFirst);
  ASSERT_TRUE(process->Control(1, false).ok());
  EXPECT_EQ(process->assigned.back()->base().version(), 0u) << "the nodes' own files";
  EXPECT_EQ(process->assigned.back()->base().yaml(), "");
  EXPECT_EQ(process->Apply(kFirst)->rollout().policy_version(), 3u) << "numbers are used once";
}

TEST_F(PolicyRolloutsTest, TheNextLeaderGoesOn) {
  auto first = StartWithFirst();
  ASSERT_TRUE(first->Apply(kSecond).ok());
  Pass(*first, kHold / 2);
  first->Die();
  auto second = Start("c2");
  EXPECT_EQ(second->assigned.back()->trial_percent(), 10u);
  EXPECT_EQ(second->Newest().percent(), 10u);
  Pass(*second, kHold / 2 + 6 * kLook);
  EXPECT_EQ(second->Newest().percent(), 50u) << "the time under the first leader counts";
  EXPECT_EQ(second->Get(1)->policy().yaml(), kFirst);
  Pass(*second, kLook, 0.3);
  EXPECT_EQ(second->Newest().state(), coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
  EXPECT_EQ(first->assigned.back()->trial_percent(), 10u) << "the old one says nothing any more";
}

TEST_F(PolicyRolloutsTest, NobodyIsToldWhatIsNotStored) {
  auto process = StartWithFirst();
  const size_t before = process->assigned.size();
  process->view->SetReachable(false);
  EXPECT_EQ(process->Apply(kSecond).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(process->assigned.size(), before);
  process->view->SetReachable(true);
  process->executor.RunFor(absl::Seconds(1));
  EXPECT_EQ(process->assigned.back()->trial_percent(), 10u) << "it was tried again";
}

TEST_F(PolicyRolloutsTest, WithoutFiguresOrWithNodesBehindNoStageEndsByItself) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  known_ = false;
  Pass(*process, 2 * kHold);
  EXPECT_EQ(process->Newest().percent(), 10u);
  known_ = true;
  process->rollouts->SetNodes({"n1", "n2"});
  Pass(*process, 2 * kHold);
  EXPECT_EQ(process->Newest().percent(), 10u);
  EXPECT_EQ(process->Newest().behind().at("n2"), "has not said what it uses");
  coordinator::v1::PolicyReport report;
  report.set_problem("version 2:1: task.new_field: unknown");
  process->rollouts->Report("n2", report);
  EXPECT_EQ(process->Newest().behind().at("n2"), report.problem());
  EXPECT_EQ(process->Newest().behind().count("n1"), 0u);
  report.set_revision(process->assigned.back()->revision());
  process->rollouts->Report("n2", report);
  figures_.complete = false;
  Pass(*process, 2 * kLook);
  EXPECT_EQ(process->Newest().percent(), 10u) << "a node does not tell its figures";
  EXPECT_THAT(process->Newest().waits_for(), HasSubstr("the figures of every node"));
  figures_.complete = true;
  Pass(*process, kHold - kLook);
  EXPECT_EQ(process->Newest().percent(), 10u) << "nobody watched the time before";
  Pass(*process, 3 * kLook);
  EXPECT_EQ(process->Newest().percent(), 50u);
}

TEST_F(PolicyRolloutsTest, AStoreThatWentBackIsAheadOfTheNodesAgain) {
  auto process = StartWithFirst();
  const uint64_t revision = process->assigned.back()->revision();
  process->Follow(revision + 7);
  EXPECT_EQ(process->assigned.back()->revision(), revision + 8);
  EXPECT_EQ(process->assigned.back()->base().yaml(), kFirst);
}

TEST_F(PolicyRolloutsTest, BadInputIsRefusedWithFieldLineAndReason) {
  auto process = StartWithFirst();
  const auto problem = [&](const std::string& yaml) {
    const auto answer = process->Apply(yaml);
    EXPECT_FALSE(answer.ok()) << yaml;
    return std::string(answer.status().message());
  };
  EXPECT_THAT(problem("namespaces:\n  task:\n    ttl: soon"),
              HasSubstr("FIELD_INVALID: yaml: policies:3: namespaces.task.ttl: "));
  EXPECT_THAT(problem("namespaces: {task: {tll: 5s}}"), HasSubstr("did you mean ttl"));
  EXPECT_THAT(problem("listen: {}"), HasSubstr("policies:1: listen: unknown"));
  EXPECT_THAT(problem("[]"), HasSubstr("policies:1: file: must be a map"));
  EXPECT_THAT(problem("# nothing"), HasSubstr("says nothing"));
  EXPECT_THAT(problem(std::string(300'000, '#')), HasSubstr("at most 262144"));
  EXPECT_THAT(problem(kFirst), HasSubstr("POLICY_UNCHANGED: version 1"));
  ApplyPolicyRequest request;
  request.set_yaml(kSecond);
  request.set_comment(std::string(257, 'c'));
  EXPECT_THAT(std::string(process->Apply(request).status().message()),
              HasSubstr("FIELD_INVALID: comment: 257 bytes"));
  EXPECT_EQ(process->rollouts->List()->size(), 1u) << "nothing was begun";
}

TEST_F(PolicyRolloutsTest, ADryRunShowsTheDifferenceAndBeginsNothing) {
  auto process = StartWithFirst();
  ApplyPolicyRequest request;
  request.set_yaml(kSecond);
  request.set_dry_run(true);
  const auto answer = process->Apply(request);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->diff(), "task.ttl: 5m -> 1s\n");
  EXPECT_FALSE(answer->has_rollout());
  EXPECT_EQ(process->rollouts->List()->size(), 1u);
}

TEST_F(PolicyRolloutsTest, OneRolloutRunsAtATime) {
  auto process = StartWithFirst();
  ASSERT_TRUE(process->Apply(kSecond).ok());
  const auto again = process->Apply("namespaces: {task: {ttl: 2s}}");
  EXPECT_EQ(again.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(again.status().message()),
              HasSubstr("ROLLOUT_RUNNING: version 2 is in 10 % of the slots"));
}

TEST_F(PolicyRolloutsTest, TheHistoryIsBoundedAndKeepsWhatIsInForce) {
  auto process = StartWithFirst();
  for (int i = 0; i < PolicyRollouts::kMaxVersions + 20; ++i) {
    const auto started = process->Apply(absl::StrCat("namespaces: {task: {ttl: ", i + 2, "s}}"));
    ASSERT_TRUE(started.ok()) << started.status();
    ASSERT_TRUE(process->Control(started->rollout().policy_version(), false).ok());
  }
  EXPECT_EQ(process->rollouts->List()->size(), static_cast<size_t>(PolicyRollouts::kMaxVersions));
  EXPECT_EQ(process->Get(1)->policy().yaml(), kFirst) << "in force";
  EXPECT_THAT(std::string(process->Get(2).status().message()), HasSubstr("POLICY_UNKNOWN"));
  EXPECT_EQ(process->Newest().policy_version(), 121u);
}

}  // namespace
}  // namespace meridian
