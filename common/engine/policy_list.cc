#include "common/engine/policy_list.h"

namespace meridian {

void PolicyList::Replace(EntryNode& old, EntryNode& node) {
  const NodeHandle handle = node.handle();
  node.policy_links = old.policy_links;
  LinksOf(node.policy_links.prev).next = handle;
  LinksOf(node.policy_links.next).prev = handle;
}

}  // namespace meridian
