#include "server/coordinator/coordinator.h"

#include <memory>
#include <string>
#include <vector>

#include "common/rpc/topology_proto.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "meridian/cache/v1/types.pb.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

NodeReport Report(const std::string& id, uint64_t epoch = 0) {
  NodeReport report;
  report.member.id = id;
  report.member.data_address = "127.0.0.1:7400";
  report.member.peer_address = "127.0.0.1:7401";
  report.member.incarnation = 9;
  report.member.state = MemberState::kJoining;
  report.epoch = epoch;
  return report;
}

// One coordinator process with an executor of its own, so that it can be paused alone.
struct Process : Coordinator::Subscriber {
  Process(FakeClock& clock, FakeLeaseStore& store, const std::string& name)
      : executor(clock), view(store.ViewFor(executor)) {
    CoordinatorOptions options;
    options.id = name;
    options.membership.region = "us";
    options.lease.holder = name;
    coordinator = std::make_unique<Coordinator>(options, clock, executor, *view);
    coordinator->Subscribe(this);
    coordinator->Start(name + ":7410");
  }
  void OnTopology(const TopologyHolder::Snapshot& topology) override {
    seen.push_back(topology->epoch());
  }
  void OnLeadershipLost() override { ++lost; }

  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  std::unique_ptr<Coordinator> coordinator;
  std::vector<uint64_t> seen;
  int lost = 0;
  bool paused = false;
};

class CoordinatorTest : public ::testing::Test {
 protected:
  // Time passes in steps of 50 ms. The nodes beat at whoever leads, as CoordinatorClient does.
  void RunFor(absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(50)) {
      clock_.Advance(absl::Milliseconds(50));
      for (Process* process : {&a_, &b_}) {
        if (process->paused) continue;
        process->executor.RunDue();
        if (process->coordinator->leader().leading) Beat(*process->coordinator);
      }
      ASSERT_FALSE(a_.coordinator->leader().leading && b_.coordinator->leader().leading);
    }
  }
  void Beat(Coordinator& coordinator) {
    for (const std::string& id : nodes_) {
      NodeReport report = Report(id, node_epoch_);
      absl::Status status = coordinator.Heartbeat(report);
      if (absl::IsNotFound(status)) status = coordinator.Register(report, ++session_);
      EXPECT_TRUE(status.ok()) << status;
    }
    node_epoch_ = std::max(node_epoch_, coordinator.topology()->epoch());
  }
  std::vector<std::string> StoredMembers() {
    const std::optional<std::string> value = store_.Value("topology");
    std::vector<std::string> ids;
    cache::v1::Topology proto;
    if (!value.has_value() || !proto.ParseFromString(*value)) return ids;
    for (const auto& member : proto.members()) ids.push_back(member.id());
    return ids;
  }

  FakeClock clock_;
  FakeLeaseStore store_{clock_};
  Process a_{clock_, store_, "a"};
  Process b_{clock_, store_, "b"};
  std::vector<std::string> nodes_ = {"n1", "n2"};
  uint64_t node_epoch_ = 0;
  uint64_t session_ = 0;
};

TEST_F(CoordinatorTest, TheLeaderStoresATopologyAndThenPublishesIt) {
  RunFor(absl::Seconds(1));
  EXPECT_THAT(a_.seen, ElementsAre(1));
  EXPECT_EQ(a_.coordinator->topology()->members().size(), 2u);
  EXPECT_THAT(StoredMembers(), ElementsAre("n1", "n2"));
  const CoordinatorCounters counters = a_.coordinator->counters();
  EXPECT_TRUE(counters.leader);
  EXPECT_EQ(counters.epoch, 1u);
  EXPECT_EQ(counters.nodes_serving, 2u);
  EXPECT_GT(counters.heartbeats, 2u);
}

TEST_F(CoordinatorTest, AStandbyRefusesAndNamesTheLeader) {
  RunFor(absl::Seconds(2));
  EXPECT_TRUE(absl::IsUnavailable(b_.coordinator->Register(Report("n3"), 77)));
  EXPECT_TRUE(absl::IsUnavailable(b_.coordinator->Heartbeat(Report("n1"))));
  EXPECT_EQ(b_.coordinator->leader().address, "a:7410");
  EXPECT_THAT(b_.coordinator->Nodes(), IsEmpty());
}

