#include "server/membership/policies_proto.h"

namespace meridian {

AssignedPolicies FromProto(const coordinator::v1::PolicyAssignment& proto) {
  AssignedPolicies assigned;
  assigned.revision = proto.revision();
  assigned.base = {proto.base().version(), proto.base().yaml()};
  if (proto.has_trial()) assigned.trial = {proto.trial().version(), proto.trial().yaml()};
  assigned.trial_percent = proto.trial_percent();
  return assigned;
}

}  // namespace meridian
