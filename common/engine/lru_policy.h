// LruPolicy evicts the entry whose last insertion or hit is longest ago.

#ifndef MERIDIAN_COMMON_ENGINE_LRU_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_LRU_POLICY_H_

#include "common/engine/eviction_policy.h"
#include "common/engine/policy_list.h"

namespace meridian {

class LruPolicy final : public EvictionPolicy {
 public:
  void OnInsert(EntryNode& node) override { recent_first_.PushFront(node); }
  void OnHit(EntryNode& node) override { recent_first_.MoveToFront(node); }
  void OnRemove(EntryNode& node) override { recent_first_.Remove(node); }
  void OnMove(EntryNode& old, EntryNode& node) override { recent_first_.Replace(old, node); }
  bool Resize(PolicyLimits) override { return true; }
  EntryNode& Victim() override { return recent_first_.back(); }

 private:
  PolicySlots slots_;
  PolicyList recent_first_{slots_};
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_LRU_POLICY_H_
