#include "common/engine/policy_list.h"

#include <utility>

namespace meridian {

PolicySlots::Index PolicySlots::Take(const EntryNode& node) {
  if (free_ == kNone) {
    slots_.push_back({.node = node.handle()});
    return static_cast<Index>(slots_.size() - 1);
  }
  const Index index = std::exchange(free_, slots_[free_].next);
  slots_[index].node = node.handle();
  return index;
}

void PolicyList::PushBack(EntryNode& node) {
  const Index index = slots_->Take(node);
  node.policy_index = index;
  Slot& slot = SlotOf(index);
  slot.next = PolicySlots::kNone;
  slot.prev = ends_.prev;
  SlotOf(ends_.prev).next = index;
  ends_.prev = index;
  ++size_;
}

}  // namespace meridian
