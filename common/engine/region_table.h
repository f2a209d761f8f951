// RegionTable numbers the regions of versions from 0, in the order in which the process first sees
// them, so that an entry keeps 5 bits of them.
//
// Cost: a walk over the few regions there are; no lock.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_ENGINE_REGION_TABLE_H_
#define MERIDIAN_COMMON_ENGINE_REGION_TABLE_H_

#include <array>
#include <atomic>
#include <cstdint>

namespace meridian {

class RegionTable {
 public:
  static constexpr uint32_t kFull = 31;  // What all regions after the first 31 get.

  static uint32_t Intern(uint16_t region);
  // REQUIRES: `number` is from Intern and is not kFull.
  static uint16_t RegionOf(uint32_t number) {
    return static_cast<uint16_t>(cells_[number].load(std::memory_order_relaxed));
  }

 private:
  static constexpr uint32_t kUsed = 1 << 16;

  static std::array<std::atomic<uint32_t>, kFull> cells_;  // 0, or a region | kUsed: for ever.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_REGION_TABLE_H_
