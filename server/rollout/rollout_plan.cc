#include "server/rollout/rollout_plan.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace meridian {
namespace {

using coordinator::v1::RolloutGuards;
using coordinator::v1::RolloutPlan;

constexpr int kMostStages = 10;
constexpr uint64_t kLongestHoldMs = uint64_t{7} * 24 * 3600 * 1000;
constexpr uint64_t kShortestIntervalMs = 100;
constexpr uint64_t kLongestIntervalMs = 3'600'000;
constexpr double kMostP99Rise = 100;

absl::Status Invalid(const char* field, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("FIELD_INVALID: plan.", field, ": ", why));
}

absl::Status CheckBound(const char* field, double value, double most) {
  if (value >= 0 && value <= most) return absl::OkStatus();  // Not of what is no number.
  return Invalid(field, absl::StrCat(value, " is not in 0..", most));
}

absl::Status CheckStages(const RolloutPlan& plan) {
  if (plan.percents_size() > kMostStages) {
    return Invalid("percents", absl::StrCat(plan.percents_size(), " stages; at most ", kMostStages,
                                            " are allowed"));
  }
  uint32_t before = 0;
  for (const uint32_t percent : plan.percents()) {
    if (percent <= before || percent > 100) {
      return Invalid("percents", absl::StrCat(percent, " after ", before,
                                              ": shares of the slots ascend, up to 100"));
    }
    before = percent;
  }
  if (before != 100) {
    return Invalid("percents", absl::StrCat("ends with ", before, "; the last stage is 100"));
  }
  return absl::OkStatus();
}

}  // namespace

RolloutPlan ShippedPlan() {
  RolloutPlan plan;
  for (const uint32_t percent : {10, 50, 100}) plan.add_percents(percent);
  plan.set_hold_ms(uint64_t{4} * 3600 * 1000);
  RolloutGuards& guards = *plan.mutable_guards();
  guards.set_min_hit_rate(0);
  guards.set_max_hit_rate_drop(0.05);
  guards.set_max_p99_rise(0.05);
  guards.set_max_error_rise(0);
  guards.set_interval_ms(10'000);
  guards.set_min_reads(1000);
  return plan;
}

absl::StatusOr<RolloutPlan> CompletePlan(RolloutPlan asked, const RolloutPlan& defaults) {
  if (asked.percents().empty()) *asked.mutable_percents() = defaults.percents();
  if (asked.hold_ms() == 0) asked.set_hold_ms(defaults.hold_ms());
  RolloutGuards guards = defaults.guards();
  guards.MergeFrom(asked.guards());
  *asked.mutable_guards() = guards;
  RETURN_IF_ERROR(CheckStages(asked));
  if (asked.hold_ms() > kLongestHoldMs) return Invalid("hold_ms", "is longer than 7 days");
  RETURN_IF_ERROR(CheckBound("guards.min_hit_rate", guards.min_hit_rate(), 1));
  RETURN_IF_ERROR(CheckBound("guards.max_hit_rate_drop", guards.max_hit_rate_drop(), 1));
  RETURN_IF_ERROR(CheckBound("guards.max_p99_rise", guards.max_p99_rise(), kMostP99Rise));
  RETURN_IF_ERROR(CheckBound("guards.max_error_rise", guards.max_error_rise(), 1));
  if (guards.interval_ms() < kShortestIntervalMs || guards.interval_ms() > kLongestIntervalMs) {
    return Invalid("guards.interval_ms",
                   absl::StrCat(guards.interval_ms(), " is not in ", kShortestIntervalMs, "..",
                                kLongestIntervalMs));
  }
  if (guards.min_reads() == 0) return Invalid("guards.min_reads", "is 0");
  return asked;
}

}  // namespace meridian
