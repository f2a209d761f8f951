// What becomes of a PolicyDraft: fields that were not given are filled in, and the whole is
// checked.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_POLICY_POLICY_DRAFT_H_
#define MERIDIAN_SERVER_POLICY_POLICY_DRAFT_H_

#include <string>

#include "server/policy/heat_tier.h"
#include "server/policy/namespace_policy.h"
#include "server/policy/policy_fields.h"

namespace meridian {

// A rule between fields that does not hold.
struct PolicyProblem {
  std::string field;  // The given one that is to change; empty: the namespace.
  std::string what;
};

// Fills `*policy`; false fills `*problem`.
bool FinishPolicy(const PolicyDraft& draft, const HeatTiers& tiers, NamespacePolicy* policy,
                  PolicyProblem* problem);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_POLICY_DRAFT_H_
