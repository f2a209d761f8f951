#include "common/engine/region_table.h"

namespace meridian {

std::array<std::atomic<uint32_t>, RegionTable::kFull> RegionTable::cells_ = {};

uint32_t RegionTable::Intern(uint16_t region) {
  const uint32_t wanted = region | kUsed;
  for (uint32_t i = 0; i < kFull; ++i) {
    uint32_t found = cells_[i].load(std::memory_order_relaxed);
    if (found == 0 && cells_[i].compare_exchange_strong(found, wanted)) return i;
    if (found == wanted) return i;
  }
  return kFull;
}

}  // namespace meridian
