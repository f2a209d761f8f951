// Coordinators come and go; the data path does not care.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/integration/checked_load.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using coordinator::v1::CoordinatorService;
using coordinator::v1::GetStatusResponse;

constexpr absl::Duration kTakeoverGoal = absl::Seconds(10);
constexpr absl::Duration kLimit = absl::Seconds(30);
// While nobody dies, nobody owns another's keys, and every answer is of the newest write.
constexpr absl::Duration kNoStaleness = absl::ZeroDuration();
const char* const kCoordinators[] = {"us-coordinator-1", "us-coordinator-2"};

class CoordinatorFailureTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster({.regions = {"us"},
                                 .coordinators = 2,
                                 .node_flags = {},
                                 .coordinator_flags = CoordinatorFlags()});
    ASSERT_NE(cluster_, nullptr);
    ClientOptions options;
    options.get_timeout = options.set_timeout = options.batch_timeout = absl::Seconds(5);
    client_ = cluster_->NewClient("us", options);
    ASSERT_NE(client_, nullptr);
    ASSERT_TRUE(WaitUntil([&] { return Leader().has_value(); }, kLimit)) << "nobody leads";
  }

  virtual std::vector<std::string> CoordinatorFlags() const { return {}; }

  std::optional<GetStatusResponse> StatusOf(const std::string& coordinator) const {
    const auto stub = NewStub<CoordinatorService>(cluster_->Address(coordinator, "grpc"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
    GetStatusResponse status;
    if (!stub->GetStatus(&context, coordinator::v1::GetStatusRequest(), &status).ok()) {
      return std::nullopt;
    }
    return status;
  }

  // The one that leads, by its own word; its id is its name. More than one fails the test.
  std::optional<GetStatusResponse> Leader() const {
    std::optional<GetStatusResponse> leader;
    for (const char* name : kCoordinators) {
      std::optional<GetStatusResponse> status = StatusOf(name);
      if (!status || !status->leader()) continue;
      EXPECT_FALSE(leader.has_value() && leader->fencing_token() == status->fencing_token())
          << "two leaders with one token";
      if (!leader || status->fencing_token() > leader->fencing_token()) leader = *status;
    }
    return leader;
  }

  cache::v1::Topology TopologyOf(const std::string& node) const {
    const auto stub = NewStub<cache::v1::CacheService>(cluster_->Address(node, "data"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    cache::v1::GetTopologyResponse response;
    const grpc::Status status =
        stub->GetTopology(&context, cache::v1::GetTopologyRequest(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.topology();
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
};

TEST_F(CoordinatorFailureTest, TheStandbyLeadsSoonWithAHigherTokenAndNobodyNotices) {
  CheckedLoad load(*client_, {.stale_bound = kNoStaleness});
  ASSERT_TRUE(load.Progress(500));
  const GetStatusResponse first = *Leader();
  const std::string standby = first.id() == kCoordinators[0] ? kCoordinators[1] : kCoordinators[0];
  ASSERT_EQ(first.nodes_size(), 2);

  cluster_->Kill(first.id());
  const absl::Time killed = absl::Now();
  std::optional<GetStatusResponse> second;
  ASSERT_TRUE(WaitUntil(
      [&] {
        second = StatusOf(standby);
        return second && second->leader();
      },
      kLimit, absl::Milliseconds(50)))
      << "the standby does not lead";
  const absl::Duration takeover = absl::Now() - killed;
  EXPECT_LE(takeover, kTakeoverGoal);
  EXPECT_GT(second->fencing_token(), first.fencing_token());
  EXPECT_GE(second->epoch(), first.epoch());
  EXPECT_TRUE(WaitUntil([&] { return StatusOf(standby)->nodes_size() == 2; }, kLimit))
      << "the nodes do not register with the new leader";
  for (const char* node : {"us-node-1", "us-node-2"}) {
    const cache::v1::Topology topology = TopologyOf(node);
    EXPECT_GE(topology.epoch(), first.epoch());
    EXPECT_EQ(topology.members_size(), 2) << "a change of leader took a node away";
  }
  ASSERT_TRUE(load.Progress(500));

  cluster_->Restart(first.id());
  EXPECT_TRUE(WaitUntil([&] { return StatusOf(first.id()).has_value(); }, kLimit));
  EXPECT_FALSE(StatusOf(first.id())->leader()) << "it takes the lead from a living leader";
  load.Stop();
  EXPECT_EQ(load.errors(), 0u) << load.error_text();
  EXPECT_THAT(load.wrong(), testing::IsEmpty());
  std::printf("the standby led after %s\n", absl::FormatDuration(takeover).c_str());
}

// It wakes up in the belief that it leads, with a plan or a topology of its own in its hands.
TEST_F(CoordinatorFailureTest, AFrozenLeaderChangesNothingWhenItGoesOnAfterAnotherOneLeads) {
  CheckedLoad load(*client_, {.stale_bound = kNoStaleness});
  ASSERT_TRUE(load.Progress(500));
  const GetStatusResponse first = *Leader();
  const std::string standby = first.id() == kCoordinators[0] ? kCoordinators[1] : kCoordinators[0];
  cluster_->Stop(first.id());
  ASSERT_TRUE(WaitUntil(
      [&] {
        const std::optional<GetStatusResponse> status = StatusOf(standby);
        return status && status->leader() && status->nodes_size() == 2;
      },
      kLimit));
  const uint64_t token = StatusOf(standby)->fencing_token();
  EXPECT_GT(token, first.fencing_token());
  cluster_->AddNode("us");  // What the old one knows nothing of.
  ASSERT_TRUE(WaitUntil([&] { return TopologyOf("us-node-1").members_size() == 3; }, kLimit));
  const uint64_t epoch = TopologyOf("us-node-1").epoch();
  ASSERT_TRUE(load.Progress(500));

  cluster_->Cont(first.id());
  ASSERT_TRUE(WaitUntil(
      [&] {
        const std::optional<GetStatusResponse> status = StatusOf(first.id());
        return status && !status->leader();
      },
      kLimit))
      << "it goes on leading";
  ASSERT_TRUE(load.Progress(1000));
  for (const char* node : {"us-node-1", "us-node-2", "us-node-3"}) {
    EXPECT_EQ(TopologyOf(node).epoch(), epoch) << node;
    EXPECT_EQ(TopologyOf(node).members_size(), 3) << node;
  }
  const std::optional<GetStatusResponse> leader = StatusOf(standby);
  ASSERT_TRUE(leader.has_value());
  EXPECT_TRUE(leader->leader());
  EXPECT_EQ(leader->fencing_token(), token);
  EXPECT_EQ(leader->nodes_size(), 3);
  load.Stop();
  EXPECT_EQ(load.errors(), 0u) << load.error_text();
}

// Of all that a node or the store waits for of a coordinator, the outage is many times the longest:
// 200 heartbeats (0.1 s), 20 failure timeouts (1 s), 20 leases (1 s), 13 times the silence after
// which a node leaves a coordinator (1.5 s), 20 of the longest pauses between two attempts (1 s), 4
// reports of hot keys (5 s). LongOutageTest has ten minutes of it by a fake clock.
constexpr absl::Duration kOutage = absl::Seconds(20);

class CoordinatorOutageTest : public CoordinatorFailureTest {
 protected:
  std::vector<std::string> CoordinatorFlags() const override {
    return {"--heartbeat-interval=100ms", "--failure-timeout=1s", "--lease-duration=1s"};
  }
  bool IsReady(const std::string& node) const {
    const absl::StatusOr<HttpPage> page = HttpGet(cluster_->Address(node, "http"), "/readyz");
    return page.ok() && page->code == 200;
  }
};

TEST_F(CoordinatorOutageTest, WithoutAnyCoordinatorTheTopologyStaysAndItsEpochsGoOnLater) {
  CheckedLoad load(*client_, {.stale_bound = kNoStaleness});
  const cache::v1::Topology before = TopologyOf("us-node-1");
  const uint64_t token = Leader()->fencing_token();
  for (const char* name : kCoordinators) cluster_->Kill(name);
  const absl::Time gone = absl::Now();
  while (absl::Now() - gone < kOutage) ASSERT_TRUE(load.Progress(300)) << load.error_text();
  EXPECT_EQ(load.errors(), 0u) << load.error_text();
  for (const char* node : {"us-node-1", "us-node-2"}) {
    EXPECT_TRUE(IsReady(node)) << node;
    const cache::v1::Topology topology = TopologyOf(node);
    EXPECT_EQ(topology.epoch(), before.epoch());
    EXPECT_EQ(topology.SerializeAsString(), before.SerializeAsString());
  }

  for (const char* name : kCoordinators) cluster_->Restart(name);
  std::optional<GetStatusResponse> leader;
  EXPECT_TRUE(WaitUntil(
      [&] {
        leader = Leader();
        return leader && leader->nodes_size() == 2;
      },
      kLimit, absl::Milliseconds(50)))
      << "the nodes do not register again";
  ASSERT_TRUE(leader.has_value());
  EXPECT_GT(leader->fencing_token(), token);
  EXPECT_GE(leader->epoch(), before.epoch()) << "epochs went back";
  load.Stop();
  EXPECT_EQ(load.errors(), 0u) << load.error_text();
  EXPECT_THAT(load.wrong(), testing::IsEmpty());

  // The new leader's changes are taken: a node that dies leaves the topology of the other.
  cluster_->Kill("us-node-2");
  EXPECT_TRUE(WaitUntil([&] { return TopologyOf("us-node-1").members_size() == 1; }, kLimit));
  EXPECT_GT(TopologyOf("us-node-1").epoch(), before.epoch());
}

TEST_F(CoordinatorFailureTest, WithoutAnyCoordinatorADeadNodeIsGoneAroundForGood) {
  CheckedLoad load(*client_, {.stale_bound = absl::Seconds(2)});
  ASSERT_TRUE(load.Progress(500));
  for (const char* name : kCoordinators) cluster_->Kill(name);
  cluster_->Kill("us-node-2");
  ASSERT_TRUE(load.Progress(500));  // What was under way has ended.
  const uint64_t while_it_died = load.errors();
  EXPECT_LE(while_it_died, 50u) << load.error_text();
  ASSERT_TRUE(load.Progress(2000));
  EXPECT_EQ(load.errors(), while_it_died) << "on the detour: " << load.error_text();
  EXPECT_EQ(TopologyOf("us-node-1").members_size(), 2) << "nobody could take it away";
  load.Stop();
  load.CheckAllAtRest();
  EXPECT_THAT(load.wrong(), testing::IsEmpty());
}

// It has no slots and is not ready, and whoever asks it all the same is answered from Redis.
TEST_F(CoordinatorFailureTest, ANodeThatStartsWhileNobodyLeadsServesThroughRedisAndJoinsLater) {
  const auto old_node = NewStub<cache::v1::CacheService>(cluster_->Address("us-node-1", "data"));
  calls::SetAll(*old_node, {"k:1", "k:2"}, "before");
  std::string coordinators;
  for (const char* name : kCoordinators) {
    coordinators += (coordinators.empty() ? "" : ",") + cluster_->Address(name, "grpc");
    cluster_->Kill(name);
  }
  TestNodeOptions options;
  options.until_ready = false;
  const auto node = TestNode::Start("us-node-9",
                                    {"--region=us", "--coordinators=" + coordinators,
                                     "--redis=redis://" + cluster_->Address("us-redis", "redis")},
                                    options);
  ASSERT_TRUE(node.ok()) << node.status();
  const auto new_node = NewStub<cache::v1::CacheService>((*node)->data());
  const cache::v1::BatchGetResponse got = calls::GetAll(*new_node, {"k:1", "k:2"});
  for (const auto& entry : got.entries()) {
    EXPECT_EQ(entry.value(), "before");
    EXPECT_EQ(entry.source(), cache::v1::SOURCE_L2);
  }
  calls::SetAll(*new_node, {"k:1"}, "after");
  EXPECT_TRUE(WaitUntil(
      [&] { return calls::GetAll(*old_node, {"k:1"}).entries(0).value() == "after"; }, kLimit))
      << "its owner does not hear of it";
  const absl::StatusOr<HttpPage> ready = HttpGet((*node)->http(), "/readyz");
  ASSERT_TRUE(ready.ok());
  EXPECT_EQ(ready->code, 503);
  EXPECT_THAT(ready->body, testing::HasSubstr("not in the topology yet"));
  for (const char* name : kCoordinators) cluster_->Restart(name);
  EXPECT_TRUE(WaitUntil([&] { return TopologyOf("us-node-1").members_size() == 3; }, kLimit));
  EXPECT_TRUE(WaitUntil(
      [&] {
        const absl::StatusOr<HttpPage> page = HttpGet((*node)->http(), "/readyz");
        return page.ok() && page->code == 200;
      },
      kLimit));
}

}  // namespace
}  // namespace meridian
