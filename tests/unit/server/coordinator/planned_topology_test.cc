// Topologies that wait for a hand-off: what is planned, for whom it waits, and what does not wait.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/coordinator/cluster_membership.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kTick = absl::Milliseconds(50);
constexpr absl::Duration kHandOff = absl::Seconds(5);

class PlannedTopologyTest : public ::testing::Test {
 protected:
  NodeReport ReportOf(const std::string& id, MemberState state = MemberState::kJoining) {
    NodeReport report;
    report.member.id = id;
    report.member.data_address = "127.0.0.1:7400";
    report.member.peer_address = "127.0.0.1:7401";
    report.member.incarnation = incarnation_[id] + 1;
    report.member.state = state;
    report.epoch = published_.empty() ? 0 : published_.back().epoch();
    report.handed_off_epoch = handed_off_[id];
    return report;
  }
  // Nodes that have registered beat every tick, unless they are silent.
  void RunFor(absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += kTick) {
      now_ += kTick;
      for (const auto& [id, state] : beating_) {
        EXPECT_TRUE(membership_.Heartbeat(ReportOf(id, state), now_).ok()) << id;
      }
      Tick();
    }
  }
  void Tick() {
    if (std::optional<Topology> topology = membership_.Tick(now_); topology.has_value()) {
      EXPECT_TRUE(published_.empty() || topology->epoch() > published_.back().epoch());
      published_.push_back(*std::move(topology));
    }
  }
  void Join(const std::vector<std::string>& ids) {
    for (const std::string& id : ids) {
      ASSERT_TRUE(membership_.Register(ReportOf(id), ++sessions_[id], now_).ok());
      beating_[id] = MemberState::kServing;
    }
    RunFor(absl::Milliseconds(200));
  }
  void HandOver(const std::vector<std::string>& ids) {
    ASSERT_NE(membership_.planned(), nullptr);
    for (const std::string& id : ids) handed_off_[id] = membership_.planned()->epoch();
    RunFor(kTick);
  }
  static std::vector<std::string> Owners(const Topology& topology) {
    std::vector<std::string> ids;
    for (const Member& member : topology.members()) {
      if (!topology.SlotsOf(member.id).empty()) ids.push_back(member.id);
    }
    return ids;
  }

  ClusterMembership membership_{MembershipOptions{.region = "us", .hand_off = kHandOff}};
  absl::Duration now_ = absl::Seconds(50);
  std::map<std::string, uint64_t> sessions_;
  std::map<std::string, uint64_t> incarnation_;
  std::map<std::string, uint64_t> handed_off_;
  std::map<std::string, MemberState> beating_;
  std::vector<Topology> published_;
};

TEST_F(PlannedTopologyTest, AJoinWaitsUntilThoseWhoLoseSlotsHaveHandedOver) {
  Join({"a", "b"});
  ASSERT_EQ(published_.size(), 1u) << "nobody had anything";
  Join({"c"});
  RunFor(absl::Seconds(1));
  ASSERT_NE(membership_.planned(), nullptr);
  EXPECT_THAT(Owners(*membership_.planned()), ElementsAre("a", "b", "c"));
  EXPECT_EQ(published_.size(), 1u);
  HandOver({"a"});
  EXPECT_EQ(published_.size(), 1u) << "b has not";
  const uint64_t planned = membership_.planned()->epoch();
  HandOver({"b"});
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_EQ(published_[1].epoch(), planned);
  EXPECT_THAT(Owners(published_[1]), ElementsAre("a", "b", "c"));
  EXPECT_EQ(membership_.planned(), nullptr);
  EXPECT_EQ(membership_.hand_offs(), 1u);
  EXPECT_EQ(membership_.late_hand_offs(), 0u);
}

TEST_F(PlannedTopologyTest, WhoDrainsHandsOverToTheOthersAndThenLeaves) {
  Join({"a", "b", "c"});
  beating_["c"] = MemberState::kDraining;
  RunFor(absl::Seconds(1));
  ASSERT_NE(membership_.planned(), nullptr);
  EXPECT_THAT(Owners(*membership_.planned()), ElementsAre("a", "b"));
  HandOver({"c"});
  ASSERT_EQ(published_.size(), 2u);
  beating_.erase("c");
  membership_.Disconnect("c", sessions_["c"], now_);
  Tick();
  EXPECT_EQ(published_.size(), 3u) << "no slot moves any more: nothing to wait for";
}

TEST_F(PlannedTopologyTest, TheDeadlineFailsOpen) {
  Join({"a"});
  Join({"b"});
  RunFor(kHandOff - absl::Seconds(1));
  EXPECT_EQ(published_.size(), 1u);
  RunFor(absl::Seconds(1));
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_EQ(membership_.late_hand_offs(), 1u);
}

TEST_F(PlannedTopologyTest, ACrashNeverWaitsAndTakesThePlanWithIt) {
  Join({"a", "b", "c"});
  Join({"d"});
  ASSERT_NE(membership_.planned(), nullptr);
  beating_.erase("b");
  RunFor(absl::Milliseconds(2100));
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_THAT(Owners(published_[1]), ElementsAre("a", "c", "d"));
  EXPECT_EQ(membership_.planned(), nullptr);
}

TEST_F(PlannedTopologyTest, WhoDiesWhileItDrainsIsNotWaitedFor) {
  Join({"a", "b", "c"});
  beating_["c"] = MemberState::kDraining;
  RunFor(kTick);
  ASSERT_NE(membership_.planned(), nullptr);
  beating_.erase("c");
  membership_.Disconnect("c", sessions_["c"], now_);
  Tick();
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_THAT(Owners(published_[1]), ElementsAre("a", "b"));
}

TEST_F(PlannedTopologyTest, ALaterChangeReplacesThePlanButGetsNoMoreTime) {
  Join({"a"});
  Join({"b"});
  const uint64_t first = membership_.planned()->epoch();
  RunFor(kHandOff - absl::Seconds(1));
  Join({"c"});
  ASSERT_NE(membership_.planned(), nullptr);
  EXPECT_GT(membership_.planned()->epoch(), first);
  handed_off_["a"] = first;  // Of the old plan: that is not enough.
  RunFor(kTick);
  EXPECT_EQ(published_.size(), 1u);
  RunFor(absl::Seconds(1));
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_THAT(Owners(published_[1]), ElementsAre("a", "b", "c"));
}

TEST_F(PlannedTopologyTest, WhoIsBackAfterARestartIsKnownAtOnce) {
  Join({"a", "b"});
  RunFor(absl::Milliseconds(1500));
  beating_.erase("b");
  RunFor(absl::Milliseconds(1100));
  ++incarnation_["b"];
  Join({"b"});
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_EQ(membership_.planned(), nullptr);
}

TEST_F(PlannedTopologyTest, TheWholeRegionMayLeaveAtOnce) {
  Join({"a", "b"});
  beating_["a"] = beating_["b"] = MemberState::kDraining;
  RunFor(absl::Seconds(1));
  ASSERT_EQ(published_.size(), 2u) << "nobody is left to hand over to";
  EXPECT_THAT(Owners(published_[1]), IsEmpty());
}

}  // namespace
}  // namespace meridian
