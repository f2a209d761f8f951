#include "server/figures/analytics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
#include "common/rpc/timestamp.h"
#include "server/figures/figures_proto.h"

namespace meridian {
namespace {

constexpr double kBytesPerMb = 1e6;
// Bounds of requirements 3-05 and 3-15.
constexpr double kOverCaching = 0.95;
constexpr double kOptimal = 0.80;
constexpr double kMonitor = 0.50;

struct Sums {
  ReadCounts reads;
  uint64_t entries = 0;
  uint64_t bytes = 0;
  double uptime = 0;
  bool redis = false;
  bool connected = true;
};

Sums SumOf(std::span<const admin::v1::GetFiguresResponse> nodes, std::string_view name_space) {
  Sums sums;
  for (const admin::v1::GetFiguresResponse& node : nodes) {
    const std::vector<double> bounds = BoundsOf(node);
    for (const admin::v1::NamespaceFigures& row : node.namespaces()) {
      if (!name_space.empty() && row.namespace_() != name_space) continue;
      sums.reads += FromProto(row, bounds);
    }
    const admin::v1::GetStatusResponse& status = node.status();
    sums.uptime = std::max(sums.uptime, static_cast<double>(status.uptime_seconds()));
    if (status.l2_size() > 0 && !status.l2(0).address().empty()) {
      sums.redis = true;
      sums.connected &= status.l2(0).connected();
    }
    if (name_space.empty()) {
      sums.entries += status.l1_entries();
      sums.bytes += status.l1_bytes();
      continue;
    }
    for (const admin::v1::NamespaceStats& row : status.namespaces()) {
      if (row.namespace_() != name_space) continue;
      sums.entries += row.l1_entries();
      sums.bytes += row.l1_bytes();
    }
  }
  sums.connected &= sums.redis;
  return sums;
}

admin::v1::CacheMetrics MetricsOf(const Sums& sums) {
  admin::v1::CacheMetrics metrics;
  const double hits = static_cast<double>(sums.reads.hits());
  const double misses = static_cast<double>(sums.reads.miss.count());
  metrics.set_hits(sums.reads.hits());
  metrics.set_misses(sums.reads.miss.count());
  metrics.set_total_requests(sums.reads.reads());
  if (hits + misses > 0) metrics.set_hit_rate_percent(100 * hits / (hits + misses));
  if (hits > 0) {
    metrics.set_average_hit_latency_ms(1000 * (sums.reads.l1.sum + sums.reads.l2.sum) / hits);
  }
  if (misses > 0) metrics.set_average_miss_latency_ms(1000 * sums.reads.miss.sum / misses);
  if (metrics.average_hit_latency_ms() > 0 && metrics.average_miss_latency_ms() > 0) {
    metrics.set_performance_gain_multiplier(metrics.average_miss_latency_ms() /
                                            metrics.average_hit_latency_ms());
  }
  metrics.set_uptime_seconds(sums.uptime);
  return metrics;
}

}  // namespace

admin::v1::GetAnalyticsResponse AnalyticsOf(std::span<const admin::v1::GetFiguresResponse> nodes,
                                            const AnalyticsQuestion& question) {
  const Sums sums = SumOf(nodes, question.name_space);
  const admin::v1::CacheMetrics metrics = MetricsOf(sums);
  // JSON has null for it.
  const double ttl_seconds = question.ttl.has_value() ? absl::ToDoubleSeconds(*question.ttl)
                                                      : std::numeric_limits<double>::quiet_NaN();
  const double memory_mb = static_cast<double>(sums.bytes) / kBytesPerMb;
  const std::string now = Rfc3339(question.now);
  admin::v1::GetAnalyticsResponse response;

  admin::v1::CacheStats& stats = *response.mutable_stats();
  stats.set_cache_enabled(true);
  stats.set_entries(sums.entries);
  stats.set_ttl_seconds(ttl_seconds);
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
  efficiency.set_ttl_seconds(ttl_seconds);
  efficiency.set_uptime_seconds(sums.uptime);
  efficiency.set_estimated_memory_mb(memory_mb);

  *response.mutable_cache_performance() = metrics;
  *response.mutable_total_time_saved() = saved;
  admin::v1::CostSavings& money = *response.mutable_cost_savings();
  money.set_origin_queries_avoided(metrics.hits());
  if (question.costs.origin_query > 0) {
    money.set_estimated_cost_savings(static_cast<double>(metrics.hits()) *
                                     question.costs.origin_query);
    money.set_currency(question.costs.currency);
  }
  admin::v1::CacheInfrastructure& infrastructure = *response.mutable_cache_infrastructure();
  infrastructure.set_memory_enabled(true);
  infrastructure.set_redis_enabled(sums.redis);
  infrastructure.set_redis_connected(sums.connected);
  infrastructure.set_entries(sums.entries);
  infrastructure.set_estimated_memory_usage_mb(memory_mb);
  if (metrics.total_requests() > 0) {
    response.add_optimization_recommendations(HitRateAdvice(metrics.hit_rate_percent() / 100));
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
  if (!nodes.empty()) *status.mutable_fallback_chain() = nodes[0].status().fallback_chain();
  status.set_timestamp(now);
  return response;
}

std::string HitRateAdvice(double hit_rate) {
  const char* meaning = hit_rate > kOverCaching ? "above 95 %: it may be over-caching; check that "
                                                  "what is served is fresh enough for its users"
                        : hit_rate > kOptimal   ? "optimal"
                        : hit_rate >= kMonitor  ? "monitor it"
                                               : "below 50 %: change the TTL or the pattern of the "
                                                 "queries";
  return absl::StrFormat("hit rate %.1f %%: %s", 100 * hit_rate, meaning);
}

}  // namespace meridian
