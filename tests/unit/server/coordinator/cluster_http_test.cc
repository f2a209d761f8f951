#include "server/coordinator/cluster_http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/coordinator/warming_lead.h"
#include "server/figures/alert_keeper.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"
#include "tests/support/fake_warm_reader.h"
#include "tests/unit/server/figures/fake_figure_transport.h"
#include "tests/unit/server/figures/fake_http_sender.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// Runs what is posted at once, so that who waits for it need not.
class InlineExecutor final : public Executor {
 public:
  explicit InlineExecutor(FakeClock& clock) : fake_(clock) {}

  void PostAfter(absl::Duration delay, Task task) override {
    fake_.PostAfter(delay, std::move(task));
    if (std::exchange(running_, true)) return;
    fake_.RunDue();
    running_ = false;
  }
  void RunFor(absl::Duration duration) {
    running_ = true;
    fake_.RunFor(duration);
    running_ = false;
  }

 private:
  FakeExecutor fake_;
  bool running_ = false;
};

class ClusterHttpTest : public testing::Test {
 protected:
  static CoordinatorOptions Options() {
    CoordinatorOptions options;
    options.id = "c1";
    options.membership.region = "us";
    options.lease.holder = "c1";
    return options;
  }

  // Leads, and has been told by n1 and n2 what they count.
  void Lead() {
    coordinator_.Start("c1:7410");
    collector_.Start();
    executor_.RunFor(absl::Seconds(2));
    ASSERT_TRUE(collector_.leading());
    for (const char* id : {"n1", "n2"}) {
      admin::v1::GetFiguresResponse answer = Answer(id);
      AddReads("task", Reads(80, 0, 20), &answer);
      const auto done = std::exchange(transport_.waiting[std::string(id) + ":7402"], nullptr);
      ASSERT_NE(done, nullptr);
      done(answer);
    }
    executor_.RunFor(absl::Seconds(1));
  }
  HttpReply Get(const std::string& path, const std::string& query = "") {
    const std::optional<HttpReply> reply = http_.Answer({.path = path, .query = query});
    return reply.value_or(HttpReply{.code = 404});
  }
  json Body(const std::string& path, const std::string& query = "") {
    const HttpReply reply = Get(path, query);
    EXPECT_EQ(reply.code, 200) << path << ": " << reply.body;
    return json::parse(reply.body, nullptr, false);
  }

  FakeClock clock_;
  InlineExecutor executor_{clock_};
  FakeLeaseStore leases_{clock_};
  std::unique_ptr<FakeLeaseStore::View> store_ = leases_.ViewFor(executor_);
  Coordinator coordinator_{Options(), clock_, executor_, *store_};
  FakeWarmReader reader_;
  MetricRegistry registry_;
  WarmMetrics warm_metrics_{registry_};
  Warmer warmer_{WarmerOptions(), WarmSettings(),
                 clock_,          executor_,
                 *store_,         reader_,
                 warm_metrics_,   [this] { return coordinator_.leader().leading; }};
  WarmingLead warming_{coordinator_, warmer_};
  HotKeyLead hot_keys_{coordinator_, *store_};
  RolloutLead rollouts_{PolicyRolloutsOptions(), coordinator_, *store_,
                        [] { return std::optional<VersionFigures>(); }};
  FakeFigureTransport transport_;
  FigureCollector collector_{
      FigureCollectorOptions(), clock_, executor_, transport_, [this](bool* leading) {
        *leading = coordinator_.leader().leading;
        return *leading ? std::vector<FollowedNode>{Follow("n1"), Follow("n2")}
                        : std::vector<FollowedNode>();
      }};
  AlertKeeper alerts_{
      collector_, clock_, nullptr, [this] {
        const LeaderView leader = coordinator_.leader();
        return StandbyView{"c1", leader.leading || !leader.address.empty(), leader.problem};
      }};
  Advisor advisor_{collector_, clock_, executor_, transport_, nullptr};
  ClusterHttp http_{ClusterHttp::Parts{coordinator_, warmer_, hot_keys_, rollouts_, collector_,
                                       transport_, alerts_.book(), advisor_},
                    UnitCosts()};
};

TEST_F(ClusterHttpTest, OtherPathsAreOthers) {
  EXPECT_FALSE(http_.Answer({.path = "/v1/nothing"}).has_value());
  EXPECT_FALSE(http_.Answer({.path = "/v1/cluster/nothing"}).has_value());
}

TEST_F(ClusterHttpTest, TheLeaderAnswersAllOfThem) {
  Lead();
  EXPECT_EQ(Body("/v1/cluster/overview")["totals"]["nodes_alive"], 2);
  EXPECT_EQ(Body("/v1/cluster/overview")["totals"]["hits"], 160);
  EXPECT_EQ(Body("/v1/cluster/ring")["owners"].size(), 1024u);
  EXPECT_TRUE(Body("/v1/cluster/alerts")["alerts"].is_array());
  EXPECT_TRUE(Body("/v1/cluster/recommendations")["recommendations"].is_array());
  EXPECT_TRUE(Body("/v1/cluster/hotkeys")["keys"].is_array());
  EXPECT_TRUE(Body("/v1/cluster/warming")["jobs"].is_array());
  EXPECT_TRUE(Body("/v1/cluster/rollouts")["rollouts"].is_array());
}

