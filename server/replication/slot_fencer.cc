#include "server/replication/slot_fencer.h"

namespace meridian {

void SlotFencer::Set(const std::map<uint32_t, absl::Time>& fenced) {
  for (auto it = fenced_.begin(); it != fenced_.end();) {
    if (fenced.count(it->first) > 0) {
      ++it;
      continue;
    }
    horizons_.Set(it->first, 0);
    it = fenced_.erase(it);
  }
  for (const auto& [slot, before] : fenced) {
    const auto [it, begins] = fenced_.emplace(slot, before);
    if (!begins && before <= it->second) continue;
    it->second = before + ahead_;
    // The horizon first: a fill that begins after the drop sees it.
    horizons_.Set(slot, (static_cast<uint64_t>(absl::ToUnixMillis(it->second)) << 16) - 1);
    engine_.DropSlot(slot);
    if (watch_ != nullptr) watch_->SlotGap(slot);
  }
}

}  // namespace meridian
