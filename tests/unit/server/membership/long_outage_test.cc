// Ten minutes without a coordinator, by a fake clock: what a node has of membership, policies and
// tickets stays as it was, and it asks no more often than it may.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/membership/coordinator_client.h"
#include "server/membership/node_drain.h"
#include "server/membership/rollout_ticket.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_coordinator_transport.h"
#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr absl::Duration kOutage = absl::Minutes(10);
constexpr absl::Duration kStep = absl::Milliseconds(50);

class LongOutageTest : public ::testing::Test {
 protected:
  LongOutageTest() {
    CoordinatorClientOptions options;
    options.coordinators = {"a:1", "b:2"};
    options.region = "us";
    options.policies = &follower_;
    options.hot_keys = [] { return std::vector<HotKey>{{"task", "k", 7}}; };
    client_ =
        std::make_unique<CoordinatorClient>(options, clock_, executor_, transport_, topology_);
    ticket_ = std::make_unique<RolloutTicket>("n1", *client_, transport_, clock_, executor_);
    drain_ = std::make_unique<NodeDrain>("n1", *client_, *ticket_, topology_, clock_, executor_,
                                         [] { return size_t{0}; });
    Member self;
    self.id = "n1";
    self.state = MemberState::kServing;
    client_->Start(self);
    executor_.RunDue();
    CoordinatorReply reply = {TopologyOf(7), absl::Milliseconds(500)};
    reply.policies = AssignedPolicies{.revision = 3,
                                      .base = {1, "namespaces: {task: {ttl: 5s}}"},
                                      .trial = AssignedVersion{2, "namespaces: {task: {ttl: 1s}}"},
                                      .trial_percent = 10};
    transport_.last().events.on_reply(std::move(reply));
    executor_.RunDue();
  }

  static Topology TopologyOf(uint64_t epoch) {
    std::vector<Member> members(2);
    members[0].id = "n1";
    members[1].id = "n2";
    members[0].state = members[1].state = MemberState::kServing;
    return *Topology::Create(epoch, "us", members);
  }
  // `fails`: who is asked ends the stream at once; else it never answers, as one that is frozen.
  void Pass(absl::Duration time, bool fails) {
    for (absl::Duration passed; passed < time; passed += kStep) {
      if (fails && transport_.last().open) {
        transport_.last().events.on_end({"UNAVAILABLE", "nobody listens", ""});
      }
      executor_.RunFor(kStep);
      EXPECT_EQ(topology_.Get(), before_) << "another topology";
    }
  }
  void CheckUnchanged(size_t applied) const {
    EXPECT_FALSE(client_->status().connected);
    EXPECT_EQ(topology_.Get()->epoch(), 7u);
    EXPECT_EQ(follower_.Status().revision, 3u);
    EXPECT_EQ(follower_.Status().base_version, 1u);
    EXPECT_EQ(follower_.Status().trial_percent, 10u);
    EXPECT_EQ(applied_, applied) << "policies were applied anew";
    EXPECT_THAT(transport_.tickets_asked, IsEmpty());
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeCoordinatorTransport transport_;
  TopologyHolder topology_;
  size_t applied_ = 0;
  PolicyFollower follower_{std::make_shared<const PolicyTable>(),
                           [this](PolicySet) { ++applied_; }};
  std::unique_ptr<CoordinatorClient> client_;
  std::unique_ptr<RolloutTicket> ticket_;
  std::unique_ptr<NodeDrain> drain_;
  TopologyHolder::Snapshot before_;
};

TEST_F(LongOutageTest, NothingOfANodeChangesWhileNobodyListens) {
  ASSERT_TRUE(client_->status().connected);
  ASSERT_EQ(applied_, 1u);
  before_ = topology_.Get();
  const size_t opened = transport_.opened.size();
  Pass(kOutage, /*fails=*/true);
  CheckUnchanged(1);
  // Both addresses about once a second: the longest pause, with its jitter.
  const size_t attempts = transport_.opened.size() - opened;
  EXPECT_GE(attempts, 800u);
  EXPECT_LE(attempts, 1600u);
  for (const NodeHeartbeat& sent : transport_.last().sent) {
    EXPECT_EQ(sent.member.state, MemberState::kServing);
    EXPECT_EQ(sent.epoch, 7u);
  }
}

TEST_F(LongOutageTest, NothingOfANodeChangesWhileCoordinatorsAreFrozen) {
  before_ = topology_.Get();
  Pass(kOutage, /*fails=*/false);
  CheckUnchanged(1);
}

TEST_F(LongOutageTest, WhoEndsMeanwhileWaitsForNobodyAndWhoDrainsIsToldWhy) {
  before_ = topology_.Get();
  Pass(kOutage, /*fails=*/true);
  std::vector<std::string> told;
  ticket_->Await(
      absl::Minutes(1), [] { return true; }, [&](const std::string& why) { told.push_back(why); });
  EXPECT_THAT(told, ElementsAre("")) << "its turn is now";
  drain_->Start(absl::Minutes(1),
                [&](const absl::Status& status) { told.push_back(status.ToString()); });
  EXPECT_THAT(told, ElementsAre("", StartsWith("UNAVAILABLE: NO_COORDINATOR: ")));
}

TEST_F(LongOutageTest, ACoordinatorThatComesBackIsFollowedWithinSeconds) {
  before_ = topology_.Get();
  Pass(kOutage, /*fails=*/true);
  const size_t opened = transport_.opened.size();
  for (int i = 0; i < 60 && transport_.opened.size() == opened; ++i) {
    executor_.RunFor(kStep);
  }
  ASSERT_GT(transport_.opened.size(), opened) << "nobody is asked any more";
  EXPECT_EQ(transport_.last().sent[0].policy_revision, 3u);
  transport_.last().events.on_reply({TopologyOf(8), absl::Milliseconds(500)});
  executor_.RunDue();
  EXPECT_TRUE(client_->status().connected);
  EXPECT_EQ(topology_.Get()->epoch(), 8u);
}

}  // namespace
}  // namespace meridian
