#include "server/policy/goal_fields.h"

#include <string>

#include "server/policy/field_values.h"

namespace meridian {
namespace {

// Beyond the largest bound of the histograms of latencies no percentile is told.
constexpr absl::Duration kSlowestGoal = absl::Seconds(5);

absl::Status ReadGoal(const std::string& text, absl::Duration* target) {
  ASSIGN_OR_RETURN(*target, ParseDuration(text));
  if (*target <= kSlowestGoal) return absl::OkStatus();
  return Bad(text, absl::StrCat("from 0 to ", DurationText(kSlowestGoal)));
}

std::string GoalText(absl::Duration goal) {
  return goal == absl::ZeroDuration() ? "" : DurationText(goal);
}

}  // namespace

std::vector<PolicyField> GoalFields() {
  return {
      {"goals.hit_rate", "", "0..1",
       "Share of the reads that L1 and L2 are to answer: alerts, recommendations and the page "
       "judge "
       "the namespace by it, and not by the bounds for all; 0: no goal",
       "1-01, 2-13, 4-12", MERIDIAN_SET(ReadNumber(text, 0, 1, &policy.goals.hit_rate)), nullptr,
       nullptr, MERIDIAN_GET(policy.goals.hit_rate == 0 ? "" : NumberText(policy.goals.hit_rate))},
      {"goals.l1_p95", "", "0..5s",
       "What 95 % of the reads that L1 answers are to stay below, at the owner of the key; 0: no "
       "goal",
       "1-01, 4-07, 4-12", MERIDIAN_SET(ReadGoal(text, &policy.goals.l1_p95)), nullptr, nullptr,
       MERIDIAN_GET(GoalText(policy.goals.l1_p95))},
      {"goals.l2_p95", "", "l1_p95..5s", "The same of reads that L2 answers; 0: no goal",
       "1-01, 4-07, 4-12", MERIDIAN_SET(ReadGoal(text, &policy.goals.l2_p95)), nullptr, nullptr,
       MERIDIAN_GET(GoalText(policy.goals.l2_p95))},
  };
}

}  // namespace meridian
