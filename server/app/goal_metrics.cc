#include "server/app/goal_metrics.h"

#include <memory>
#include <string>
#include <vector>

#include "server/node/limits.h"

namespace meridian {
namespace {

using Samples = std::vector<MetricSample>;

// What `add` (name, goals, samples) makes of each namespace.
template <typename Add>
Samples SamplesOf(const NodeContext& context, Add add) {
  Samples samples;
  const std::shared_ptr<const PolicyTable> policies = context.namespaces.policies();
  for (const auto& [name, figures] : context.namespaces.Figures()) {
    if (!IsInternalNamespace(name)) add(name, policies->Of(name).goals, &samples);
  }
  return samples;
}

void AddHitRate(const std::string& name, const GoalsPolicy& goals, Samples* samples) {
  if (goals.hit_rate > 0) samples->push_back({{name}, goals.hit_rate});
}

void AddLatencies(const std::string& name, const GoalsPolicy& goals, Samples* samples) {
  const auto add = [&](const char* tier, absl::Duration goal) {
    if (goal == absl::ZeroDuration()) return;
    samples->push_back({{tier, name}, absl::ToDoubleSeconds(goal)});
  };
  add("l1", goals.l1_p95);
  add("l2", goals.l2_p95);
}

}  // namespace

void AddGoalMetrics(const NodeContext& context, MetricRegistry& registry) {
  registry.AddGauges({"meridian_cache_hit_goal_ratio",
                      "Share of reads that the policy wants L1 and L2 to answer.",
                      {"namespace"}},
                     [&context] { return SamplesOf(context, AddHitRate); });
  registry.AddGauges({"meridian_read_duration_goal_seconds",
                      "What the policy wants 95 % of the reads that a tier answers to stay below.",
                      {"tier", "namespace"}},
                     [&context] { return SamplesOf(context, AddLatencies); });
}

}  // namespace meridian
