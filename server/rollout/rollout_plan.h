// How a version of the policies reaches all slots: stages, hold time and guards, as configured and
// as somebody asks for them.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_ROLLOUT_ROLLOUT_PLAN_H_
#define MERIDIAN_SERVER_ROLLOUT_ROLLOUT_PLAN_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"

namespace meridian {

// 10, 50, 100 % with four hours each (0-20); p99 not more than 5 % up, no rise of errors (0-21),
// the hit rate not more than five points down, looked at every ten seconds.
coordinator::v1::RolloutPlan ShippedPlan();

// `asked`, with what it does not say as in `defaults`. kInvalidArgument "FIELD_INVALID: field:
// why".
absl::StatusOr<coordinator::v1::RolloutPlan> CompletePlan(
    coordinator::v1::RolloutPlan asked, const coordinator::v1::RolloutPlan& defaults);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ROLLOUT_ROLLOUT_PLAN_H_
