// FollowedSlots says of which slots the changelog's tail tells this node every change: those that
// L1 may keep something of. A new owner knows that a slot is its own before it follows its log;
// until then it answers what the store has, and keeps nothing.
//
// Cost: one load to ask. Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_FOLLOWED_SLOTS_H_
#define MERIDIAN_SERVER_NODE_FOLLOWED_SLOTS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "common/base/hash.h"

namespace meridian {

class FollowedSlots {
 public:
  // L1 has dropped what it had of the slot.
  void Gained(uint32_t slot) { follows_[slot].store(true, std::memory_order_release); }
  // L1 drops afterwards what it has of it: whoever asked before and puts something in later is
  // refused by its FillToken.
  void Lost(uint32_t slot) { follows_[slot].store(false, std::memory_order_release); }

  bool Follows(uint32_t slot) const { return follows_[slot].load(std::memory_order_acquire); }

 private:
  std::array<std::atomic<bool>, kSlotCount> follows_ = {};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_FOLLOWED_SLOTS_H_
