// SlotPolicies says which policy the keys of a slot have: one for all slots, or while a rollout
// runs another one for some of them.
//
// A request takes one from its Namespace and asks it for each key, so that it sees one state of a
// rollout from start to end. What it names lives as long as somebody has a copy of it.
// Cost: without a trial one branch, which is always taken alike; with one, the test of a bit. A
//   copy counts one reference.
// Thread safety: immutable.

#ifndef MERIDIAN_SERVER_NODE_SLOT_POLICIES_H_
#define MERIDIAN_SERVER_NODE_SLOT_POLICIES_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "server/policy/namespace_policy.h"
#include "server/policy/policy_trial.h"

namespace meridian {

// A policy, and the version of the policies that it is of (0: the node's own file).
struct VersionedPolicy {
  std::shared_ptr<const NamespacePolicy> policy;
  uint64_t version = 0;
};

class SlotPolicies {
 public:
  explicit SlotPolicies(VersionedPolicy base)
      : state_(std::make_shared<const State>(State{std::move(base), {}, nullptr})) {}
  // `trial` is for the slots of `slots`. It is a TrialPolicy: what belongs to the namespace as a
  // whole is as in `base`.
  SlotPolicies(VersionedPolicy base, VersionedPolicy trial, std::shared_ptr<const TrialSlots> slots)
      : state_(std::make_shared<const State>(
            State{std::move(base), std::move(trial), std::move(slots)})) {}

  // What belongs to the namespace as a whole, and what everything goes by when there is no trial.
  const NamespacePolicy& base() const& { return *state_->base.policy; }
  const NamespacePolicy& base() const&& = delete;  // It may be gone with what names it.

  bool HasTrial() const { return state_->slots != nullptr; }
  bool IsTrial(uint32_t slot) const { return HasTrial() && state_->slots->Has(slot); }
  const NamespacePolicy& Of(uint32_t slot) const& {
    return IsTrial(slot) ? *state_->trial.policy : *state_->base.policy;
  }
  const NamespacePolicy& Of(uint32_t slot) const&& = delete;
  uint64_t VersionOf(uint32_t slot) const {
    return IsTrial(slot) ? state_->trial.version : state_->base.version;
  }
  uint64_t base_version() const { return state_->base.version; }
  uint64_t trial_version() const { return state_->trial.version; }  // REQUIRES: HasTrial().

  // As base(), for who keeps it.
  const std::shared_ptr<const NamespacePolicy>& shared_base() const& { return state_->base.policy; }
  std::shared_ptr<const NamespacePolicy> shared_base() && { return state_->base.policy; }

  // Whether some slots' policy is such.
  template <typename Predicate>
  bool Any(Predicate&& is_such) const {
    return is_such(*state_->base.policy) || (HasTrial() && is_such(*state_->trial.policy));
  }

 private:
  struct State {
    VersionedPolicy base;
    VersionedPolicy trial;
    std::shared_ptr<const TrialSlots> slots;  // nullptr: no trial runs.
  };

  std::shared_ptr<const State> state_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_SLOT_POLICIES_H_
