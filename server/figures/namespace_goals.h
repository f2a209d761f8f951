// What the policies of the namespaces ask for, as the nodes of a region tell it, and whether it is
// reached: alerts, recommendations and the page say the same, since all of them ask here.
//
// Where nodes tell different goals, as while a change reaches them, the strictest counts.
// Thread safety: values and pure functions.

#ifndef MERIDIAN_SERVER_FIGURES_NAMESPACE_GOALS_H_
#define MERIDIAN_SERVER_FIGURES_NAMESPACE_GOALS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "meridian/admin/v1/admin_service.pb.h"
#include "server/figures/region_figures.h"
#include "server/node/read_figures.h"
#include "server/policy/namespace_policy.h"

namespace meridian {

// 0: there is no goal.
struct NamespaceGoals {
  double hit_rate = 0;    // 0..1
  double l1_latency = 0;  // Seconds, of the 95th percentile.
  double l2_latency = 0;
};

class GoalTable {
 public:
  // By the last answers of the members.
  explicit GoalTable(const RegionFigures& figures);

  NamespaceGoals Of(const std::string& name_space) const;

 private:
  std::map<std::string, NamespaceGoals> goals_;
};

void ToProto(const GoalsPolicy& goals, admin::v1::NamespaceFigures* proto);

// What is stricter of both.
NamespaceGoals Stricter(NamespaceGoals goals, const admin::v1::NamespaceFigures& row);

// Goals are judged by what was read in so long, and not by fewer reads.
inline constexpr absl::Duration kJudgedOver = absl::Minutes(5);
inline constexpr uint64_t kFewReadsToJudge = 100;

// A figure of the last kJudgedOver, beside its goal.
struct Judged {
  double value = 0;
  uint64_t reads = 0;    // Which it is of.
  double goal = 0;       // 0: there is none.
  bool at_most = false;  // The value is to be at most the goal; else at least.

  bool IsMissed() const {
    return goal > 0 && reads >= kFewReadsToJudge && (at_most ? value > goal : value < goal);
  }
};

Judged JudgeHitRate(const ReadCounts& reads, double goal);
// Of one tier, at the 95th percentile.
Judged JudgeLatency(const HistogramSnapshot& latency, double goal);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_NAMESPACE_GOALS_H_
