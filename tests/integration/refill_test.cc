// What was hot stays hot when a node dies, joins or is restarted: whoever gains its slots has the
// keys in memory within seconds, although nobody has asked for them since.

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "grpc/health/v1/health.pb.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/http_page.h"
#include "tests/support/paced_load.h"
#include "tests/support/redis_process.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr int kKeys = 3000;
constexpr absl::Duration kPatience = absl::Seconds(60);

// As it is told to the coordinator.
double ToldWarmth(const std::string& coordinator, const std::string& node) {
  const auto stub = NewStub<coordinator::v1::CoordinatorService>(coordinator);
  grpc::ClientContext context;
  calls::SetDeadline(&context);
  coordinator::v1::GetStatusResponse response;
  if (!stub->GetStatus(&context, coordinator::v1::GetStatusRequest(), &response).ok()) return -1;
  for (const coordinator::v1::NodeStatus& status : response.nodes()) {
    if (status.member().id() == node) return status.warmth();
  }
  return -1;
}

class RefillTest : public testing::Test {
 protected:
  void Start(std::vector<std::string> flags) {
    flags.push_back("--heat-interval=1s");
    // Refill by itself: what a planned change of owners takes along is HandOffCallTest's.
    cluster_ = StartTestCluster({.regions = {"us"},
                                 .nodes = 3,
                                 .node_flags = std::move(flags),
                                 .coordinator_flags = {"--hand-off-timeout=0"}});
    ASSERT_NE(cluster_, nullptr);
    client_ = cluster_->NewClient("us", {.batch_timeout = absl::Seconds(10)});
    for (int i = 0; i < kKeys; ++i) keys_.push_back(absl::StrCat("hot:", i));
    // Of other keys, all the time.
    PacedLoadOptions load;
    load.name = "load";
    load.name_space = "other";
    load.writes_per_second = 50;
    load.reads_per_second = 200;
    load.keys = 500;
    load_client_ = cluster_->NewClient("us");
    load_ = std::make_unique<PacedLoad>(*load_client_, load);
  }
  // Written, asked for, and saved as hot by their owners.
  void HeatAll() {
    const auto stub = NewStub<cache::v1::CacheService>(cluster_->Address("us-node-1", "data"));
    for (size_t from = 0; from < keys_.size(); from += 1000) {
      calls::SetAll(*stub,
                    {keys_.begin() + static_cast<ptrdiff_t>(from),
                     keys_.begin() + static_cast<ptrdiff_t>(from + 1000)},
                    "value");
    }
    for (int round = 0; round < 5; ++round) L1Share();
    ASSERT_TRUE(WaitUntil([&] { return Sum("meridian_heat_keys") >= kKeys; }, kPatience));
    // A round that began afterwards is over.
    const double saved = Sum("meridian_heat_saved_total");
    EXPECT_GT(saved, 500);
    absl::SleepFor(absl::Seconds(3));
  }
  // Of one read of each key, how many an L1 answers.
  double L1Share() {
    int hits = 0;
    for (int from = 0; from < kKeys; from += 500) {
      const std::vector<std::string_view> some(keys_.begin() + from, keys_.begin() + from + 500);
      for (const GetResult& result : client_->BatchGet(calls::kSpace, some)) {
        EXPECT_EQ(result.value, "value") << (result.error ? result.error->message : "");
        hits += result.source == ResultSource::kL1 ? 1 : 0;
      }
    }
    return static_cast<double>(hits) / kKeys;
  }
  double Metric(const std::string& node, const std::string& name,
                const std::vector<std::string>& labels = {}) const {
    return FetchMetric(cluster_->Address(node, "http"), name, labels);
  }
  double Sum(const std::string& name, const std::vector<std::string>& labels = {}) const {
    double sum = 0;
    for (const char* node : {"us-node-1", "us-node-2", "us-node-3"}) {
      sum += Metric(node, name, labels);
    }
    return sum;
  }
  bool OthersKnow(double members) const {
    return WaitUntil(
        [&] {
          return Metric("us-node-1", "meridian_ring_nodes") == members &&
                 Metric("us-node-3", "meridian_ring_nodes") == members;
        },
        kPatience);
  }
  // Of what was gained in epochs after the first, everything is settled.
  bool Settled(const std::string& node, double refills) const {
    return WaitUntil([&] { return Metric(node, "meridian_refill_seconds_count") >= refills; },
                     kPatience);
  }

  std::vector<std::string> keys_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Client> load_client_;
  std::unique_ptr<PacedLoad> load_;
};

TEST_F(RefillTest, TheHotKeysOfANodeThatWasKilledAreInTheMemoryOfOthersWithinSeconds) {
  Start({});
  HeatAll();
  const double before = L1Share();
  EXPECT_GT(before, 0.99);
  const double refills_1 = Metric("us-node-1", "meridian_refill_seconds_count");
  const double refills_3 = Metric("us-node-3", "meridian_refill_seconds_count");
  const double filled = Sum("meridian_refill_keys_total", {"outcome=\"filled\""});
  cluster_->Kill("us-node-2");
  ASSERT_TRUE(OthersKnow(2));
  const absl::Time known = absl::Now();
  ASSERT_TRUE(Settled("us-node-1", refills_1 + 1) && Settled("us-node-3", refills_3 + 1));
  const absl::Duration took = absl::Now() - known;
  const double after = L1Share();
  EXPECT_GT(after, 0.97);
  EXPECT_LT(took, absl::Seconds(10));
  EXPECT_GT(Sum("meridian_refill_keys_total", {"outcome=\"filled\""}), filled + kKeys / 6);
  std::printf("L1 share of reads: %.3f before, %.3f after; refilled %s after the new epoch\n",
              before, after, absl::FormatDuration(took).c_str());
  load_->Stop();
  EXPECT_GT(load_->reads(), 100u);
}

