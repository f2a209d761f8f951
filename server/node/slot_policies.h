// SlotPolicies says which policy the keys of a slot have: one for all slots, or while a rollout
// runs another one for some of them.
//
// A request takes one from its Namespace and asks it for each key, so that it sees one state of a
// rollout from start to end.
// Cost: without a trial one branch, which is always taken alike; with one, the test of a bit.
// Thread safety: immutable. What it names outlives it (Namespaces keeps all of it).

#ifndef MERIDIAN_SERVER_NODE_SLOT_POLICIES_H_
#define MERIDIAN_SERVER_NODE_SLOT_POLICIES_H_

#include <cstdint>

#include "server/policy/namespace_policy.h"
#include "server/policy/policy_trial.h"

namespace meridian {

// A policy, and the version of the policies that it is of (0: the node's own file).
struct VersionedPolicy {
  const NamespacePolicy* policy = nullptr;
  uint64_t version = 0;

  bool operator==(const VersionedPolicy&) const = default;
};

class SlotPolicies {
 public:
  explicit SlotPolicies(VersionedPolicy base) : base_(base) {}
  // `trial` is for the slots of `slots`. It is a TrialPolicy: what belongs to the namespace as a
  // whole is as in `base`.
  SlotPolicies(VersionedPolicy base, VersionedPolicy trial, const TrialSlots& slots)
      : base_(base), trial_(trial), slots_(&slots) {}

  // What belongs to the namespace as a whole, and what everything goes by when there is no trial.
  const NamespacePolicy& base() const { return *base_.policy; }

  bool HasTrial() const { return slots_ != nullptr; }
  bool IsTrial(uint32_t slot) const { return HasTrial() && slots_->Has(slot); }
  const NamespacePolicy& Of(uint32_t slot) const {
    return IsTrial(slot) ? *trial_.policy : *base_.policy;
  }
  uint64_t VersionOf(uint32_t slot) const { return IsTrial(slot) ? trial_.version : base_.version; }
  uint64_t base_version() const { return base_.version; }
  uint64_t trial_version() const { return trial_.version; }  // REQUIRES: HasTrial().

  // Whether some slots' policy is such.
  template <typename Predicate>
  bool Any(Predicate&& is_such) const {
    return is_such(*base_.policy) || (HasTrial() && is_such(*trial_.policy));
  }

  bool operator==(const SlotPolicies&) const = default;

 private:
  VersionedPolicy base_;
  VersionedPolicy trial_;
  const TrialSlots* slots_ = nullptr;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_SLOT_POLICIES_H_
