// SlotHorizons says of each slot from before which time nothing may be served, because another
// region may have deleted it, and has not said so yet: what the store holds under such a key may be
// dead, and counts as missing until the region has told (docs/adr/0021).
//
// Cost: 8 bytes a slot; Of and Covers are one load.
// Thread safety: one thread sets; all others may ask concurrently.

#ifndef MERIDIAN_SERVER_NODE_SLOT_HORIZONS_H_
#define MERIDIAN_SERVER_NODE_SLOT_HORIZONS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "common/base/hash.h"

namespace meridian {

class SlotHorizons {
 public:
  // What was written up to this clock is not served; 0: everything is.
  uint64_t Of(uint32_t slot) const { return up_to_[slot].load(std::memory_order_acquire); }
  // `written` is the entry's written_hlc().
  bool Covers(uint32_t slot, uint64_t written) const {
    const uint64_t up_to = Of(slot);
    return up_to != 0 && written <= up_to;
  }
  // Slots that have a horizon.
  size_t size() const { return size_.load(std::memory_order_relaxed); }

  void Set(uint32_t slot, uint64_t up_to) {
    const uint64_t before = up_to_[slot].exchange(up_to, std::memory_order_acq_rel);
    if (before == 0 && up_to != 0) size_.fetch_add(1, std::memory_order_relaxed);
    if (before != 0 && up_to == 0) size_.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<uint64_t>, kSlotCount> up_to_ = {};
  std::atomic<size_t> size_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_SLOT_HORIZONS_H_