TEST_F(CoordinatorTest, AfterTheLeadersDeathTheStandbyContinuesWithAHigherEpochAndTheSameMembers) {
  RunFor(absl::Seconds(2));
  const auto members = a_.coordinator->topology()->members();
  a_.paused = true;  // For ever.
  RunFor(absl::Milliseconds(4500));
  EXPECT_TRUE(b_.coordinator->leader().leading);
  ASSERT_FALSE(b_.seen.empty());
  EXPECT_GT(b_.seen.front(), a_.seen.back());
  EXPECT_EQ(b_.coordinator->topology()->members(), members);
  RunFor(absl::Seconds(10));
  EXPECT_EQ(b_.coordinator->topology()->members(), members);
  EXPECT_LE(b_.seen.size(), 2u);
}

TEST_F(CoordinatorTest, APausedLeaderPublishesNothingWhenItWakesUp) {
  RunFor(absl::Seconds(2));
  // A node joins, and its registration is the last thing that the leader does before the pause.
  ASSERT_TRUE(a_.coordinator->Register(Report("n3"), ++session_).ok());
  a_.paused = true;
  RunFor(absl::Seconds(6));
  const uint64_t epoch = b_.coordinator->topology()->epoch();
  a_.paused = false;
  RunFor(absl::Seconds(2));
  EXPECT_THAT(a_.seen, ElementsAre(1));
  EXPECT_EQ(a_.lost, 1);
  EXPECT_FALSE(a_.coordinator->leader().leading);
  EXPECT_EQ(b_.coordinator->topology()->epoch(), epoch);
  EXPECT_THAT(StoredMembers(), ElementsAre("n1", "n2"));
}

TEST_F(CoordinatorTest, ALateWriteOfAnOldLeaderIsFencedOff) {
  RunFor(absl::Seconds(2));
  a_.paused = true;
  RunFor(absl::Seconds(6));
  const std::optional<std::string> stored = store_.Value("topology");
  // What the old leader sent before the pause arrives only now.
  absl::Status late;
  a_.view->PutFenced("coordinator", 1, "topology", "old",
                     [&](absl::Status status) { late = status; });
  a_.executor.RunDue();
  EXPECT_TRUE(absl::IsFailedPrecondition(late));
  EXPECT_EQ(store_.Value("topology"), stored);
  EXPECT_EQ(store_.fenced_off(), 1);
}

TEST_F(CoordinatorTest, ANewLeaderAnswersWithThePredecessorsTopologyFromTheStart) {
  RunFor(absl::Seconds(2));
  a_.paused = true;
  b_.view->FailPuts(1000);  // It cannot store one of its own yet.
  RunFor(absl::Milliseconds(4500));
  EXPECT_TRUE(b_.coordinator->leader().leading);
  EXPECT_EQ(b_.coordinator->topology()->epoch(), 1u);
  EXPECT_EQ(b_.coordinator->topology()->members(), a_.coordinator->topology()->members());
}

TEST_F(CoordinatorTest, NothingIsPublishedUntilItIsStored) {
  a_.view->FailPuts(3);
  RunFor(absl::Milliseconds(500));
  EXPECT_THAT(a_.seen, IsEmpty());
  RunFor(absl::Milliseconds(500));
  ASSERT_FALSE(a_.seen.empty());
  EXPECT_THAT(StoredMembers(), ElementsAre("n1", "n2"));
}

TEST_F(CoordinatorTest, ALeaderThatCannotReadTheStoredTopologyDoesNotActYet) {
  a_.view->FailGets(4);
  RunFor(absl::Milliseconds(500));
  EXPECT_FALSE(a_.coordinator->leader().leading);
  RunFor(absl::Seconds(1));
  EXPECT_TRUE(a_.coordinator->leader().leading);
}

TEST_F(CoordinatorTest, AStoredTopologyThatIsNoneIsIgnored) {
  store_.SetValue("topology", "\xff\xff\xff garbage");
  RunFor(absl::Seconds(1));
  EXPECT_TRUE(a_.coordinator->leader().leading);
  EXPECT_THAT(StoredMembers(), ElementsAre("n1", "n2"));
}

TEST_F(CoordinatorTest, StopGivesTheLeaseBackAndTellsSubscribers) {
  RunFor(absl::Seconds(1));
  bool done = false;
  a_.coordinator->Stop([&] { done = true; });
  RunFor(absl::Milliseconds(50));
  EXPECT_TRUE(done);
  EXPECT_EQ(a_.lost, 1);
  RunFor(absl::Milliseconds(1200));
  EXPECT_TRUE(b_.coordinator->leader().leading);
}

}  // namespace
}  // namespace meridian
