// SievePolicy evicts the first entry, from old to new, that nobody asked for since it was looked
// at.
//
// SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi, "SIEVE is simpler than LRU", NSDI 2024): one queue in
// order of arrival, a bit an entry that a hit sets, and a hand that walks towards the newer
// entries, clears bits, and starts again at the oldest. The newcomer is not looked at. A hit only
// sets the bit. It does not resist loops that are larger than the cache.

#ifndef MERIDIAN_COMMON_ENGINE_SIEVE_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_SIEVE_POLICY_H_

#include "common/engine/eviction_policy.h"
#include "common/engine/policy_list.h"

namespace meridian {

class SievePolicy final : public EvictionPolicy {
 public:
  void OnInsert(EntryNode& node) override;
  void OnHit(EntryNode& node) override { node.policy_bits = kVisited; }
  void OnRemove(EntryNode& node) override;
  void OnEvict(EntryNode& node) override;
  void OnReplace(EntryNode& old, EntryNode& node) override;
  void OnMove(EntryNode& old, EntryNode& node) override;
  EntryNode& Victim() override;

 private:
  static constexpr uint16_t kVisited = 1;

  PolicySlots slots_;
  PolicyList newest_first_{slots_};
  EntryNode* newcomer_ = nullptr;  // For which room is made; the hand passes it over.
  EntryNode* hand_ = nullptr;      // In the list; nullptr: at the oldest.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_SIEVE_POLICY_H_
