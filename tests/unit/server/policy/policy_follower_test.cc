#include "server/policy/policy_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace meridian {
namespace {

using testing::HasSubstr;

std::shared_ptr<const PolicyTable> Own(absl::Duration ttl) {
  NamespacePolicy policy;
  policy.ttl = ttl;
  auto table = std::make_shared<PolicyTable>();
  table->Set("task", policy);
  return table;
}

class PolicyFollowerTest : public testing::Test {
 protected:
  absl::Duration BaseTtl() const { return applied_.back().base->Of("task").ttl; }
  absl::Duration TrialTtl() const { return applied_.back().trial->Of("task").ttl; }

  std::vector<PolicySet> applied_;
  PolicyFollower follower_{Own(absl::Seconds(300)),
                           [this](PolicySet set) { applied_.push_back(std::move(set)); }};
};

TEST_F(PolicyFollowerTest, TheCoordinatorsComeBeforeTheNodesOwn) {
  follower_.Follow({.revision = 3,
                    .base = {1, "namespaces: {task: {ttl: 5s}}"},
                    .trial = AssignedVersion{2, "namespaces: {task: {ttl: 1s}}"},
                    .trial_percent = 10});
  EXPECT_EQ(BaseTtl(), absl::Seconds(5));
  EXPECT_EQ(applied_.back().base_version, 1u);
  EXPECT_EQ(TrialTtl(), absl::Seconds(1));
  EXPECT_EQ(applied_.back().trial_version, 2u);
  EXPECT_EQ(applied_.back().trial_percent, 10u);
  EXPECT_EQ(follower_.Status().revision, 3u);
  const size_t before = applied_.size();
  follower_.SetOwn(Own(absl::Seconds(200)));
  EXPECT_EQ(applied_.size(), before) << "the file waits";
  follower_.Follow({.revision = 4, .base = {}, .trial = {}});
  EXPECT_EQ(BaseTtl(), absl::Seconds(200)) << "version 0 is the file as it is now";
  EXPECT_EQ(applied_.back().trial, nullptr);
  follower_.SetOwn(Own(absl::Seconds(100)));
  EXPECT_EQ(BaseTtl(), absl::Seconds(100));
}

TEST_F(PolicyFollowerTest, ATrialBesideTheOwnFileFollowsTheFile) {
  follower_.Follow({.revision = 1,
                    .base = {},
                    .trial = AssignedVersion{1, "namespaces: {task: {ttl: 1s}}"},
                    .trial_percent = 10});
  EXPECT_EQ(BaseTtl(), absl::Seconds(300));
  follower_.SetOwn(Own(absl::Seconds(100)));
  EXPECT_EQ(BaseTtl(), absl::Seconds(100));
  EXPECT_EQ(TrialTtl(), absl::Seconds(1));
}

TEST_F(PolicyFollowerTest, AnOlderAssignmentIsIgnored) {
  follower_.Follow({.revision = 5, .base = {2, "namespaces: {task: {ttl: 5s}}"}, .trial = {}});
  follower_.Follow({.revision = 4, .base = {1, "namespaces: {task: {ttl: 9s}}"}, .trial = {}});
  EXPECT_EQ(applied_.size(), 1u);
  EXPECT_EQ(BaseTtl(), absl::Seconds(5));
}

TEST_F(PolicyFollowerTest, WhatCannotBeReadChangesNothingAndIsReported) {
  follower_.Follow({.revision = 5, .base = {2, "namespaces: {task: {ttl: 5s}}"}, .trial = {}});
  follower_.Follow({.revision = 6,
                    .base = {2, "namespaces: {task: {ttl: 5s}}"},
                    .trial = AssignedVersion{3, "namespaces:\n  task: {of_tomorrow: 1}"},
                    .trial_percent = 10});
  EXPECT_EQ(applied_.size(), 1u);
  EXPECT_EQ(follower_.Status().revision, 5u);
  EXPECT_THAT(follower_.Status().problem, HasSubstr("version 3:2: namespaces.task.of_tomorrow"));
  follower_.Follow({.revision = 7, .base = {4, "namespaces: {task: {ttl: 6s}}"}, .trial = {}});
  EXPECT_EQ(BaseTtl(), absl::Seconds(6));
  EXPECT_EQ(follower_.Status().problem, "");
}

}  // namespace
}  // namespace meridian
