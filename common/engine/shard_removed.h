// Shard::Removed holds nodes that were taken out of a shard, linked by `chain`, and frees them when
// it ends: declared before the lock is taken, so after that is given back.

#ifndef MERIDIAN_COMMON_ENGINE_SHARD_REMOVED_H_
#define MERIDIAN_COMMON_ENGINE_SHARD_REMOVED_H_

#include <utility>

#include "common/engine/shard.h"

namespace meridian {

class Shard::Removed {
 public:
  Removed() = default;
  Removed(const Removed&) = delete;
  Removed& operator=(const Removed&) = delete;
  ~Removed() {
    while (first_ != 0) {
      EntryNode* node = EntryNode::At(first_);
      first_ = node->chain;
      EntryNode::Destroy(node);
    }
  }
  void Push(EntryNode* node) { node->chain = std::exchange(first_, node->handle()); }

 private:
  NodeHandle first_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_SHARD_REMOVED_H_
