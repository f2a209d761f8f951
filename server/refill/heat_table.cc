#include "server/refill/heat_table.h"

#include <algorithm>
#include <iterator>

namespace meridian {

void HeatTable::SetOwned(const std::vector<uint32_t>& slots) {
  for (auto it = slots_.begin(); it != slots_.end();) {
    const bool kept = std::binary_search(slots.begin(), slots.end(), it->first);
    it = kept ? std::next(it) : slots_.erase(it);
  }
  for (const uint32_t number : slots) {
    const auto [it, is_new] = slots_.try_emplace(number);
    if (!is_new) continue;
    it->second.generation = next_generation_++;
    it->second.followed = followed_[number];
  }
  Update();
}

void HeatTable::SetFollowed(uint32_t number, bool followed) {
  followed_[number] = followed;
  Slot* const slot = Find(number);
  if (slot == nullptr) return;
  // What L1 had is gone, and so is what was on its way.
  slot->generation = next_generation_++;
  slot->followed = followed;
  slot->waiting = 0;
  slot->resident = 0;
  slot->gone = 0;
}

HeatTable::Slot* HeatTable::Find(uint32_t slot) {
  const auto it = slots_.find(slot);
  return it == slots_.end() ? nullptr : &it->second;
}

HeatTable::Slot* HeatTable::Find(uint32_t slot, uint64_t generation) {
  Slot* const found = Find(slot);
  return found != nullptr && found->generation == generation ? found : nullptr;
}

bool HeatTable::AllSettled() const {
  return std::all_of(slots_.begin(), slots_.end(),
                     [](const auto& slot) { return slot.second.settled(); });
}

void HeatTable::Update() {
  size_t known = 0;
  size_t keys = 0;
  uint64_t resident = 0;
  uint64_t expected = 0;
  for (const auto& [number, slot] : slots_) {
    if (!slot.known) continue;
    ++known;
    keys += slot.digest.size();
    resident += slot.resident;
    expected += slot.digest.weight() - std::min(slot.gone, slot.digest.weight());
  }
  const double share = expected == 0 ? 1 : static_cast<double>(resident) / expected;
  const double told = slots_.empty() ? 0 : static_cast<double>(known) / slots_.size();
  warmth_.store(std::min(share, 1.0) * told, std::memory_order_relaxed);
  expected_.store(keys, std::memory_order_relaxed);
  owned_.store(slots_.size(), std::memory_order_relaxed);
}

}  // namespace meridian
