#include "server/figures/namespace_goals.h"

#include <algorithm>

#include "absl/time/time.h"

namespace meridian {
namespace {

// The lower bound of two latencies, of which 0 is none.
double Shorter(double a, double b) { return a == 0 || (b > 0 && b < a) ? b : a; }

}  // namespace

NamespaceGoals Stricter(NamespaceGoals goals, const admin::v1::NamespaceFigures& row) {
  return {.hit_rate = std::max(goals.hit_rate, row.hit_rate_goal()),
          .l1_latency = Shorter(goals.l1_latency, row.l1_latency_goal()),
          .l2_latency = Shorter(goals.l2_latency, row.l2_latency_goal())};
}

GoalTable::GoalTable(const RegionFigures& figures) {
  for (const auto& [id, node] : figures.nodes()) {
    if (!node.is_member) continue;
    for (const admin::v1::NamespaceFigures& row : node.figures.namespaces()) {
      NamespaceGoals& goals = goals_[row.namespace_()];
      goals = Stricter(goals, row);
    }
  }
}

NamespaceGoals GoalTable::Of(const std::string& name_space) const {
  const auto it = goals_.find(name_space);
  return it == goals_.end() ? NamespaceGoals() : it->second;
}

Judged JudgeHitRate(const ReadCounts& reads, double goal) {
  return {.value = Share(reads.hits(), reads.reads()), .reads = reads.reads(), .goal = goal};
}

Judged JudgeLatency(const HistogramSnapshot& latency, double goal) {
  return {.value = latency.Quantile(0.95), .reads = latency.count(), .goal = goal, .at_most = true};
}

void ToProto(const GoalsPolicy& goals, admin::v1::NamespaceFigures* proto) {
  proto->set_hit_rate_goal(goals.hit_rate);
  proto->set_l1_latency_goal(absl::ToDoubleSeconds(goals.l1_p95));
  proto->set_l2_latency_goal(absl::ToDoubleSeconds(goals.l2_p95));
}

}  // namespace meridian
