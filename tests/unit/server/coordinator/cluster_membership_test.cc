#include "server/coordinator/cluster_membership.h"

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kTick = absl::Milliseconds(50);

NodeReport Report(const std::string& id, uint64_t incarnation = 1, uint64_t epoch = 0,
                  MemberState state = MemberState::kJoining) {
  NodeReport report;
  report.member.id = id;
  report.member.data_address = "127.0.0.1:7400";
  report.member.peer_address = "127.0.0.1:7401";
  report.member.incarnation = incarnation;
  report.member.state = state;
  report.epoch = epoch;
  return report;
}

std::vector<std::string> Serving(const Topology& topology) {
  std::vector<std::string> ids;
  for (const Member& member : topology.members()) {
    if (member.state == MemberState::kServing) ids.push_back(member.id);
  }
  return ids;
}

class ClusterMembershipTest : public ::testing::Test {
 protected:
  // Ticks every 50 ms; nodes that beat are heard. Keeps what is published.
  void RunFor(absl::Duration duration, const std::vector<NodeReport>& beating = {}) {
    for (absl::Duration passed; passed < duration; passed += kTick) {
      now_ += kTick;
      for (const NodeReport& report : beating) {
        EXPECT_TRUE(membership_.Heartbeat(report, now_).ok()) << report.member.id;
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
  void Join(const std::vector<NodeReport>& reports) {
    for (const NodeReport& report : reports) {
      ASSERT_TRUE(membership_.Register(report, ++session_, now_).ok());
    }
    RunFor(absl::Milliseconds(200), reports);
  }

  ClusterMembership membership_{MembershipOptions{.region = "us"}};
  absl::Duration now_ = absl::Seconds(50);
  uint64_t session_ = 0;
  std::vector<Topology> published_;
};

TEST_F(ClusterMembershipTest, NodesThatStartTogetherMakeOneEpoch) {
  Join({Report("a"), Report("b"), Report("c")});
  ASSERT_EQ(published_.size(), 1u);
  EXPECT_EQ(published_[0].epoch(), 1u);
  EXPECT_EQ(published_[0].region(), "us");
  EXPECT_THAT(Serving(published_[0]), ElementsAre("a", "b", "c"));
}

TEST_F(ClusterMembershipTest, JoinsThatKeepComingDoNotDelayTheFirstForEver) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(membership_.Register(Report("n" + std::to_string(i)), ++session_, now_).ok());
    RunFor(kTick);
  }
  EXPECT_GE(published_.size(), 1u);
  EXPECT_LE(published_.size(), 3u);
}

TEST_F(ClusterMembershipTest, ASilentNodeIsGoneAfterTheFailureTimeout) {
  const NodeReport a = Report("a");
  Join({a, Report("b")});
  RunFor(absl::Milliseconds(1700), {a});
  EXPECT_EQ(published_.size(), 1u);
  RunFor(absl::Milliseconds(400), {a});
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_THAT(Serving(published_[1]), ElementsAre("a"));
  EXPECT_EQ(membership_.Heartbeat(Report("b"), now_).code(), absl::StatusCode::kNotFound);
  Join({Report("b", 2)});
  EXPECT_THAT(Serving(published_.back()), ElementsAre("a", "b"));
}

TEST_F(ClusterMembershipTest, TheLastTopologyStaysWhenEveryNodeIsSilent) {
  Join({Report("a"), Report("b")});
  RunFor(absl::Seconds(10));
  EXPECT_EQ(published_.size(), 1u);
  // Who comes back first is not alone with the dead.
  Join({Report("a", 2)});
  EXPECT_THAT(Serving(published_.back()), ElementsAre("a"));
}

TEST_F(ClusterMembershipTest, APauseOfTheCoordinatorIsNobodysSilence) {
  const NodeReport a = Report("a");
  const NodeReport b = Report("b");
  Join({a, b});
  now_ += absl::Seconds(30);
  ASSERT_TRUE(membership_.Heartbeat(a, now_).ok());  // b's is still in some queue.
  Tick();
  RunFor(absl::Milliseconds(500), {a, b});
  EXPECT_EQ(published_.size(), 1u);
}

TEST_F(ClusterMembershipTest, ADrainingNodeOwnsNothingAndIsGoneWithItsStream) {
  Join({Report("a"), Report("b")});
  ASSERT_TRUE(membership_.Heartbeat(Report("b", 1, 1, MemberState::kDraining), now_).ok());
  Tick();
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_THAT(Serving(published_[1]), ElementsAre("a"));
  EXPECT_EQ(published_[1].members().size(), 2u);
  EXPECT_THAT(membership_.TakeLeft(), IsEmpty()) << "it is still there";
  membership_.Disconnect("b", 2, now_);
  EXPECT_THAT(membership_.TakeLeft(), ElementsAre("b"));
  EXPECT_THAT(membership_.TakeLeft(), IsEmpty()) << "told once";
  Tick();
  ASSERT_EQ(published_.size(), 3u);
  EXPECT_EQ(published_[2].members().size(), 1u);
}

TEST_F(ClusterMembershipTest, WhoFallsSilentHasNotLeftProperly) {
  Join({Report("a"), Report("b")});
  membership_.Disconnect("b", 2, now_);
  RunFor(absl::Seconds(3), {Report("a")});
  ASSERT_EQ(membership_.Nodes(now_).size(), 1u);
  EXPECT_THAT(membership_.TakeLeft(), IsEmpty());
}

TEST_F(ClusterMembershipTest, OfWhoDrainedTheNextLeaderKnowsThatItMayLeave) {
  Join({Report("a"), Report("b"), Report("c")});
  ASSERT_TRUE(membership_.Heartbeat(Report("b", 1, 1, MemberState::kDraining), now_).ok());
  Tick();
  ClusterMembership next(MembershipOptions{.region = "us"});
  next.Restore(published_.back(), now_);
  for (absl::Duration passed; passed < absl::Seconds(2); passed += kTick) {
    now_ += kTick;
    next.Tick(now_);
  }
  EXPECT_THAT(next.TakeLeft(), ElementsAre("b")) << "without the grace that the others have";
  EXPECT_EQ(next.Nodes(now_).size(), 2u);
}

TEST_F(ClusterMembershipTest, ABrokenStreamOfAServingNodeOnlyCountsAsMissedHeartbeats) {
  const NodeReport a = Report("a");
  const NodeReport b = Report("b");
  Join({a, b});
  membership_.Disconnect("b", 2, now_);
  RunFor(absl::Seconds(1), {a});
  ASSERT_TRUE(membership_.Register(b, ++session_, now_).ok());
  RunFor(absl::Seconds(3), {a, b});
  EXPECT_EQ(published_.size(), 1u);
}

TEST_F(ClusterMembershipTest, TheEndOfAnOlderStreamDoesNotTakeTheNewOneAway) {
  Join({Report("a"), Report("b")});
  NodeReport drains = Report("b", 1, 1, MemberState::kDraining);
  ASSERT_TRUE(membership_.Register(drains, ++session_, now_).ok());
  membership_.Disconnect("b", 2, now_);
  EXPECT_TRUE(membership_.Heartbeat(drains, now_).ok());
}

TEST_F(ClusterMembershipTest, ARestartedProcessKeepsItsSlotsAndPublishesItsNewAddress) {
  const NodeReport a = Report("a");
  Join({a, Report("b")});
  const std::vector<uint32_t> slots = published_[0].SlotsOf("b");
  membership_.Disconnect("b", 2, now_);
  NodeReport again = Report("b", 2);
  again.member.data_address = "127.0.0.1:9999";
  ASSERT_TRUE(membership_.Register(again, ++session_, now_).ok());
  RunFor(absl::Milliseconds(200), {a, again});
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_EQ(published_[1].SlotsOf("b"), slots);
  EXPECT_EQ(published_[1].members()[1].data_address, "127.0.0.1:9999");
  EXPECT_EQ(membership_.Heartbeat(Report("b", 1), now_).code(), absl::StatusCode::kNotFound);
}

TEST_F(ClusterMembershipTest, TwoLiveProcessesCannotShareAnId) {
  const NodeReport first = Report("a", 1);
  Join({first});
  EXPECT_EQ(membership_.Register(Report("a", 2), ++session_, now_).code(),
            absl::StatusCode::kAlreadyExists);
  RunFor(absl::Seconds(1));  // The first one hangs: its stream is open, and silent.
  EXPECT_TRUE(membership_.Register(Report("a", 2), ++session_, now_).ok());
}

TEST_F(ClusterMembershipTest, MalformedNodesAreRefused) {
  const auto code = [this](const NodeReport& report) {
    return membership_.Register(report, ++session_, now_).code();
  };
  NodeReport bad = Report("a");
  bad.member.weight = 1001;
  EXPECT_EQ(code(bad), absl::StatusCode::kInvalidArgument);
  bad = Report("a");
  bad.member.peer_address = "nowhere";
  EXPECT_EQ(code(bad), absl::StatusCode::kInvalidArgument);
  bad = Report("a");
  bad.member.http_address = std::string(300, 'a') + ":80";
  EXPECT_EQ(code(bad), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Report("a", 1, ~uint64_t{0})), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Report("")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Report("Großbuchstaben")), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(membership_.Nodes(now_), IsEmpty());
}

