#include "common/engine/policy_list.h"

namespace meridian {

EntryNode* PolicyList::TowardsFront(EntryNode& node) {
  return &node == &front() ? nullptr : EntryNode::FromPolicy(static_cast<PolicyLink&>(node).prev);
}

EntryNode* PolicyList::TowardsBack(EntryNode& node) {
  return &node == &back() ? nullptr : EntryNode::FromPolicy(static_cast<PolicyLink&>(node).next);
}

void PolicyList::Replace(EntryNode& old, EntryNode& node) {
  PolicyLink& left = old;
  PolicyLink& joined = node;
  joined.prev = left.prev;
  joined.next = left.next;
  joined.prev->next = &joined;
  joined.next->prev = &joined;
}

}  // namespace meridian
