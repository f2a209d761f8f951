// The rows of the table of policy fields about what a namespace is to reach.
//
// Thread safety: pure function.

#ifndef MERIDIAN_SERVER_POLICY_GOAL_FIELDS_H_
#define MERIDIAN_SERVER_POLICY_GOAL_FIELDS_H_

#include <vector>

#include "server/policy/policy_fields.h"

namespace meridian {

std::vector<PolicyField> GoalFields();

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_GOAL_FIELDS_H_
