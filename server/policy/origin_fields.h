// The rows of the table of policy fields about origins and leases.
//
// Thread safety: pure function.

#ifndef MERIDIAN_SERVER_POLICY_ORIGIN_FIELDS_H_
#define MERIDIAN_SERVER_POLICY_ORIGIN_FIELDS_H_

#include <vector>

#include "server/policy/policy_fields.h"

namespace meridian {

std::vector<PolicyField> OriginFields();

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_ORIGIN_FIELDS_H_
