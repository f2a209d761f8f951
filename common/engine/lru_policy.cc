#include "common/engine/lru_policy.h"

namespace meridian {

void LruPolicy::OnHit(EntryNode& node) {
  PolicyLink& link = node;
  if (&link == &recent_first_.front()) return;
  link.Unlink();
  recent_first_.PushFront(link);
}

}  // namespace meridian
