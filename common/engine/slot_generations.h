// SlotGenerations makes every entry of a slot invisible at once: an entry remembers its slot's
// generation, and one of an older generation is dead.
//
// Cost: Drop and Of are one atomic operation; 4 KiB.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_ENGINE_SLOT_GENERATIONS_H_
#define MERIDIAN_COMMON_ENGINE_SLOT_GENERATIONS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "common/base/hash.h"

namespace meridian {

class SlotGenerations {
 public:
  uint32_t Of(uint32_t slot) const {
    return generations_[slot % kSlotCount].load(std::memory_order_acquire);
  }

  // Returns the new generation.
  uint32_t Drop(uint32_t slot) {
    const uint32_t before = generations_[slot % kSlotCount].fetch_add(1, std::memory_order_acq_rel);
    drops_.fetch_add(1, std::memory_order_release);
    return before + 1;
  }

  // How many drops there were: when it has grown, there may be dead entries to free.
  uint64_t drops() const { return drops_.load(std::memory_order_acquire); }

 private:
  std::array<std::atomic<uint32_t>, kSlotCount> generations_ = {};
  std::atomic<uint64_t> drops_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_SLOT_GENERATIONS_H_