TEST_F(ClusterHttpTest, BadQueriesAreRefusedBeforeAnythingIsDone) {
  Lead();
  EXPECT_EQ(Get("/v1/cluster/overview", "scope=galaxy").code, 400);
  EXPECT_EQ(Get("/v1/cluster/alerts", "all=1").code, 400);
  EXPECT_EQ(Get("/v1/cluster/hotkeys", "limit=many").code, 400);
  EXPECT_EQ(Get("/v1/cluster/recommendations", "namespace=a%20b").code, 400);
  EXPECT_EQ(Get("/v1/cache/stats", "node=n9").code, 404);
}

TEST_F(ClusterHttpTest, AnalyticsAreTheSumOfTheNodesWithTheTtlThatOneOfThemTells) {
  Lead();
  admin::v1::GetAnalyticsResponse told;
  told.mutable_stats()->set_ttl_seconds(300);
  transport_.analytics = told;
  const json stats = Body("/v1/cache/stats", "namespace=task");
  EXPECT_EQ(stats["metrics"]["hits"], 160);
  EXPECT_EQ(stats["ttl_seconds"], 300.0);
  EXPECT_EQ(Body("/v1/cache/stats", "node=n1")["metrics"]["hits"], 80);
}

TEST_F(ClusterHttpTest, ATtlThatNobodyTellsIsNullAndNotZero) {
  Lead();
  transport_.analytics = absl::DeadlineExceededError("late");
  const json stats = Body("/v1/cache/stats");
  EXPECT_EQ(stats["metrics"]["hits"], 160) << "the rest is known";
  EXPECT_TRUE(stats["ttl_seconds"].is_null()) << stats;
  EXPECT_TRUE(Body("/v1/cache/metrics")["performance_dashboard"]["cache_efficiency"]["ttl_seconds"]
                  .is_null());
}

TEST_F(ClusterHttpTest, AStandbySaysWhoLeads) {
  const auto other = leases_.ViewFor(executor_);
  other->TryAcquire("coordinator", "c2", "c2:7410", absl::Hours(1), [](const auto&) {});
  coordinator_.Start("c1:7410");
  collector_.Start();
  executor_.RunFor(absl::Seconds(30));
  for (const char* path : {"/v1/cluster/overview", "/v1/cluster/alerts", "/v1/cache/stats"}) {
    const HttpReply reply = Get(path);
    EXPECT_EQ(reply.code, 503) << path;
    EXPECT_THAT(reply.body, HasSubstr("NOT_LEADER"));
    EXPECT_THAT(reply.body, HasSubstr("c2:7410"));
  }
}

TEST_F(ClusterHttpTest, WhileNobodyLeadsAStandbyTellsThatByItsAlerts) {
  store_->SetReachable(false);
  coordinator_.Start("c1:7410");
  collector_.Start();
  executor_.RunFor(absl::Seconds(15));
  const HttpReply overview = Get("/v1/cluster/overview");
  EXPECT_EQ(overview.code, 503);
  EXPECT_THAT(overview.body, HasSubstr("no leader is known: cut off"));
  const json alerts = Body("/v1/cluster/alerts")["alerts"];
  ASSERT_EQ(alerts.size(), 1u) << alerts;
  EXPECT_EQ(alerts[0]["name"], "MeridianRedisAway");
  EXPECT_EQ(alerts[0]["state"], "firing");
  store_->SetReachable(true);
  executor_.RunFor(absl::Seconds(30));
  const json later = Body("/v1/cluster/alerts")["alerts"];
  for (const json& alert : later) {
    if (alert["name"] == "MeridianNodeDown") continue;  // Nobody answers for n1 and n2 here.
    EXPECT_EQ(alert["state"], "resolved") << alert;
  }
}

TEST_F(ClusterHttpTest, OfAllRegionsTheOwnOneStandsFirstAndWhoIsAwayIsUnknown) {
  FakeHttpSender sender;
  OtherRegions others({{"eu", {*ParseHttpUrl("http://eu:7413")}}}, clock_, executor_, sender);
  http_.SetOtherRegions(&others);
  Lead();
  // Of a question that was asked a moment ago the answer is there.
  others.Ask("/v1/cluster/ring", [](const std::vector<RegionAnswer>&) {});
  sender.Answer(absl::UnavailableError("no connection"));
  const json body = Body("/v1/cluster/ring", "scope=cluster");
  ASSERT_EQ(body["regions"].size(), 2u);
  EXPECT_EQ(body["regions"][0]["region"], "us");
  EXPECT_EQ(body["regions"][1]["known"], false);
  EXPECT_EQ(body["regions"][1]["problem"], "no connection");
}

}  // namespace
}  // namespace meridian
