// PolicyList is the queue that eviction policies are made of: a doubly linked list of nodes, front
// to back, whose links live in the nodes. A node is in at most one PolicyList.
//
// Cost: O(1) each call, no allocation. Does not own the nodes. Not movable.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_POLICY_LIST_H_
#define MERIDIAN_COMMON_ENGINE_POLICY_LIST_H_

#include <cstddef>

#include "common/engine/entry_node.h"
#include "common/engine/node_links.h"

namespace meridian {

class PolicyList {
 public:
  PolicyList() = default;
  PolicyList(const PolicyList&) = delete;
  PolicyList& operator=(const PolicyList&) = delete;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  // REQUIRES: !empty().
  EntryNode& front() { return *EntryNode::At(ends_.next); }
  EntryNode& back() { return *EntryNode::At(ends_.prev); }

  // The neighbour of a node of this list; nullptr at the end.
  EntryNode* TowardsFront(EntryNode& node) { return Neighbour(node.policy_links.prev); }
  EntryNode* TowardsBack(EntryNode& node) { return Neighbour(node.policy_links.next); }

  // REQUIRES: `node` is in no PolicyList.
  void PushFront(EntryNode& node) {
    const NodeHandle handle = node.handle();
    node.policy_links = {0, ends_.next};
    LinksOf(ends_.next).prev = handle;
    ends_.next = handle;
    ++size_;
  }
  void PushBack(EntryNode& node) {
    const NodeHandle handle = node.handle();
    node.policy_links = {ends_.prev, 0};
    LinksOf(ends_.prev).next = handle;
    ends_.prev = handle;
    ++size_;
  }
  // Takes the place of `old`, which leaves. REQUIRES: `old` is in this list, `node` in none.
  void Replace(EntryNode& old, EntryNode& node);

  // REQUIRES: `node` is in this list.
  void Remove(EntryNode& node) {
    LinksOf(node.policy_links.prev).next = node.policy_links.next;
    LinksOf(node.policy_links.next).prev = node.policy_links.prev;
    --size_;
  }
  void MoveToFront(EntryNode& node) {
    if (node.policy_links.prev == 0) return;
    Remove(node);
    PushFront(node);
  }

 private:
  static EntryNode* Neighbour(NodeHandle handle) {
    return handle == 0 ? nullptr : EntryNode::At(handle);
  }
  NodeLinks& LinksOf(NodeHandle handle) {
    return handle == 0 ? ends_ : EntryNode::At(handle)->policy_links;
  }

  NodeLinks ends_;  // next: the front, prev: the back. The ends of the list point here, as 0.
  size_t size_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_POLICY_LIST_H_
