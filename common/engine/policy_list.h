// PolicyList is the queue that eviction policies are made of: a doubly linked list of nodes, front
// to back. Its links are in PolicySlots, which the lists of one policy share: small and dense, so
// that to move an entry touches none of its neighbours. A node is in at most one PolicyList.
//
// Cost: O(1) each call; 12 bytes a node, which double as they grow, and nothing is allocated then.
// Does not own the nodes. Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_POLICY_LIST_H_
#define MERIDIAN_COMMON_ENGINE_POLICY_LIST_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/engine/entry_node.h"

namespace meridian {

// The links of the nodes of one policy: EntryNode::policy_index is the index of its slot.
class PolicySlots {
 public:
  using Index = uint32_t;
  static constexpr Index kNone = 0;

  PolicySlots() : slots_(1) {}

 private:
  friend class PolicyList;
  struct Slot {
    NodeHandle node = 0;
    Index prev = kNone;
    Index next = kNone;  // Of a free one: the next free one.
  };

  Index Take(const EntryNode& node);
  void Free(Index index) {
    slots_[index].next = free_;
    free_ = index;
  }

  std::vector<Slot> slots_;  // The first is none.
  Index free_ = kNone;
};

class PolicyList {
 public:
  // `slots` is not owned and outlives this.
  explicit PolicyList(PolicySlots& slots) : slots_(&slots) {}
  PolicyList(const PolicyList&) = delete;
  PolicyList& operator=(const PolicyList&) = delete;
  PolicyList(PolicyList&&) = default;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  // REQUIRES: !empty().
  EntryNode& front() { return *NodeOf(ends_.next); }
  EntryNode& back() { return *NodeOf(ends_.prev); }

  // The neighbour of a node of this list; nullptr at the end.
  EntryNode* TowardsFront(EntryNode& node) { return NodeOf(SlotOf(node.policy_index).prev); }
  EntryNode* TowardsBack(EntryNode& node) { return NodeOf(SlotOf(node.policy_index).next); }

  // REQUIRES: `node` is in no PolicyList.
  void PushFront(EntryNode& node) {
    node.policy_index = slots_->Take(node);
    LinkFront(node.policy_index);
    ++size_;
  }
  void PushBack(EntryNode& node);
  // Takes the place of `old`, which leaves. REQUIRES: `old` is in this list, `node` in none.
  void Replace(EntryNode& old, EntryNode& node) {
    node.policy_index = old.policy_index;
    SlotOf(node.policy_index).node = node.handle();
  }

  // REQUIRES: `node` is in this list.
  void Remove(EntryNode& node) {
    Unlink(node.policy_index);
    slots_->Free(node.policy_index);
    --size_;
  }
  void MoveToFront(EntryNode& node) {
    if (SlotOf(node.policy_index).prev == PolicySlots::kNone) return;
    Unlink(node.policy_index);
    LinkFront(node.policy_index);
  }

 private:
  using Index = PolicySlots::Index;
  using Slot = PolicySlots::Slot;

  // The ends of the list point at kNone, which is ends_.
  Slot& SlotOf(Index index) { return index == PolicySlots::kNone ? ends_ : slots_->slots_[index]; }
  EntryNode* NodeOf(Index index) {
    return index == PolicySlots::kNone ? nullptr : EntryNode::At(slots_->slots_[index].node);
  }
  void LinkFront(Index index) {
    Slot& slot = SlotOf(index);
    slot.prev = PolicySlots::kNone;
    slot.next = ends_.next;
    SlotOf(ends_.next).prev = index;
    ends_.next = index;
  }
  void Unlink(Index index) {
    const Slot slot = SlotOf(index);
    SlotOf(slot.prev).next = slot.next;
    SlotOf(slot.next).prev = slot.prev;
  }

  PolicySlots* slots_;
  Slot ends_;  // next: the front, prev: the back.
  size_t size_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_POLICY_LIST_H_
