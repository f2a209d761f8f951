// The Register and WatchTopology streams, and what nodes report on them, over real gRPC on
// loopback: Coordinator and its service on one side, CoordinatorClient and its transport on the
// other. Waits are for events, with a deadline.

#include <grpcpp/grpcpp.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/rpc/error.h"
#include "common/rpc/server_settings.h"
#include "common/rpc/topology_proto.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/coordinator_service.h"
#include "server/figures/grpc_figure_transport.h"
#include "server/membership/coordinator_client.h"
#include "server/membership/grpc_coordinator_transport.h"
#include "server/warming/warmer.h"
#include "tests/support/fake_lease_store.h"
#include "tests/support/fake_warm_reader.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;

constexpr absl::Duration kPatience = absl::Seconds(20);

// Runs a state that other threads change until it is as wanted.
bool Eventually(const std::function<bool()>& holds) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!holds()) {
    if (absl::Now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// A coordinator that listens on loopback.
class TestCoordinator {
 public:
  TestCoordinator(FakeLeaseStore& store, const std::string& id) : view_(store.ViewFor(executor_)) {
    CoordinatorOptions options;
    options.id = id;
    options.membership.region = "us";
    options.membership.heartbeat_interval = absl::Milliseconds(50);
    options.membership.failure_timeout = absl::Seconds(2);
    options.lease.holder = id;
    options.lease.ttl = absl::Milliseconds(600);
    options.lease.margin = absl::Milliseconds(100);
    coordinator_ = std::make_unique<Coordinator>(options, clock_, executor_, *view_);
    warmer_ = std::make_unique<Warmer>(WarmerOptions(), WarmSettings(), clock_, executor_, *view_,
                                       reader_, warm_metrics_,
                                       [this] { return coordinator_->leader().leading; });
    hot_keys_ = std::make_unique<HotKeyLead>(*coordinator_, *view_);
    alerts_.Update({{.name = "MeridianNodeDown", .severity = "critical"}}, absl::ZeroDuration(),
                   clock_.Now());
    prediction_ = std::make_unique<PredictionLead>(
        PredictionOptions{.enabled = true}, *coordinator_, *view_, hot_keys_->history(), *warmer_);
    rollouts_ = std::make_unique<RolloutLead>(PolicyRolloutsOptions(), *coordinator_, *view_,
                                              [] { return std::optional<VersionFigures>(); });
    tickets_ = std::make_unique<TicketLead>(RolloutTickets::kAbsence, *coordinator_, *view_);
    analytics_ =
        std::make_unique<ClusterAnalytics>(*coordinator_, figures_, figure_transport_, UnitCosts());
    service_ = std::make_unique<CoordinatorServiceHandler>(*coordinator_, *warmer_, *hot_keys_,
                                                           *prediction_, *rollouts_, alerts_,
                                                           advisor_, *tickets_, *analytics_);
    grpc::ServerBuilder builder;
    ApplyServerSettings(&builder);
    builder.RegisterService(service_.get());
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    server_ = builder.BuildAndStart();
    address_ = BoundAddress("127.0.0.1:0", port);
    coordinator_->Start(address_);
  }
  ~TestCoordinator() { Stop(); }

  // As SIGTERM does.
  void Stop() {
    if (server_ == nullptr) return;
    absl::Notification released;
    coordinator_->Stop([&] { released.Notify(); });
    released.WaitForNotification();
    server_->Shutdown(absl::ToChronoTime(absl::Now() + absl::Seconds(1)));
    server_.reset();
    executor_.Stop();
  }

  bool AwaitLeading() {
    return Eventually([this] { return coordinator_->leader().leading; });
  }

  Coordinator& coordinator() { return *coordinator_; }
  const std::string& address() const { return address_; }
  std::unique_ptr<coordinator::v1::CoordinatorService::Stub> NewStub() const {
    return coordinator::v1::CoordinatorService::NewStub(CreateChannelTo(address_));
  }

 private:
  SystemClock clock_;
  ThreadExecutor executor_{"coordinator"};
  std::unique_ptr<FakeLeaseStore::View> view_;
  std::unique_ptr<Coordinator> coordinator_;
  MetricRegistry metrics_;
  WarmMetrics warm_metrics_{metrics_};
  FakeWarmReader reader_;
  std::unique_ptr<Warmer> warmer_;
  std::unique_ptr<HotKeyLead> hot_keys_;
  AlertBook alerts_;
  GrpcFigureTransport figure_transport_;
  FigureCollector figures_{FigureCollectorOptions(), clock_, executor_, figure_transport_,
                           [](bool* leading) {
                             *leading = false;
                             return std::vector<FollowedNode>();
                           }};
  Advisor advisor_{figures_, clock_, executor_, figure_transport_, nullptr};
  std::unique_ptr<PredictionLead> prediction_;
  std::unique_ptr<RolloutLead> rollouts_;
  std::unique_ptr<TicketLead> tickets_;
  std::unique_ptr<ClusterAnalytics> analytics_;
  std::unique_ptr<CoordinatorServiceHandler> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

// A node's side.
class TestNode {
 public:
  TestNode(const std::string& id, std::vector<std::string> coordinators,
           std::vector<HotKey> hot_keys = {}) {
    CoordinatorClientOptions options;
    options.coordinators = std::move(coordinators);
    options.region = "us";
    Member self;
    self.id = id;
    self.data_address = "127.0.0.1:7400";
    self.peer_address = "127.0.0.1:7401";
    self.incarnation = 5;
    self.state = MemberState::kJoining;
    options.backoff.max = absl::Milliseconds(200);
    options.hot_keys = [hot_keys = std::move(hot_keys)] { return hot_keys; };
    client_ =
        std::make_unique<CoordinatorClient>(options, clock_, executor_, transport_, topology_);
    client_->Start(self);
  }
  ~TestNode() {
    absl::Notification stopped;
    client_->Stop([&] { stopped.Notify(); });
    stopped.WaitForNotification();
    executor_.Stop();  // The end of the stream is still to be told.
  }

  bool AwaitServing(size_t members) {
    return Eventually([&] {
      const TopologyHolder::Snapshot topology = topology_.Get();
      size_t serving = 0;
      for (const Member& member : topology->members()) {
        serving += member.state == MemberState::kServing ? 1 : 0;
      }
      return serving == members;
    });
  }
  CoordinatorClient& client() { return *client_; }
  TopologyHolder& topology() { return topology_; }

 private:
  SystemClock clock_;
  TopologyHolder topology_;
  ThreadExecutor executor_{"node"};
  GrpcCoordinatorTransport transport_;
  std::unique_ptr<CoordinatorClient> client_;
};

class CoordinatorStreamTest : public ::testing::Test {
 protected:
  SystemClock clock_;
  FakeLeaseStore store_{clock_};
};

coordinator::v1::RegisterRequest Registration() {
  coordinator::v1::RegisterRequest request;
  request.mutable_member()->set_id("raw");
  request.mutable_member()->set_data_address("127.0.0.1:1");
  request.mutable_member()->set_peer_address("127.0.0.1:2");
  request.set_region("us");
  return request;
}

// Sends one registration and returns how the stream ends.
Error Refusal(TestCoordinator& coordinator, const coordinator::v1::RegisterRequest& request) {
  const auto stub = coordinator.NewStub();
  grpc::ClientContext context;
  const auto stream = stub->Register(&context);
  stream->Write(request);
  coordinator::v1::RegisterResponse response;
  while (stream->Read(&response)) {
  }
  return FromGrpcStatus(stream->Finish());
}

TEST_F(CoordinatorStreamTest, NodesThatRegisterGetOneTopologyAndLeaveByDraining) {
  TestCoordinator coordinator(store_, "a");
  TestNode one("n1", {coordinator.address()});
  auto two = std::make_unique<TestNode>("n2", std::vector<std::string>{coordinator.address()});
  ASSERT_TRUE(one.AwaitServing(2));
  ASSERT_TRUE(two->AwaitServing(2));
  EXPECT_EQ(one.client().status().coordinator, coordinator.address());
  EXPECT_TRUE(one.client().status().connected);
  two->client().SetState(MemberState::kDraining);
  ASSERT_TRUE(one.AwaitServing(1));
  ASSERT_TRUE(two->AwaitServing(1));
  two.reset();
  ASSERT_TRUE(Eventually([&] { return one.topology().Get()->members().size() == 1; }));
}

TEST_F(CoordinatorStreamTest, AStandbyLeadsTheNodeToTheLeaderAndTakesOverWithTheSameMembers) {
  auto leader = std::make_unique<TestCoordinator>(store_, "a");
  ASSERT_TRUE(leader->AwaitLeading());
  TestCoordinator standby(store_, "b");
  ASSERT_TRUE(
      Eventually([&] { return standby.coordinator().leader().address == leader->address(); }));
  TestNode node("n1", {standby.address()});  // Knows only the standby.
  ASSERT_TRUE(node.AwaitServing(1));
  EXPECT_EQ(node.client().status().coordinator, leader->address());
  const uint64_t epoch = node.topology().Get()->epoch();
  leader->Stop();
  ASSERT_TRUE(standby.AwaitLeading());
  ASSERT_TRUE(Eventually([&] {
    const CoordinatorClientStatus status = node.client().status();
    return status.connected && status.coordinator == standby.address() &&
           node.topology().Get()->epoch() > epoch;
  }));
  ASSERT_TRUE(node.AwaitServing(1));
}

TEST_F(CoordinatorStreamTest, RegistrationsThatCannotBeAreRefusedWithAReason) {
  TestCoordinator coordinator(store_, "a");
  ASSERT_TRUE(coordinator.AwaitLeading());
  auto request = Registration();
  request.set_region("eu");
  Error error = Refusal(coordinator, request);
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "REGION_MISMATCH");
  EXPECT_EQ(error.details.metadata["region"], "us");

  request = Registration();
  request.mutable_now()->set_seconds(absl::ToUnixSeconds(absl::Now()) + 90);
  error = Refusal(coordinator, request);
  EXPECT_EQ(error.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(error.reason, "CLOCK_SKEW");

  request = Registration();
  request.mutable_member()->set_id("../../etc");
  error = Refusal(coordinator, request);
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "FIELD_INVALID");
  EXPECT_TRUE(coordinator.coordinator().topology()->members().empty());
}

TEST_F(CoordinatorStreamTest, AStandbyRefusesEveryCallButStatusAndNamesTheLeader) {
  TestCoordinator leader(store_, "a");
  ASSERT_TRUE(leader.AwaitLeading());
  TestCoordinator standby(store_, "b");
  ASSERT_TRUE(
      Eventually([&] { return standby.coordinator().leader().address == leader.address(); }));
  Error error = Refusal(standby, Registration());
  EXPECT_EQ(error.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(error.reason, "NOT_LEADER");
  EXPECT_EQ(error.details.metadata["leader"], leader.address());

  const auto stub = standby.NewStub();
  coordinator::v1::GetTopologyResponse topology;
  grpc::ClientContext topology_context;
  error = FromGrpcStatus(stub->GetTopology(&topology_context, {}, &topology));
  EXPECT_EQ(error.reason, "NOT_LEADER");

  coordinator::v1::GetStatusResponse status;
  grpc::ClientContext status_context;
  ASSERT_TRUE(stub->GetStatus(&status_context, {}, &status).ok());
  EXPECT_EQ(status.id(), "b");
  EXPECT_FALSE(status.leader());
  EXPECT_EQ(status.leader_address(), leader.address());
}

TEST_F(CoordinatorStreamTest, WatchersGetTheCurrentTopologyThenNewerOnesUntilTheLeaderStops) {
  auto coordinator = std::make_unique<TestCoordinator>(store_, "a");
  TestNode one("n1", {coordinator->address()});
  ASSERT_TRUE(one.AwaitServing(1));
  const auto stub = coordinator->NewStub();
  grpc::ClientContext context;
  const auto stream = stub->WatchTopology(&context, {});
  coordinator::v1::WatchTopologyResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.topology().members_size(), 1);
  EXPECT_EQ(response.topology().slot_owners_size(), 1024);
  uint64_t epoch = response.topology().epoch();
  {
    TestNode two("n2", {coordinator->address()});
    while (response.topology().members_size() < 2) {
      ASSERT_TRUE(stream->Read(&response));
      EXPECT_GT(response.topology().epoch(), epoch);
      epoch = response.topology().epoch();
    }
  }
  coordinator->Stop();
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(FromGrpcStatus(stream->Finish()).reason, "NOT_LEADER");
}

TEST_F(CoordinatorStreamTest, AWatcherThatGoesAwayIsForgotten) {
  TestCoordinator coordinator(store_, "a");
  TestNode one("n1", {coordinator.address()});
  ASSERT_TRUE(one.AwaitServing(1));
  const auto stub = coordinator.NewStub();
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    const auto stream = stub->WatchTopology(&context, {});
    coordinator::v1::WatchTopologyResponse response;
    ASSERT_TRUE(stream->Read(&response));
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  TestNode two("n2", {coordinator.address()});  // Tells everybody who still listens.
  ASSERT_TRUE(one.AwaitServing(2));
}

// Hot keys as the coordinator lists them, "namespace/key rate"; or the reason of its refusal.
std::vector<std::string> ListHotKeys(TestCoordinator& coordinator,
                                     const coordinator::v1::ListHotKeysRequest& request = {}) {
  coordinator::v1::ListHotKeysResponse response;
  grpc::ClientContext context;
  const grpc::Status status = coordinator.NewStub()->ListHotKeys(&context, request, &response);
  if (!status.ok()) {
    const Error error = FromGrpcStatus(status);
    return {absl::StrCat(error.reason, " ", error.details.field)};
  }
  std::vector<std::string> keys;
  for (const auto& key : response.keys()) {
    keys.push_back(absl::StrCat(key.namespace_(), "/", key.key(), " ", key.rate()));
  }
  return keys;
}

TEST_F(CoordinatorStreamTest, HotKeysOfTheNodesAreListedTogetherAndAgainByTheNextLeader) {
  auto leader = std::make_unique<TestCoordinator>(store_, "a");
  ASSERT_TRUE(leader->AwaitLeading());
  TestCoordinator standby(store_, "b");
  TestNode one("n1", {leader->address(), standby.address()}, {{"task", "k", 2}, {"user", "u", 4}});
  TestNode two("n2", {standby.address(), leader->address()}, {{"task", "k", 3}});
  const auto all = ElementsAre("task/k 5", "user/u 4");
  ASSERT_TRUE(Eventually([&] { return testing::Matches(all)(ListHotKeys(*leader)); }));
  EXPECT_THAT(ListHotKeys(standby), ElementsAre("NOT_LEADER "));
  coordinator::v1::ListHotKeysRequest request;
  request.set_namespace_("user");
  EXPECT_THAT(ListHotKeys(*leader, request), ElementsAre("user/u 4"));
  request.Clear();
  request.set_limit(1);
  EXPECT_THAT(ListHotKeys(*leader, request), ElementsAre("task/k 5"));
  leader->Stop();
  ASSERT_TRUE(standby.AwaitLeading());
  EXPECT_TRUE(Eventually([&] { return testing::Matches(all)(ListHotKeys(standby)); }));
}

TEST_F(CoordinatorStreamTest, TheHistoryOfHotKeysIsAskedByTheHour) {
  coordinator::v1::HotKeyHour hour;
  hour.set_looks(60);
  hour.add_keys()->set_namespace_("task");
  hour.mutable_keys(0)->set_key("monday");
  hour.mutable_keys(0)->set_rate(9);
  store_.SetValue("hot-keys/8", hour.SerializeAsString());
  store_.SetValue("hot-keys/9", "\xff\xff not an hour");
  TestCoordinator coordinator(store_, "a");
  ASSERT_TRUE(coordinator.AwaitLeading());
  coordinator::v1::ListHotKeysRequest request;
  request.set_hour_of_week(8);
  EXPECT_THAT(ListHotKeys(coordinator, request), ElementsAre("task/monday 9"));
  request.set_namespace_("user");
  EXPECT_THAT(ListHotKeys(coordinator, request), ElementsAre());
  request.Clear();
  request.set_hour_of_week(9);
  EXPECT_THAT(ListHotKeys(coordinator, request), ElementsAre("CORRUPT_RECORD "));
  request.set_hour_of_week(167);
  EXPECT_THAT(ListHotKeys(coordinator, request), ElementsAre());
  request.set_hour_of_week(168);
  EXPECT_THAT(ListHotKeys(coordinator, request), ElementsAre("FIELD_INVALID hour_of_week"));
  request.Clear();
  request.set_limit(1001);
  EXPECT_THAT(ListHotKeys(coordinator, request), ElementsAre("FIELD_INVALID limit"));
  request.Clear();
  request.set_namespace_("No Name");
  EXPECT_THAT(ListHotKeys(coordinator, request), ElementsAre("NAMESPACE_INVALID namespace"));
}

TEST_F(CoordinatorStreamTest, OfAReportThatIsWrongWhatIsRightIsTaken) {
  TestCoordinator coordinator(store_, "a");
  ASSERT_TRUE(coordinator.AwaitLeading());
  auto request = Registration();
  const auto add = [&](const std::string& name_space, const std::string& key, double rate) {
    auto* added = request.mutable_hot_keys()->add_keys();
    added->set_namespace_(name_space);
    added->set_key(key);
    added->set_rate(rate);
  };
  add("No Name", "k", 5);
  add("task", std::string(2000, 'x'), 5);
  add("task", "", 5);
  add("task", "nan", std::nan(""));
  add("task", "endless", std::numeric_limits<double>::infinity());
  add("task", "negative", -5);
  add("task", "good", 5);
  const auto stub = coordinator.NewStub();
  grpc::ClientContext context;
  const auto stream = stub->Register(&context);
  ASSERT_TRUE(stream->Write(request));
  coordinator::v1::RegisterResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_THAT(ListHotKeys(coordinator), ElementsAre("task/good 5"));
  request.mutable_hot_keys()->Clear();
  for (int i = 0; i < 2000; ++i) add("task", absl::StrCat(i), 2000 - i);
  ASSERT_TRUE(stream->Write(request));
  coordinator::v1::ListHotKeysRequest list;
  list.set_limit(1000);
  ASSERT_TRUE(Eventually([&] { return ListHotKeys(coordinator, list).size() == 500; }));
  request.clear_hot_keys();  // They are as they were.
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_THAT(ListHotKeys(coordinator, list), testing::SizeIs(500));
  context.TryCancel();
  stream->Finish();
}

TEST_F(CoordinatorStreamTest, OneNodeRestartsAtATime) {
  auto leader = std::make_unique<TestCoordinator>(store_, "a");
  ASSERT_TRUE(leader->AwaitLeading());
  TestCoordinator standby(store_, "b");
  TestNode one("n1", {leader->address()});
  TestNode two("n2", {leader->address()});
  ASSERT_TRUE(one.AwaitServing(2));
  const auto ask = [](const TestCoordinator& coordinator, const std::string& node) {
    SystemClock clock;
    ThreadExecutor executor("ticket");
    GrpcCoordinatorTransport transport;
    absl::Notification answered;
    std::string answer;
    transport.AcquireTicket(
        coordinator.address(), node, kPatience, [&](const absl::StatusOr<TicketAnswer>& ticket) {
          answer = ticket.ok() ? ticket->why : std::string(ticket.status().message());
          answered.Notify();
        });
    answered.WaitForNotification();
    return answer;
  };
  EXPECT_EQ(ask(*leader, "n1"), "");
  EXPECT_EQ(ask(*leader, "n2"), "n1 is being restarted");
  EXPECT_EQ(ask(*leader, "n7"), "no member is called 'n7'");
  const auto give_back = [&leader](const std::string& node) {
    GrpcCoordinatorTransport transport;
    absl::Notification answered;
    absl::Status result;
    transport.GiveTicketBack(leader->address(), node, kPatience, [&](const absl::Status& status) {
      result = status;
      answered.Notify();
    });
    answered.WaitForNotification();
    return result;
  };
  EXPECT_EQ(give_back("n7"), absl::OkStatus()) << "nobody knows it, and it has nothing";
  EXPECT_EQ(ask(*leader, "n2"), "n1 is being restarted");
  EXPECT_EQ(give_back("n1"), absl::OkStatus());
  EXPECT_EQ(ask(*leader, "n2"), "") << "at once";
  EXPECT_THAT(ask(standby, "n1"), ::testing::HasSubstr("does not lead"));
}

TEST_F(CoordinatorStreamTest, StatusShowsTheNodesAndWhatIsNotBuiltSaysSo) {
  TestCoordinator coordinator(store_, "a");
  TestNode one("n1", {coordinator.address()});
  ASSERT_TRUE(one.AwaitServing(1));
  const auto stub = coordinator.NewStub();
  coordinator::v1::GetStatusResponse status;
  grpc::ClientContext status_context;
  ASSERT_TRUE(stub->GetStatus(&status_context, {}, &status).ok());
  EXPECT_TRUE(status.leader());
  EXPECT_EQ(status.fencing_token(), 1u);
  ASSERT_EQ(status.nodes_size(), 1);
  EXPECT_EQ(status.nodes(0).member().id(), "n1");
  EXPECT_LT(status.nodes(0).heartbeat_age_ms(), 2000u);

  coordinator::v1::ListAlertsResponse alerts;
  grpc::ClientContext alerts_context;
  ASSERT_TRUE(stub->ListAlerts(&alerts_context, {}, &alerts).ok());
  ASSERT_EQ(alerts.alerts_size(), 1);
  EXPECT_EQ(alerts.alerts(0).name(), "MeridianNodeDown");

  coordinator::v1::ListRecommendationsResponse recommendations;
  grpc::ClientContext recommendations_context;
  ASSERT_TRUE(stub->ListRecommendations(&recommendations_context, {}, &recommendations).ok());
  EXPECT_TRUE(recommendations.recommendations().empty()) << "nothing to say";
}

}  // namespace
}  // namespace meridian
