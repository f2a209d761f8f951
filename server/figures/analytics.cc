#include "server/figures/analytics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
#include "common/rpc/timestamp.h"
#include "server/figures/figures_proto.h"
#include "server/figures/namespace_goals.h"

namespace meridian {
namespace {

constexpr double kBytesPerMb = 1e6;
// Bounds of requirements 3-05 and 3-15.
constexpr double kOverCaching = 0.95;
constexpr double kOptimal = 0.80;
constexpr double kMonitor = 0.50;

struct Sums {
  NamespaceGoals goals;  // Of the namespace that is asked for.
  uint64_t hits = 0;
  uint64_t misses = 0;
  double hit_seconds = 0;  // Of all together.
  double miss_seconds = 0;
  uint64_t entries = 0;
  double memory_mb = 0;
  double uptime = 0;
  bool redis = false;
  bool connected = true;
  // NaN: not known; JSON has null for it.
  double ttl_seconds = std::numeric_limits<double>::quiet_NaN();
  google::protobuf::RepeatedPtrField<std::string> fallback_chain;
};

Sums SumsOf(std::span<const admin::v1::GetFiguresResponse> nodes, std::string_view name_space) {
  Sums sums;
  ReadCounts reads;
  uint64_t bytes = 0;
  for (const admin::v1::GetFiguresResponse& node : nodes) {
    const std::vector<double> bounds = BoundsOf(node);
    for (const admin::v1::NamespaceFigures& row : node.namespaces()) {
      if (!name_space.empty() && row.namespace_() != name_space) continue;
      reads += FromProto(row, bounds);
      if (!name_space.empty()) sums.goals = Stricter(sums.goals, row);
    }
    const admin::v1::GetStatusResponse& status = node.status();
    sums.uptime = std::max(sums.uptime, static_cast<double>(status.uptime_seconds()));
    if (status.l2_size() > 0 && !status.l2(0).address().empty()) {
      sums.redis = true;
      sums.connected &= status.l2(0).connected();
    }
    if (name_space.empty()) {
      sums.entries += status.l1_entries();
      bytes += status.l1_bytes();
      continue;
    }
    for (const admin::v1::NamespaceStats& row : status.namespaces()) {
      if (row.namespace_() != name_space) continue;
      sums.entries += row.l1_entries();
      bytes += row.l1_bytes();
    }
  }
  sums.connected &= sums.redis;
  sums.hits = reads.hits();
  sums.misses = reads.miss.count();
  sums.hit_seconds = reads.l1.sum + reads.l2.sum;
  sums.miss_seconds = reads.miss.sum;
  sums.memory_mb = static_cast<double>(bytes) / kBytesPerMb;
  if (!nodes.empty()) sums.fallback_chain = nodes[0].status().fallback_chain();
  return sums;
}

Sums SumsOf(std::span<const admin::v1::GetAnalyticsResponse> regions) {
  Sums sums;
  for (const admin::v1::GetAnalyticsResponse& region : regions) {
    const admin::v1::CacheMetrics& metrics = region.stats().metrics();
    sums.hits += metrics.hits();
    sums.misses += metrics.misses();
    sums.hit_seconds +=
        static_cast<double>(metrics.hits()) * metrics.average_hit_latency_ms() / 1000;
    sums.miss_seconds +=
        static_cast<double>(metrics.misses()) * metrics.average_miss_latency_ms() / 1000;
    sums.entries += region.stats().entries();
    sums.memory_mb += region.cache_infrastructure().estimated_memory_usage_mb();
    sums.uptime = std::max(sums.uptime, metrics.uptime_seconds());
    if (region.cache_infrastructure().redis_enabled()) {
      sums.redis = true;
      sums.connected &= region.cache_infrastructure().redis_connected();
    }
    const double ttl = region.stats().ttl_seconds();
    const bool same = &region == regions.data() || ttl == sums.ttl_seconds;
    sums.ttl_seconds = same ? ttl : std::numeric_limits<double>::quiet_NaN();
  }
  sums.connected &= sums.redis;
  if (!regions.empty()) sums.fallback_chain = regions[0].status().fallback_chain();
  return sums;
}

admin::v1::CacheMetrics MetricsOf(const Sums& sums) {
  admin::v1::CacheMetrics metrics;
  const double hits = static_cast<double>(sums.hits);
  const double misses = static_cast<double>(sums.misses);
  metrics.set_hits(sums.hits);
  metrics.set_misses(sums.misses);
  metrics.set_total_requests(sums.hits + sums.misses);
  if (hits + misses > 0) metrics.set_hit_rate_percent(100 * hits / (hits + misses));
  if (hits > 0) metrics.set_average_hit_latency_ms(1000 * sums.hit_seconds / hits);
  if (misses > 0) metrics.set_average_miss_latency_ms(1000 * sums.miss_seconds / misses);
  if (metrics.average_hit_latency_ms() > 0 && metrics.average_miss_latency_ms() > 0) {
    metrics.set_performance_gain_multiplier(metrics.average_miss_latency_ms() /
                                            metrics.average_hit_latency_ms());
  }
  metrics.set_uptime_seconds(sums.uptime);
  return metrics;
}

admin::v1::GetAnalyticsResponse ResponseOf(const Sums& sums, const UnitCosts& costs,
                                           absl::Time time) {
  const admin::v1::CacheMetrics metrics = MetricsOf(sums);
  const std::string now = Rfc3339(time);
  admin::v1::GetAnalyticsResponse response;

  admin::v1::CacheStats& stats = *response.mutable_stats();
  stats.set_cache_enabled(true);
  stats.set_entries(sums.entries);
  stats.set_ttl_seconds(sums.ttl_seconds);
  *stats.mutable_metrics() = metrics;
  stats.set_timestamp(now);

  admin::v1::PerformanceDashboard& dashboard = *response.mutable_performance_dashboard();
  dashboard.set_cache_hit_rate(absl::StrFormat("%.1f%%", metrics.hit_rate_percent()));
  dashboard.set_total_requests(metrics.total_requests());
  dashboard.set_successful_hits(metrics.hits());
  dashboard.set_cache_misses(metrics.misses());
  admin::v1::LatencyComparison& comparison = *dashboard.mutable_average_latency_comparison();
  comparison.set_cached_ms(metrics.average_hit_latency_ms());
  comparison.set_uncached_ms(metrics.average_miss_latency_ms());
  if (metrics.performance_gain_multiplier() > 0) {
    comparison.set_performance_gain(
        absl::StrFormat("%.2fx", metrics.performance_gain_multiplier()));
    comparison.set_time_saved_per_hit_ms(
        std::max(0.0, metrics.average_miss_latency_ms() - metrics.average_hit_latency_ms()));
  }
  admin::v1::TimeSaved& saved = *dashboard.mutable_cumulative_time_saved();
  saved.set_total_ms(static_cast<double>(metrics.hits()) * comparison.time_saved_per_hit_ms());
  saved.set_total_seconds(saved.total_ms() / 1000);
  admin::v1::CacheEfficiency& efficiency = *dashboard.mutable_cache_efficiency();
  efficiency.set_memory_entries(sums.entries);
  efficiency.set_ttl_seconds(sums.ttl_seconds);
  efficiency.set_uptime_seconds(sums.uptime);
  efficiency.set_estimated_memory_mb(sums.memory_mb);

  *response.mutable_cache_performance() = metrics;
  *response.mutable_total_time_saved() = saved;
  admin::v1::CostSavings& money = *response.mutable_cost_savings();
  money.set_origin_queries_avoided(metrics.hits());
  if (costs.origin_query > 0) {
    money.set_estimated_cost_savings(static_cast<double>(metrics.hits()) * costs.origin_query);
    money.set_currency(costs.currency);
  }
  admin::v1::CacheInfrastructure& infrastructure = *response.mutable_cache_infrastructure();
  infrastructure.set_memory_enabled(true);
  infrastructure.set_redis_enabled(sums.redis);
  infrastructure.set_redis_connected(sums.connected);
  infrastructure.set_entries(sums.entries);
  infrastructure.set_estimated_memory_usage_mb(sums.memory_mb);
  if (metrics.total_requests() > 0) {
    response.add_optimization_recommendations(
        HitRateAdvice(metrics.hit_rate_percent() / 100, sums.goals.hit_rate));
  }
  if (!sums.redis) {
    response.add_optimization_recommendations(
        "no Redis: consider one if scaling to multiple instances");
  }

  admin::v1::CacheStatus& status = *response.mutable_status();
  status.mutable_backends()->set_memory("active");
  status.mutable_backends()->set_redis(!sums.redis      ? "disabled"
                                       : sums.connected ? "connected"
                                                        : "disconnected");
  status.set_current_mode(sums.connected ? "dual" : "memory");
  *status.mutable_fallback_chain() = sums.fallback_chain;
  status.set_timestamp(now);
  return response;
}

}  // namespace

admin::v1::GetAnalyticsResponse AnalyticsOf(std::span<const admin::v1::GetFiguresResponse> nodes,
                                            const AnalyticsQuestion& question) {
  Sums sums = SumsOf(nodes, question.name_space);
  if (question.ttl.has_value()) sums.ttl_seconds = absl::ToDoubleSeconds(*question.ttl);
  return ResponseOf(sums, question.costs, question.now);
}

admin::v1::GetAnalyticsResponse SumOf(std::span<const admin::v1::GetAnalyticsResponse> regions,
                                      const AnalyticsSum& how) {
  Sums sums = SumsOf(regions);
  sums.goals.hit_rate = how.hit_rate_goal;
  return ResponseOf(sums, how.costs, how.now);
}

std::string HitRateAdvice(double hit_rate, double goal) {
  if (goal > 0) {
    return absl::StrFormat("hit rate %.1f %%: %s its goal of %g %%", 100 * hit_rate,
                           hit_rate < goal ? "below" : "reaches", 100 * goal);
  }
  const char* meaning = hit_rate > kOverCaching ? "above 95 %: it may be over-caching; check that "
                                                  "what is served is fresh enough for its users"
                        : hit_rate > kOptimal   ? "optimal"
                        : hit_rate >= kMonitor  ? "monitor it"
                                               : "below 50 %: change the TTL or the pattern of the "
                                                 "queries";
  return absl::StrFormat("hit rate %.1f %%: %s", 100 * hit_rate, meaning);
}

}  // namespace meridian
