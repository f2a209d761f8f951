// PolicyQueue is a PolicyList that knows the bytes in it, for policies whose queues have bounds of
// their own: in entries, in bytes or in both, as the shard has.
//
// Cost: O(1) each call, no allocation. Does not own the nodes. Not movable.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_POLICY_QUEUE_H_
#define MERIDIAN_COMMON_ENGINE_POLICY_QUEUE_H_

#include <algorithm>
#include <cstddef>

#include "common/engine/eviction_policy.h"
#include "common/engine/policy_list.h"

namespace meridian {

// `share` (0 to 1) of the limits, rounded down, but no bound becomes 0, which would be none.
inline PolicyLimits ShareOf(PolicyLimits limits, double share) {
  const auto part = [share](size_t bound) {
    if (bound == 0) return size_t{0};
    return std::max<size_t>(static_cast<size_t>(static_cast<double>(bound) * share), 1);
  };
  return {.bytes = part(limits.bytes), .entries = part(limits.entries), .charge = limits.charge};
}

class PolicyQueue {
 public:
  // `slots`: see PolicyList.
  PolicyQueue(PolicySlots& slots, ChargeMode charge) : charge_(charge), list_(slots) {}

  bool empty() const { return list_.empty(); }
  size_t size() const { return list_.size(); }
  size_t bytes() const { return bytes_; }

  // REQUIRES: !empty().
  EntryNode& front() { return list_.front(); }
  EntryNode& back() { return list_.back(); }
  EntryNode* TowardsFront(EntryNode& node) { return list_.TowardsFront(node); }

  // Whether a bound is overrun.
  bool Exceeds(PolicyLimits limits) const {
    return (limits.bytes != 0 && bytes_ > limits.bytes) ||
           (limits.entries != 0 && size() > limits.entries);
  }

  // REQUIRES: `node` is in no PolicyList.
  void PushFront(EntryNode& node) {
    list_.PushFront(node);
    bytes_ += node.charge(charge_);
  }
  // REQUIRES: `node` is in this queue.
  void Remove(EntryNode& node) {
    list_.Remove(node);
    bytes_ -= node.charge(charge_);
  }
  void MoveToFront(EntryNode& node) { list_.MoveToFront(node); }
  // REQUIRES: `old` is in this queue, `node` in no PolicyList.
  void Replace(EntryNode& old, EntryNode& node) {
    list_.Replace(old, node);
    bytes_ += node.charge(charge_);
    bytes_ -= old.charge(charge_);
  }

 private:
  const ChargeMode charge_;
  PolicyList list_;
  size_t bytes_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_POLICY_QUEUE_H_
