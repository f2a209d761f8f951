// Slots of a LinkBacklog that are not sent, or of which the target is not told, for a while.

#include <algorithm>
#include <utility>

#include "server/replication/link_backlog.h"

namespace meridian {

void LinkBacklog::Hold(SlotTicket ticket) {
  if (Slot* slot = Find(ticket)) slot->held = true;
}

void LinkBacklog::Release(uint32_t slot) {
  const auto it = slots_.find(slot);
  if (it != slots_.end()) it->second.held = false;
}

void LinkBacklog::Wait(SlotTicket ticket) {
  Slot* slot = Find(ticket);
  if (slot == nullptr) return;
  slot->waits = true;
  Stop(*slot, slot->away, /*stalled=*/true);
  GiveUp(*slot);
}

void LinkBacklog::GoOn(SlotTicket ticket) {
  Slot* slot = Find(ticket);
  if (slot == nullptr) return;
  slot->waits = false;
  TakeTurn(ticket.slot, *slot);
}

void LinkBacklog::SetAway(std::vector<uint32_t> slots) {
  away_ = std::move(slots);
  for (const uint32_t slot : away_) Unsync(slot);
  for (auto& [number, slot] : slots_) {
    Stop(slot, std::binary_search(away_.begin(), away_.end(), number), slot.stalled);
    GiveUp(slot);
  }
}

void LinkBacklog::Count(const Slot& slot, ptrdiff_t more) {
  waiting_ += static_cast<size_t>(more);
  if (slot.stopped()) stopped_ += static_cast<size_t>(more);
}

void LinkBacklog::Stop(Slot& slot, bool away, bool stalled) {
  if (slot.stopped()) stopped_ -= slot.waiting.size();
  slot.away = away;
  slot.stalled = stalled;
  if (slot.stopped()) stopped_ += slot.waiting.size();
}

// What a slot that stops has beyond the share of such slots is read from the log when it goes on,
// but for a change to try it with.
void LinkBacklog::GiveUp(Slot& slot) {
  if (!slot.stopped() || slot.waiting.empty() || stopped_ <= capacity_ / 8) return;
  const bool may_go = slot.stalled && !slot.waits && !slot.away;
  const size_t all = slot.waiting.size();
  const bool one = may_go || stopped_ - all < capacity_ / 4;
  const size_t keep = std::max<size_t>(slot.under_way, one ? 1 : 0);
  if (keep >= all) return;
  const absl::Time since = slot.waiting[keep].version.time();
  Lag(slot, since);
  slot.lagging_since = std::min(slot.lagging_since, since);
  slot.seen = std::max(slot.seen, slot.queued);
  slot.queued = keep == 0 ? slot.sent : slot.waiting[keep - 1].position;
  slot.unread += all - keep;
  slot.waiting.erase(slot.waiting.begin() + static_cast<ptrdiff_t>(keep), slot.waiting.end());
  Count(slot, -static_cast<ptrdiff_t>(all - keep));
}

}  // namespace meridian
