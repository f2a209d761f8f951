// What a trial of a version of the policies is: the slots that it is for, and what of a policy can
// be tried on some slots at all.
//
// Thread safety: values and pure functions.

#ifndef MERIDIAN_SERVER_POLICY_POLICY_TRIAL_H_
#define MERIDIAN_SERVER_POLICY_POLICY_TRIAL_H_

#include <bitset>
#include <cstdint>
#include <memory>
#include <string_view>

#include "common/base/hash.h"
#include "server/policy/namespace_policy.h"
#include "server/policy/policy_table.h"

namespace meridian {

// A share of the slots, chosen by a hash of slot and version.
//
// Promise: exactly `percent` of the slots, to the nearest slot; with a larger percent the same ones
//   and more, so that nothing changes sides while a rollout grows; with another version others, so
//   that it is not always the same keys that meet what is new.
class TrialSlots {
 public:
  TrialSlots() = default;  // None.
  TrialSlots(uint64_t version, uint32_t percent);

  // REQUIRES: slot < kSlotCount.
  bool Has(uint32_t slot) const { return slots_[slot]; }
  size_t size() const { return slots_.count(); }

 private:
  std::bitset<kSlotCount> slots_;
};

// The policies of a node: one table for all slots, or while a rollout runs another for some of
// them.
struct PolicySet {
  std::shared_ptr<const PolicyTable> base;
  uint64_t base_version = 0;  // 0: the node's own file.
  std::shared_ptr<const PolicyTable> trial = nullptr;
  uint64_t trial_version = 0;
  uint32_t trial_percent = 0;  // 100: `trial` is for all slots.
};

// Whether a field (as in PolicyFields) belongs to the namespace as a whole, so that a rollout
// changes it when it reaches all slots, not before: the form of keys (which decides the slot),
// budgets in L1, the origin, where changes go.
bool IsOfWholeNamespace(std::string_view field);

// What is tried on some slots: `trial` with those fields as they are in `base`.
NamespacePolicy TrialPolicy(const NamespacePolicy& base, NamespacePolicy trial);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_POLICY_TRIAL_H_
