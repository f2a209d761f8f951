#include "server/coordinator/cluster_http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
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

// Answers at once.
class PromptSender final : public HttpSender {
 public:
  void Send(HttpCall call, Done done) override {
    calls.push_back(std::move(call));
    done(answer);
  }

  absl::StatusOr<HttpAnswer> answer = HttpAnswer{.code = 200, .body = "of the leader"};
  std::vector<HttpCall> calls;
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
  // Another one leads, which this standby may ask over HTTP.
  void StandBy() {
    http_.SetForward(&forward_);
    const auto other = leases_.ViewFor(executor_);
    other->TryAcquire("coordinator", {"c2", "c2:7410", "c2:7413"}, absl::Hours(1),
                      [](const auto&) {});
    coordinator_.Start("c1:7410", "c1:7413");
    collector_.Start();
    executor_.RunFor(absl::Seconds(30));
    ASSERT_EQ(coordinator_.leader().http_address, "c2:7413");
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
        return CoordinatorView{"c1", leader.leading || !leader.address.empty(), leader.problem};
      }};
  Advisor advisor_{collector_, clock_, executor_, transport_, nullptr};
  ClusterAnalytics analytics_{coordinator_, collector_, transport_, UnitCosts()};
  ClusterHttp http_{ClusterHttp::Parts{coordinator_, warmer_, hot_keys_, rollouts_, collector_,
                                       analytics_, alerts_.book(), advisor_}};
  PromptSender leader_;
  LeaderForward forward_{clock_, executor_, leader_};
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
  for (const char* limit : {"limit=many", "limit=0", "limit=1001", "limit=-1"}) {
    const HttpReply reply = Get("/v1/cluster/hotkeys", limit);
    EXPECT_EQ(reply.code, 400) << limit;
    EXPECT_THAT(reply.body, testing::HasSubstr("is not in 1..1000")) << limit;
  }
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

TEST_F(ClusterHttpTest, AnalyticsOfAllRegionsAreSumsUnderTheSameNames) {
  FakeHttpSender sender;
  OtherRegions others({{"eu", {*ParseHttpUrl("http://eu:7413")}}}, clock_, executor_, sender);
  analytics_.SetOtherRegions(&others);
  Lead();
  // What this region tells the others, and, of a question that was asked a moment ago, eu has.
  const json own = Body("/v1/cluster/analytics");
  EXPECT_EQ(own["stats"]["metrics"]["hits"], 160);
  others.Ask("/v1/cluster/analytics", [](const std::vector<RegionAnswer>&) {});
  sender.Answer(200, own.dump());
  const json stats = Body("/v1/cache/stats", "scope=cluster");
  EXPECT_EQ(stats["scope"], "cluster");
  EXPECT_EQ(stats["metrics"]["hits"], 320);
  EXPECT_EQ(stats["regions_known"], 2);
  ASSERT_EQ(stats["regions"].size(), 2u);
  EXPECT_EQ(stats["regions"][1]["region"], "eu");
  EXPECT_EQ(stats["regions"][1]["answer"]["metrics"]["hits"], 160);
  for (const char* path : {"/v1/cache/metrics", "/v1/analytics/dashboard", "/v1/cache/status"}) {
    EXPECT_EQ(Body(path, "scope=cluster")["regions"].size(), 2u) << path;
  }
  EXPECT_FALSE(Body("/v1/cache/stats", "scope=region").contains("regions"));
  EXPECT_EQ(Get("/v1/cache/stats", "scope=cluster&node=n1").code, 400);
}

TEST_F(ClusterHttpTest, AStandbySaysWhoLeads) {
  const auto other = leases_.ViewFor(executor_);
  other->TryAcquire("coordinator", {"c2", "c2:7410"}, absl::Hours(1), [](const auto&) {});
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

TEST_F(ClusterHttpTest, AStandbyGivesBackWhatTheLeaderAnswersWhateverItIs) {
  StandBy();
  for (const char* target :
       {"/v1/cluster/overview", "/v1/cluster/alerts", "/v1/cluster/ring?scope=cluster",
        "/v1/cluster/hotkeys?limit=5&namespace=task", "/v1/cluster/of-a-newer-release",
        "/v1/cache/stats?scope=cluster", "/v1/cache/metrics", "/v1/analytics/dashboard",
        "/v1/cache/status?node=n1", "/v1/cluster/analytics?namespace=task"}) {
    for (const int code : {200, 400, 503}) {
      leader_.answer = HttpAnswer{.code = code, .body = absl::StrCat("its ", target)};
      const std::vector<std::string> parts = absl::StrSplit(target, '?');
      const HttpReply reply = Get(parts[0], parts.size() > 1 ? parts[1] : "");
      EXPECT_EQ(reply.code, code) << target;
      EXPECT_EQ(reply.body, absl::StrCat("its ", target));
      EXPECT_EQ(leader_.calls.back().url.target, target);
      EXPECT_EQ(leader_.calls.back().url.authority(), "c2:7413");
      EXPECT_TRUE(leader_.calls.back().forwarded);
    }
  }
}

TEST_F(ClusterHttpTest, WhatWasForwardedIsNotForwardedAgain) {
  StandBy();
  const HttpReply reply = *http_.Answer({.path = "/v1/cluster/overview", .forwarded = true});
  EXPECT_EQ(reply.code, 503);
  EXPECT_THAT(reply.body, HasSubstr("NOT_LEADER"));
  EXPECT_TRUE(leader_.calls.empty());
}

TEST_F(ClusterHttpTest, ALeaderThatDoesNotAnswerIsSaid) {
  StandBy();
  leader_.answer = absl::UnavailableError("no connection to c2:7413");
  const HttpReply reply = Get("/v1/cluster/alerts");
  EXPECT_EQ(reply.code, 503);
  EXPECT_THAT(reply.body, HasSubstr("NOT_LEADER"));
  EXPECT_THAT(reply.body, HasSubstr("no connection to c2:7413"));
}

TEST_F(ClusterHttpTest, WhatCannotStandInARequestLineIsNotForwarded) {
  StandBy();
  for (const char* path : {"/v1/cluster/ring HTTP/1.1\r\nHost: x\r\n\r\n", "/v1/cluster/a b",
                           "/v1/cluster/\xc3\xa9"}) {
    EXPECT_EQ(Get(path).code, 404) << path;
  }
  EXPECT_EQ(Get("/v1/cluster/overview", "a=b\r\nX: y").code, 400);
  EXPECT_EQ(Get("/metrics").code, 404) << "somebody else's";
  EXPECT_TRUE(leader_.calls.empty());
}

TEST_F(ClusterHttpTest, WhoLeadsAsksNobody) {
  http_.SetForward(&forward_);
  Lead();
  EXPECT_EQ(Body("/v1/cluster/overview")["totals"]["nodes_alive"], 2);
  EXPECT_TRUE(leader_.calls.empty());
}

TEST_F(ClusterHttpTest, WhileNobodyLeadsAStandbyTellsThatByItsAlerts) {
  http_.SetForward(&forward_);
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
