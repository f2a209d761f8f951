// The policies that a coordinator assigns, as the protos have them. Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_POLICIES_PROTO_H_
#define MERIDIAN_SERVER_MEMBERSHIP_POLICIES_PROTO_H_

#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/policy/policy_follower.h"

namespace meridian {

AssignedPolicies FromProto(const coordinator::v1::PolicyAssignment& proto);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_POLICIES_PROTO_H_
