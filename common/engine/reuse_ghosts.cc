#include "common/engine/reuse_ghosts.h"

#include <algorithm>
#include <new>

namespace meridian {

void ReuseGhosts::Resize(size_t ghosts, size_t capacity) {
  count_ = std::max<size_t>((ghosts + kWays / 2) / kWays, 1);
  // Zeroed by the system: sets that are never used take no memory.
  memory_.reset(std::calloc(count_ + 1, sizeof(Set)));
  if (memory_ == nullptr) throw std::bad_alloc();
  void* begin = memory_.get();
  size_t space = (count_ + 1) * sizeof(Set);
  sets_ = static_cast<Set*>(std::align(alignof(Set), count_ * sizeof(Set), begin, space));
  time_shift_ = 0;
  while (capacity >> (time_shift_ + 1) >= 16) ++time_shift_;
}

void ReuseGhosts::Put(uint64_t hash, ReuseState state, uint64_t used_at, uint64_t now) {
  const uint32_t present = static_cast<uint32_t>(now >> time_shift_) & kTimeMask;
  const uint32_t time = static_cast<uint32_t>(used_at >> time_shift_) & kTimeMask;
  const uint32_t frequency = state >> 5 == 7 ? 0 : state & 31;
  Set& set = SetOf(hash);
  uint32_t* oldest = &set.ghosts[0];
  uint32_t most = 0;
  for (uint32_t& ghost : set.ghosts) {
    if (ghost == 0) {
      oldest = &ghost;
      break;
    }
    const uint32_t age = (present - (ghost >> 6)) & kTimeMask;
    if (age >= most) {
      most = age;
      oldest = &ghost;
    }
  }
  *oldest = static_cast<uint32_t>(hash & 0xFFFF) << 16 | time << 6 | frequency << 1 | 1;
}

std::optional<ReuseGhosts::Ghost> ReuseGhosts::Take(uint64_t hash, uint64_t now) {
  if (count_ == 0) return std::nullopt;
  const uint32_t fingerprint = static_cast<uint32_t>(hash & 0xFFFF);
  for (uint32_t& ghost : SetOf(hash).ghosts) {
    if (ghost == 0 || ghost >> 16 != fingerprint) continue;
    const uint64_t age = (static_cast<uint32_t>(now >> time_shift_) - (ghost >> 6)) & kTimeMask;
    const Ghost found = {static_cast<ReuseState>(ghost >> 1 & 31), age << time_shift_};
    ghost = 0;
    return found;
  }
  return std::nullopt;
}

}  // namespace meridian
