// What the coordinator of one region tells of all, with real processes: sums of what is known, and
// a region that is away is said to be unknown, with its age, not counted as zeros.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/integration/http_json.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using nlohmann::json;

constexpr absl::Duration kLimit = absl::Seconds(60);

class ClusterScopeCallTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster({.regions = {"us", "eu", "asia"}, .nodes = 1, .coordinators = 2});
    ASSERT_NE(cluster_, nullptr);
    ASSERT_TRUE(WaitUntil([&] { return !Leader("us").empty() && !Leader("eu").empty(); }, kLimit));
  }
  // The HTTP address of the coordinator that leads a region.
  std::string Leader(const std::string& region) const { return WhoLeads(region, true); }
  std::string WhoLeads(const std::string& region, bool leads) const {
    for (const char* number : {"1", "2"}) {
      const std::string name = absl::StrCat(region, "-coordinator-", number);
      const std::string http = cluster_->Address(name, "http");
      if ((FetchMetric(http, "meridian_coordinator_leader") == 1) == leads) return http;
    }
    return "";
  }
  bool AskLeader(const std::string& region, const coordinator::v1::GetAnalyticsRequest& request,
                 coordinator::v1::GetAnalyticsResponse* response) const {
    for (const char* number : {"1", "2"}) {
      const auto stub = NewStub<coordinator::v1::CoordinatorService>(
          cluster_->Address(absl::StrCat(region, "-coordinator-", number), "grpc"));
      grpc::ClientContext context;
      if (stub->GetAnalytics(&context, request, response).ok()) return true;
    }
    return false;
  }
  json Overview() const { return FetchJson(Leader("us"), "/v1/cluster/overview?scope=cluster"); }
  // The entry of a region; nullptr: there is none.
  static json RegionOf(const json& answer, const std::string& region) {
    if (!answer.contains("regions")) return nullptr;
    for (const json& one : answer["regions"]) {
      if (one["region"] == region) return one;
    }
    return nullptr;
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(ClusterScopeCallTest, AllRegionsAreAddedUpAndOneThatIsAwayIsUnknown) {
  for (const char* region : {"us", "eu", "asia"}) {
    const auto stub = NewStub<cache::v1::CacheService>(
        cluster_->Address(absl::StrCat(region, "-node-1"), "data"));
    for (int i = 0; i < 10; ++i) calls::GetAll(*stub, {absl::StrCat(region, i), "other"});
  }
  ASSERT_TRUE(WaitUntil(
      [&] {
        const json now = Overview();
        return !now.is_null() && now["regions_known"] == 3 && now["totals"]["misses"] == 60;
      },
      kLimit))
      << Overview().dump(1).substr(0, 2000);
  const json now = Overview();
  EXPECT_EQ(now["regions_total"], 3);
  EXPECT_EQ(now["totals"]["nodes"], 3);
  EXPECT_EQ(now["totals"]["nodes_alive"], 3);
  EXPECT_EQ(now["regions"][0]["region"], "us") << "its own first";
  for (const char* region : {"us", "eu", "asia"}) {
    const json one = RegionOf(now, region);
    EXPECT_EQ(one["answer"]["region"], region);
    EXPECT_EQ(one["answer"]["totals"]["misses"], 20);
    EXPECT_LT(one["age_seconds"], 3.0);
    EXPECT_EQ(one["problem"], "");
  }
  const json of_standby = FetchJson(WhoLeads("us", false), "/v1/cluster/overview?scope=cluster");
  EXPECT_EQ(of_standby["regions_known"], 3) << "by the leader";
  EXPECT_EQ(of_standby["totals"]["nodes"], 3);
  // Any path of the cluster, with its own parameters.
  const json alerts = FetchJson(Leader("us"), "/v1/cluster/alerts?scope=cluster");
  EXPECT_EQ(alerts["regions_known"], 3);
  EXPECT_TRUE(alerts["regions"][2]["answer"]["alerts"].is_array());
  EXPECT_FALSE(alerts.contains("totals"));
  EXPECT_EQ(HttpGet(Leader("us"), "/v1/cluster/hotkeys?scope=cluster&limit=5")->code, 200);
  EXPECT_EQ(HttpGet(Leader("us"), "/v1/cluster/hotkeys?scope=cluster&limit=x")->code, 400);
  EXPECT_EQ(HttpGet(Leader("us"), "/v1/cluster/overview?scope=world")->code, 400);
  EXPECT_EQ(HttpGet(Leader("us"), "/v1/cluster/nothing?scope=cluster")->code, 404);
  EXPECT_EQ(FetchJson(Leader("us"), "/v1/cluster/overview?scope=region")["region"], "us");
  // Under the names of older dashboards, over HTTP and gRPC alike.
  const json stats = FetchJson(Leader("us"), "/v1/cache/stats?scope=cluster");
  EXPECT_EQ(stats["metrics"]["misses"], 60);
  EXPECT_EQ(stats["regions_known"], 3);
  EXPECT_EQ(RegionOf(stats, "eu")["answer"]["metrics"]["misses"], 20);
  EXPECT_EQ(FetchJson(Leader("us"), "/v1/cache/stats")["metrics"]["misses"], 20);
  coordinator::v1::GetAnalyticsRequest request;
  coordinator::v1::GetAnalyticsResponse told;
  for (const bool all : {true, false}) {
    request.set_all_regions(all);
    ASSERT_TRUE(AskLeader("us", request, &told));
    EXPECT_EQ(told.analytics().stats().metrics().misses(), all ? 60u : 20u);
    EXPECT_EQ(told.regions_size(), all ? 3 : 0);
  }

  cluster_->Stop("eu-coordinator-1");
  cluster_->Stop("eu-coordinator-2");
  ASSERT_TRUE(WaitUntil([&] { return RegionOf(Overview(), "eu")["problem"] != ""; }, kLimit));
  json away = RegionOf(Overview(), "eu");
  EXPECT_EQ(away["known"], true) << "what it said last is young enough";
  ASSERT_TRUE(WaitUntil([&] { return RegionOf(Overview(), "eu")["known"] == false; }, kLimit));
  const json without = Overview();
  away = RegionOf(without, "eu");
  EXPECT_TRUE(away["answer"].is_null());
  EXPECT_GE(away["age_seconds"], 15.0);
  EXPECT_EQ(without["regions_known"], 2);
  EXPECT_EQ(without["regions_total"], 3);
  EXPECT_EQ(without["totals"]["nodes"], 2);
  EXPECT_EQ(without["totals"]["misses"], 40);

  cluster_->Cont("eu-coordinator-1");
  cluster_->Cont("eu-coordinator-2");
  EXPECT_TRUE(WaitUntil([&] { return Overview()["regions_known"] == 3; }, kLimit));
}

}  // namespace
}  // namespace meridian
