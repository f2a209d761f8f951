// FifoPolicy evicts the entry that was stored first, whatever was asked for since.

#ifndef MERIDIAN_COMMON_ENGINE_FIFO_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_FIFO_POLICY_H_

#include "common/engine/eviction_policy.h"
#include "common/engine/policy_list.h"

namespace meridian {

class FifoPolicy final : public EvictionPolicy {
 public:
  void OnInsert(EntryNode& node) override { newest_first_.PushFront(node); }
  void OnHit(EntryNode&) override {}
  void OnRemove(EntryNode& node) override { newest_first_.Remove(node); }
  void OnMove(EntryNode& old, EntryNode& node) override { newest_first_.Replace(old, node); }
  EntryNode& Victim() override { return newest_first_.back(); }

 private:
  PolicySlots slots_;
  PolicyList newest_first_{slots_};
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_FIFO_POLICY_H_
