// A node that starts while no coordinator answers, and the store of the coordinators.

#include "server/membership/stored_policies.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/membership/coordinator_client.h"
#include "tests/support/fake_coordinator_transport.h"
#include "tests/unit/server/rollout/rollout_fixture.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StoredPoliciesTest : public RolloutFixture {
 protected:
  void StartNode(bool reachable = true) {
    view_ = store_.ViewFor(executor_);
    view_->SetReachable(reachable);
    stored_ = std::make_unique<StoredPolicies>(*view_, executor_, follower_, [this] { ++done_; });
    stored_->Start();
    executor_.RunDue();
  }

  FakeExecutor executor_{clock_};
  std::unique_ptr<FakeLeaseStore::View> view_;
  std::unique_ptr<StoredPolicies> stored_;
  std::vector<uint64_t> followed_;  // Versions.
  PolicyFollower follower_{std::make_shared<const PolicyTable>(),
                           [this](const PolicySet& set) { followed_.push_back(set.base_version); }};
  int done_ = 0;
};

TEST_F(StoredPoliciesTest, WhatTheLeaderHasStoredIsFollowed) {
  auto leader = StartWithFirst();
  const uint64_t revision = leader->assigned.back()->revision();
  leader->Die();
  StartNode();
  EXPECT_THAT(followed_, ElementsAre(1));
  EXPECT_EQ(follower_.Status().revision, revision);
  EXPECT_EQ(done_, 1);
}

TEST_F(StoredPoliciesTest, AStoreThatIsAwayIsAskedAgain) {
  StartWithFirst()->Die();
  StartNode(/*reachable=*/false);
  executor_.RunFor(10 * StoredPolicies::kRetry);
  EXPECT_THAT(followed_, IsEmpty());
  EXPECT_EQ(done_, 0);
  view_->SetReachable(true);
  executor_.RunFor(StoredPolicies::kRetry);
  EXPECT_THAT(followed_, ElementsAre(1));
  executor_.RunFor(10 * StoredPolicies::kRetry);
  EXPECT_EQ(done_, 1);
}

// A node whose coordinator answers with what is in `reply`.
class StoredPoliciesOfConnectedNodeTest : public StoredPoliciesTest {
 protected:
  static AssignedPolicies Assigned() {
    AssignedPolicies assigned;
    assigned.revision = 7;
    assigned.base = {.version = 5, .yaml = kFirst};
    return assigned;
  }
  void Connect(CoordinatorReply reply) {
    CoordinatorClientOptions options;
    options.coordinators = {"c:1"};
    options.region = "us";
    options.policies = &follower_;
    client_ =
        std::make_unique<CoordinatorClient>(options, clock_, executor_, transport_, topology_);
    client_->Start(Member{});
    executor_.RunDue();
    transport_.last().events.on_reply(std::move(reply));
    executor_.RunDue();
    ASSERT_TRUE(client_->status().connected);
  }

  FakeCoordinatorTransport transport_;
  TopologyHolder topology_;
  std::unique_ptr<CoordinatorClient> client_;
};

TEST_F(StoredPoliciesOfConnectedNodeTest, ACoordinatorThatHasSaidItsPoliciesCountsMore) {
  StartWithFirst()->Die();
  CoordinatorReply reply;
  reply.policies = Assigned();
  Connect(std::move(reply));
  StartNode();
  EXPECT_THAT(followed_, ElementsAre(5));
  EXPECT_EQ(done_, 1);
}

TEST_F(StoredPoliciesOfConnectedNodeTest, OneThatIsConnectedAndHasSaidNothingDoesNot) {
  StartWithFirst()->Die();
  Connect(CoordinatorReply());
  StartNode();
  EXPECT_THAT(followed_, ElementsAre(1));
  EXPECT_EQ(done_, 1);
}

TEST_F(StoredPoliciesOfConnectedNodeTest, WhatItSaysWhileTheStoreIsAwayEndsTheAsking) {
  StartWithFirst()->Die();
  Connect(CoordinatorReply());
  StartNode(/*reachable=*/false);
  executor_.RunFor(StoredPolicies::kRetry);
  EXPECT_EQ(done_, 0);
  CoordinatorReply reply;
  reply.policies = Assigned();
  transport_.last().events.on_reply(std::move(reply));
  executor_.RunFor(StoredPolicies::kRetry);
  EXPECT_THAT(followed_, ElementsAre(5));
  EXPECT_EQ(done_, 1);
}

TEST_F(StoredPoliciesTest, WhereNothingIsStoredOrJunkTheFileCounts) {
  StartNode();
  EXPECT_EQ(done_, 1);
  for (const std::string& junk :
       {std::string("\xff\xff\xff"), std::string(2 << 20, 'x'), std::string()}) {
    store_.SetValue("policy/assignment", junk);
    StartNode();
  }
  EXPECT_EQ(done_, 4);
  EXPECT_THAT(followed_, IsEmpty());
}

}  // namespace
}  // namespace meridian
