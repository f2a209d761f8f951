// PolicyList is the queue that eviction policies are made of: a doubly linked list of nodes, front to
// back, whose links live in the nodes. A node is in at most one PolicyList.
//
// Cost: O(1) each call, no allocation. Does not own the nodes. Not movable.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_POLICY_LIST_H_
#define MERIDIAN_COMMON_ENGINE_POLICY_LIST_H_

#include <cstddef>

#include "common/engine/entry_node.h"
#include "common/engine/intrusive_list.h"

namespace meridian {

class PolicyList {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  // REQUIRES: !empty().
  EntryNode& front() { return *EntryNode::FromPolicy(&list_.front()); }
  EntryNode& back() { return *EntryNode::FromPolicy(&list_.back()); }

  // The neighbour of a node of this list; nullptr at the end.
  EntryNode* TowardsFront(EntryNode& node);
  EntryNode* TowardsBack(EntryNode& node);

  // REQUIRES: `node` is in no PolicyList.
  void PushFront(EntryNode& node) {
    list_.PushFront(node);
    ++size_;
  }
  void PushBack(EntryNode& node) {
    list_.PushBack(node);
    ++size_;
  }
  // Takes the place of `old`, which leaves. REQUIRES: `old` is in this list, `node` in none.
  void Replace(EntryNode& old, EntryNode& node);

  // REQUIRES: `node` is in this list.
  void Remove(EntryNode& node) {
    static_cast<PolicyLink&>(node).Unlink();
    --size_;
  }
  void MoveToFront(EntryNode& node) {
    if (&node == &front()) return;
    Remove(node);
    PushFront(node);
  }

 private:
  IntrusiveList<PolicyTag> list_;
  size_t size_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_POLICY_LIST_H_