TEST_F(ClusterMembershipTest, ANewLeaderKeepsTheMembersUnderAHigherEpoch) {
  Join({Report("a"), Report("b")});
  ClusterMembership next(MembershipOptions{.region = "us"});
  next.Restore(published_.back(), now_);
  std::optional<Topology> first = next.Tick(now_);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->epoch(), published_.back().epoch() + 1);
  EXPECT_EQ(first->members(), published_.back().members());
  // a finds the new leader, b does not.
  for (int i = 0; i < 200; ++i) {
    now_ += kTick;
    if (i == 60) {
      ASSERT_TRUE(next.Register(Report("a"), 1, now_).ok());
    } else if (i > 60) {
      ASSERT_TRUE(next.Heartbeat(Report("a"), now_).ok());
    }
    const std::optional<Topology> topology = next.Tick(now_);
    if (i < 115) {
      EXPECT_FALSE(topology.has_value()) << i;
    } else if (topology.has_value()) {
      EXPECT_THAT(Serving(*topology), ElementsAre("a"));
      EXPECT_EQ(topology->epoch(), first->epoch() + 1);
    }
  }
  EXPECT_EQ(next.epoch(), first->epoch() + 1);
}

TEST_F(ClusterMembershipTest, EpochsThatNodesReportArePassed) {
  Join({Report("a")});
  ASSERT_TRUE(membership_.Heartbeat(Report("a", 1, 70), now_).ok());
  Tick();
  EXPECT_EQ(published_.back().epoch(), 71u);
}

