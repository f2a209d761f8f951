// EvictionPolicy says which entry of a shard goes when the shard is full.
//
// The shard first inserts a new entry and then removes victims until it fits again, so a policy
// refuses admission by naming the newcomer itself.
// Cost: O(1) and no allocation for each call: all run under the shard's lock. The policy's links
//   are in the node.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_EVICTION_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_EVICTION_POLICY_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/engine/entry_node.h"

namespace meridian {

class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  // Every node in the shard was inserted once; it stays known until OnRemove.
  virtual void OnInsert(EntryNode& node) = 0;
  virtual void OnHit(EntryNode& node) = 0;
  virtual void OnRemove(EntryNode& node) = 0;

  // The node worth least; it stays until OnRemove. REQUIRES: at least one node is known.
  virtual EntryNode& Victim() = 0;
};

// A policy by name: "lru". Returns kInvalidArgument naming the known ones otherwise.
absl::StatusOr<std::unique_ptr<EvictionPolicy>> CreateEvictionPolicy(std::string_view name);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_EVICTION_POLICY_H_
