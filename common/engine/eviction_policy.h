// EvictionPolicy says which entry of a shard goes when the shard is full.
//
// The shard first inserts a new entry and then removes victims until it fits again, so a policy
// refuses admission by naming the newcomer itself.
// Cost: O(1) amortised and no allocation for each call: all run under the shard's lock. What
// a policy keeps of an entry is at an index of its own, which the node knows (policy_index), and in
// 16 bits of the node (policy_bits).
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_EVICTION_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_EVICTION_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/engine/entry_node.h"
#include "common/engine/key_hasher.h"

namespace meridian {

// What a policy may hold. A bound of 0 is none; at least one is set.
struct PolicyLimits {
  size_t bytes = 0;
  size_t entries = 0;
  ChargeMode charge = ChargeMode::kAll;  // How bytes are counted: EntryNode::charge(charge).
};

class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  // Every node in the shard was inserted once; it stays known until OnRemove, OnEvict or OnReplace.
  virtual void OnInsert(EntryNode& node) = 0;
  virtual void OnHit(EntryNode& node) = 0;
  // The node expired or was erased: not this policy's choice.
  virtual void OnRemove(EntryNode& node) = 0;
  // The node that Victim() named leaves for want of room: ghosts may remember it.
  virtual void OnEvict(EntryNode& node) { OnRemove(node); }
  // `node`, a newer version of the same key, takes the place of `old`: a write is a use.
  virtual void OnReplace(EntryNode& old, EntryNode& node) {
    OnRemove(old);
    OnInsert(node);
  }
  // `node`, the same entry in another block, takes the place of `old`: no use. Its policy_bits are
  // those of `old`. The default is wrong in the order alone, and blocks move seldom.
  virtual void OnMove(EntryNode& old, EntryNode& node) { OnReplace(old, node); }

  // The bounds have changed. False: it cannot follow, and is replaced by a new policy, to which the
  // nodes move over in the order of Victim().
  virtual bool Resize(PolicyLimits limits) { return false; }

  // The node worth least; it stays until OnEvict. REQUIRES: at least one node is known.
  virtual EntryNode& Victim() = 0;
};

// Policies of this name for the shards of a pool, one each; they may learn from each other.
// `hasher` is that of the engine, `seed` for policies that draw. REQUIRES: a shard or more. Returns
// kInvalidArgument naming the known ones.
absl::StatusOr<std::vector<std::unique_ptr<EvictionPolicy>>> CreateEvictionPolicies(
    std::string_view name, const std::vector<PolicyLimits>& shards, KeyHasher hasher,
    uint64_t seed);

// The names that CreateEvictionPolicy knows, sorted.
std::vector<std::string> EvictionPolicyNames();

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_EVICTION_POLICY_H_