// The control: without the refill the same reads go to Redis.
TEST_F(RefillTest, WithoutRefillTheHotKeysOfANodeThatWasKilledAreReadFromRedis) {
  Start({"--refill-rate=0"});
  HeatAll();
  const double before = L1Share();
  EXPECT_GT(before, 0.99);
  const double refills = Metric("us-node-1", "meridian_refill_seconds_count");
  cluster_->Kill("us-node-2");
  ASSERT_TRUE(OthersKnow(2) && Settled("us-node-1", refills + 1));
  absl::SleepFor(absl::Seconds(2));
  const double after = L1Share();
  EXPECT_LT(after, 0.85);
  EXPECT_EQ(Sum("meridian_refill_keys_total"), 0);
  std::printf("L1 share of reads without refill: %.3f before, %.3f after\n", before, after);
}

TEST_F(RefillTest, ANodeThatIsRestartedIsReadyWhenItIsWarm) {
  // Slow enough to be seen, and nobody gives up.
  Start({"--refill-rate=200", "--ready-warmth-deadline=10m"});
  HeatAll();
  cluster_->Kill("us-node-2");
  ASSERT_TRUE(OthersKnow(2));
  // So that what the others have gained is saved by them.
  ASSERT_TRUE(WaitUntil([&] { return Sum("meridian_heat_keys") >= kKeys; }, kPatience));
  ASSERT_TRUE(WaitUntil(
      [&] {
        return Metric("us-node-1", "meridian_warmth_ratio") > 0.95 &&
               Metric("us-node-3", "meridian_warmth_ratio") > 0.95;
      },
      kPatience));
  absl::SleepFor(absl::Seconds(3));
  const absl::Time start = absl::Now();
  cluster_->Restart("us-node-2");  // Returns when it is ready.
  const absl::Duration took = absl::Now() - start;
  EXPECT_GE(Metric("us-node-2", "meridian_warmth_ratio"), 0.79);
  EXPECT_GT(Metric("us-node-2", "meridian_refill_keys_total", {"outcome=\"filled\""}), kKeys / 6);
  EXPECT_GT(took, absl::Seconds(2)) << "it cannot be warm so early, with 200 keys a second";
  const double share = L1Share();
  EXPECT_GT(share, 0.85);
  EXPECT_TRUE(WaitUntil(
      [&] { return ToldWarmth(cluster_->Address("us-coordinator-1", "grpc"), "us-node-2") > 0.95; },
      kPatience));
  std::printf("ready %s after its start, with warmth %.2f; L1 share of reads %.3f\n",
              absl::FormatDuration(took).c_str(), Metric("us-node-2", "meridian_warmth_ratio"),
              share);
}

// Of grpc.health.v1, as a load balancer asks it.
std::string Health(const std::string& address, const std::string& service) {
  using grpc::health::v1::HealthCheckRequest;
  using grpc::health::v1::HealthCheckResponse;
  grpc::TemplatedGenericStub<HealthCheckRequest, HealthCheckResponse> stub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  calls::SetDeadline(&context);
  HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse response;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [&](grpc::Status answer) {
                   status = std::move(answer);
                   done.Notify();
                 });
  done.WaitForNotification();
  if (!status.ok()) return status.error_message();
  return HealthCheckResponse::ServingStatus_Name(response.status());
}

TEST(WarmReadinessCallTest, WithRedisAwayANodeIsReadyAtTheDeadline) {
  auto redis = RedisProcess::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const std::string url = absl::StrCat("--redis=", (*redis)->url());
  (*redis)->Kill();
  const absl::Time start = absl::Now();
  TestNodeOptions options;
  options.until_ready = false;
  const auto node = TestNode::Start("n", {url, "--ready-warmth-deadline=4s"}, options);
  ASSERT_TRUE(node.ok()) << node.status();
  const absl::StatusOr<HttpPage> page = HttpGet((*node)->http(), "/readyz");
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->code, 503);
  EXPECT_TRUE(absl::StrContains(page->body, "warms up")) << page->body;
  EXPECT_EQ(Health((*node)->data(), ""), "NOT_SERVING");
  EXPECT_EQ(Health((*node)->data(), "meridian.live"), "SERVING") << "it would be restarted";
  EXPECT_TRUE(WaitUntil(
      [&] {
        const absl::StatusOr<HttpPage> again = HttpGet((*node)->http(), "/readyz");
        return again.ok() && again->code == 200;
      },
      kPatience));
  EXPECT_GE(absl::Now() - start, absl::Seconds(4));
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
  EXPECT_TRUE(WaitUntil([&] { return Health((*node)->data(), "") == "SERVING"; }, kPatience));
  EXPECT_EQ(Health((*node)->data(), "meridian.warm"), "NOT_SERVING") << "that is still true";
  // Redis comes back, without any digest: there is nothing that the node could lack.
  ASSERT_TRUE((*redis)->Restart().ok());
  EXPECT_TRUE(
      WaitUntil([&] { return Health((*node)->data(), "meridian.warm") == "SERVING"; }, kPatience));
}

TEST(WarmReadinessCallTest, ANewClusterWaitsForNothing) {
  auto redis = RedisProcess::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const auto node = TestNode::Start(
      "n", {absl::StrCat("--redis=", (*redis)->url()), "--ready-warmth-deadline=10m"});
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_TRUE(WaitUntil([&] { return Health((*node)->data(), "") == "SERVING"; }, kPatience));
  EXPECT_EQ(Health((*node)->admin(), "meridian.warm"), "SERVING");
}

}  // namespace
}  // namespace meridian
