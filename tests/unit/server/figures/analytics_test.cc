#include "server/figures/analytics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/rpc/proto_json.h"
#include "server/figures/analytics_http.h"
#include "server/figures/figures_proto.h"

namespace meridian {
namespace {

using testing::DoubleNear;
using testing::HasSubstr;

HistogramSnapshot Of(uint64_t count, double average_ms) {
  Histogram histogram(LatencyBounds());
  if (count > 0) histogram.ObserveMany(average_ms / 1000, count);
  return histogram.Snapshot();
}

// A node that has answered so many reads of "task".
admin::v1::GetFiguresResponse Node(uint64_t hits, uint64_t misses) {
  admin::v1::GetFiguresResponse figures;
  for (const double bound : LatencyBounds()) figures.add_latency_bounds(bound);
  admin::v1::NamespaceFigures* row = figures.add_namespaces();
  row->set_namespace_("task");
  ReadCounts counts;
  counts.l1 = Of(hits, 45.2);
  counts.l2 = Of(0, 0);
  counts.miss = Of(misses, 285.6);
  ToProto(counts, row);
  figures.mutable_status()->set_uptime_seconds(3600);
  figures.mutable_status()->set_l1_entries(12);
  figures.mutable_status()->set_l1_bytes(48'000);
  admin::v1::L2Status* l2 = figures.mutable_status()->add_l2();
  l2->set_address("127.0.0.1:6379");
  l2->set_connected(true);
  for (const char* tier : {"l1", "l2", "origin"}) {
    figures.mutable_status()->add_fallback_chain(tier);
  }
  return figures;
}

admin::v1::GetAnalyticsResponse Ask(const std::vector<admin::v1::GetFiguresResponse>& nodes,
                                    std::string_view name_space = "", UnitCosts costs = {}) {
  return AnalyticsOf(nodes, {.name_space = name_space,
                             .ttl = absl::Seconds(300),
                             .costs = std::move(costs),
                             .now = absl::FromUnixSeconds(1'795'334'400)});
}

TEST(AnalyticsTest, Requirement3_01_TheExampleOfTheSource) {
  const admin::v1::CacheMetrics metrics = Ask({Node(42, 8)}).stats().metrics();
  EXPECT_EQ(metrics.hits(), 42);
  EXPECT_EQ(metrics.misses(), 8);
  EXPECT_EQ(metrics.total_requests(), 50);
  EXPECT_DOUBLE_EQ(metrics.hit_rate_percent(), 84.0);
  EXPECT_THAT(metrics.average_hit_latency_ms(), DoubleNear(45.2, 1e-9));
  EXPECT_THAT(metrics.average_miss_latency_ms(), DoubleNear(285.6, 1e-9));
  EXPECT_THAT(metrics.performance_gain_multiplier(), DoubleNear(6.3186, 1e-4));
  EXPECT_EQ(metrics.uptime_seconds(), 3600);
}

TEST(AnalyticsTest, Requirement3_02_StatsHaveTheFieldsOfTheSource) {
  const nlohmann::ordered_json stats = ToJson(Ask({Node(42, 8)}).stats());
  EXPECT_EQ(stats["cache_enabled"], true);
  EXPECT_EQ(stats["entries"], 12);
  EXPECT_EQ(stats["ttl_seconds"], 300.0);
  EXPECT_EQ(stats["metrics"]["hits"], 42) << "a number, not a text";
  EXPECT_EQ(stats["timestamp"], "2026-11-22T08:00:00.000Z");
}

TEST(AnalyticsTest, Requirement3_03_3_14_TimeSavedIsHitsByTheDifference) {
  const admin::v1::PerformanceDashboard dashboard = Ask({Node(42, 8)}).performance_dashboard();
  EXPECT_EQ(dashboard.cache_hit_rate(), "84.0%");
  EXPECT_EQ(dashboard.successful_hits(), 42);
  EXPECT_EQ(dashboard.cache_misses(), 8);
  EXPECT_EQ(dashboard.average_latency_comparison().performance_gain(), "6.32x");
  EXPECT_THAT(dashboard.average_latency_comparison().time_saved_per_hit_ms(),
              DoubleNear(240.4, 1e-6));
  EXPECT_THAT(dashboard.cumulative_time_saved().total_ms(), DoubleNear(10096.8, 1e-3));
  EXPECT_THAT(dashboard.cumulative_time_saved().total_seconds(), DoubleNear(10.0968, 1e-6));
  EXPECT_EQ(dashboard.cache_efficiency().memory_entries(), 12);
  EXPECT_THAT(dashboard.cache_efficiency().estimated_memory_mb(), DoubleNear(0.048, 1e-9));
}

TEST(AnalyticsTest, Requirement3_04_0_23_MoneyIsByTheConfiguredCostAndElseNotTold) {
  const admin::v1::CostSavings none = Ask({Node(42, 8)}).cost_savings();
  EXPECT_EQ(none.origin_queries_avoided(), 42);
  EXPECT_EQ(none.estimated_cost_savings(), 0);
  EXPECT_EQ(none.currency(), "");
  const admin::v1::CostSavings some = Ask({Node(42, 8)}, "", {0.01, "USD"}).cost_savings();
  EXPECT_DOUBLE_EQ(some.estimated_cost_savings(), 0.42);
  EXPECT_EQ(some.currency(), "USD");
}

TEST(AnalyticsTest, Requirement3_05_3_15_TheBands) {
  EXPECT_THAT(HitRateAdvice(0.97), HasSubstr("over-caching"));
  EXPECT_EQ(HitRateAdvice(0.84), "hit rate 84.0 %: optimal");
  EXPECT_EQ(HitRateAdvice(0.80), "hit rate 80.0 %: monitor it");
  EXPECT_EQ(HitRateAdvice(0.50), "hit rate 50.0 %: monitor it");
  EXPECT_THAT(HitRateAdvice(0.49), HasSubstr("change the TTL"));
  EXPECT_TRUE(Ask({Node(0, 0)}).optimization_recommendations().empty()) << "nothing to say";
}

TEST(AnalyticsTest, Requirement1_01_ANamespaceIsJudgedByItsGoal) {
  EXPECT_EQ(HitRateAdvice(0.97, 0.95), "hit rate 97.0 %: reaches its goal of 95 %");
  EXPECT_EQ(HitRateAdvice(0.94, 0.95), "hit rate 94.0 %: below its goal of 95 %");
  EXPECT_EQ(HitRateAdvice(0.46, 0.45), "hit rate 46.0 %: reaches its goal of 45 %");
}

TEST(AnalyticsTest, Requirement3_06_StatusFollowsRedis) {
  admin::v1::GetFiguresResponse node = Node(1, 1);
  EXPECT_EQ(Ask({node}).status().backends().redis(), "connected");
  EXPECT_EQ(Ask({node}).status().current_mode(), "dual");
  EXPECT_THAT(Ask({node}).status().fallback_chain(), testing::ElementsAre("l1", "l2", "origin"));
  node.mutable_status()->mutable_l2(0)->set_connected(false);
  EXPECT_EQ(Ask({node}).status().backends().redis(), "disconnected");
  EXPECT_EQ(Ask({node}).status().current_mode(), "memory");
  node.mutable_status()->clear_l2();
  const admin::v1::GetAnalyticsResponse alone = Ask({node});
  EXPECT_EQ(alone.status().backends().redis(), "disabled");
  EXPECT_FALSE(alone.cache_infrastructure().redis_enabled());
  EXPECT_THAT(alone.optimization_recommendations(),
              testing::Contains(HasSubstr("consider one if scaling")));
}

TEST(AnalyticsTest, NodesAreAddedUpAndNamespacesToldApart) {
  admin::v1::GetFiguresResponse other = Node(8, 2);
  admin::v1::NamespaceFigures* row = other.add_namespaces();
  ReadCounts counts;
  counts.l1 = Of(5, 1);
  counts.l2 = Of(5, 3);
  counts.miss = Of(0, 0);
  ToProto(counts, row);
  row->set_namespace_("session");
  const admin::v1::GetAnalyticsResponse all = Ask({Node(42, 8), other});
  EXPECT_EQ(all.cache_performance().hits(), 60);
  EXPECT_EQ(all.cache_performance().misses(), 10);
  EXPECT_EQ(all.cache_infrastructure().entries(), 24);
  const admin::v1::GetAnalyticsResponse one = Ask({Node(42, 8), other}, "session");
  EXPECT_EQ(one.cache_performance().hits(), 10);
  EXPECT_THAT(one.cache_performance().average_hit_latency_ms(), DoubleNear(2, 1e-9));
  EXPECT_EQ(one.cache_performance().performance_gain_multiplier(), 0) << "no miss is known";
}

TEST(AnalyticsHttpTest, AnswersTheFourPathsAndNoOthers) {
  const AnalyticsSource source = [](const HttpQuery& query) {
    return Ask({Node(42, 8)}, query.Get("namespace"));
  };
  for (const char* path :
       {"/v1/cache/stats", "/v1/cache/metrics", "/v1/analytics/dashboard", "/v1/cache/status"}) {
    const std::optional<HttpReply> reply = AnswerAnalytics({path, "namespace=task"}, source);
    ASSERT_TRUE(reply.has_value()) << path;
    EXPECT_EQ(reply->code, 200) << path;
    EXPECT_EQ(reply->content_type, "application/json");
    EXPECT_TRUE(nlohmann::json::accept(reply->body)) << reply->body;
  }
  EXPECT_FALSE(AnswerAnalytics({"/v1/cache/stats/", ""}, source).has_value());
  const auto code = [&](const std::string& query) {
    return AnswerAnalytics({"/v1/cache/stats", query}, source)->code;
  };
  EXPECT_EQ(code("node=n1"), 400) << "a node speaks for itself";
  EXPECT_EQ(code("scope=cluster"), 400);
  EXPECT_EQ(code("namespace=A%00"), 400);
  EXPECT_EQ(code("namespace=%zz"), 400);
  EXPECT_EQ(code("namespace=%f"), 400);
  EXPECT_EQ(code("namespace=a&namespace=b"), 400);
}

}  // namespace
}  // namespace meridian