TEST_F(ClusterMembershipTest, ACoordinatorWithoutMemoryWaitsForTheOthersOfAnOldTopology) {
  const NodeReport a = Report("a", 1, 40);
  const NodeReport b = Report("b", 1, 40);
  ASSERT_TRUE(membership_.Register(a, ++session_, now_).ok());
  RunFor(absl::Seconds(3), {a});
  EXPECT_THAT(published_, IsEmpty());
  ASSERT_TRUE(membership_.Register(b, ++session_, now_).ok());
  RunFor(absl::Seconds(4), {a, b});
  ASSERT_EQ(published_.size(), 1u);
  EXPECT_EQ(published_[0].epoch(), 41u);
  EXPECT_THAT(Serving(published_[0]), ElementsAre("a", "b"));
}

// Whatever happens, in any order: epochs grow, members are known nodes, and who beats is a member.
TEST_F(ClusterMembershipTest, RandomHistoriesKeepTheInvariants) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    ClusterMembership membership(MembershipOptions{.region = "us"});
    uint64_t last_epoch = 0;
    std::vector<bool> alive(6, false);
    std::vector<uint64_t> incarnation(6, 1);
    std::optional<Topology> current;
    for (int step = 0; step < 600; ++step) {
      now_ += kTick;
      const size_t i = random() % 6;
      if (random() % 10 == 0) {
        alive[i] = !alive[i];
        if (alive[i]) {
          ++incarnation[i];
        } else if (random() % 2 == 0) {
          membership.Disconnect("n" + std::to_string(i), incarnation[i], now_);
        }
      }
      for (size_t n = 0; n < 6; ++n) {
        const NodeReport report = Report("n" + std::to_string(n), incarnation[n], last_epoch);
        if (alive[n] && !membership.Heartbeat(report, now_).ok()) {
          (void)membership.Register(report, incarnation[n], now_);
        }
      }
      if (std::optional<Topology> topology = membership.Tick(now_); topology.has_value()) {
        ASSERT_GT(topology->epoch(), last_epoch) << "seed " << seed;
        last_epoch = topology->epoch();
        current = std::move(topology);
      }
    }
    // At rest the topology is exactly who lives.
    for (int step = 0; step < 100; ++step) {
      now_ += kTick;
      alive[0] = true;
      for (size_t n = 0; n < 6; ++n) {
        const NodeReport report = Report("n" + std::to_string(n), incarnation[n], last_epoch);
        if (alive[n] && !membership.Heartbeat(report, now_).ok()) {
          (void)membership.Register(report, incarnation[n], now_);
        }
      }
      if (std::optional<Topology> topology = membership.Tick(now_); topology.has_value()) {
        last_epoch = topology->epoch();
        current = std::move(topology);
      }
    }
    std::vector<std::string> expected;
    for (size_t n = 0; n < 6; ++n) {
      if (alive[n]) expected.push_back("n" + std::to_string(n));
    }
    ASSERT_TRUE(current.has_value());
    EXPECT_EQ(Serving(*current), expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace meridian
