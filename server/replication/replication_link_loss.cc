// What a ReplicationLink does when a store, or its log, has lost something that mattered.

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/replication/replication_link.h"

namespace meridian {
namespace {

// For so long after a loss it matters to whoever owns the slot by then.
constexpr absl::Duration kLossMatters = absl::Hours(1);

}  // namespace

// --- The own store.

void ReplicationLink::OnLoss(const SlotLoss& loss) {
  if (!loss.rewound) return;
  backlog_.Restart(loss.slot);
  refusals_.erase(loss.slot);
  repair_.Remove(loss.slot);  // The hole is found again by the cursor.
  CompareAfterLoss(loss.slot);
  if (loss.kept.ms != 0 && IsBeyondTombstones(loss.kept)) rewound_far_.insert(loss.slot);
  SchedulePump();
}

// An old snapshot lacks this region's own deletes. A failover loses the last changes alone: that
// nothing else was written in a slot for long is no reason to forget what it holds.
void ReplicationLink::OnLossesKnown(LogPosition kept) {
  const std::set<uint32_t> slots = std::exchange(rewound_far_, {});
  if (kept.ms == 0) return;
  if (!IsBeyondTombstones(kept)) {
    own_lost_at_ = clock_.Monotonic();
    return;
  }
  for (const SlotTicket& ticket : backlog_.Tickets()) {
    if (slots.count(ticket.slot) == 0) continue;
    repair_.Add(ticket, LinkRepair::kNoCursor, /*memory_lost=*/true);
  }
}

// --- Changes that the target never got and that the log no longer has.

void ReplicationLink::Hole(SlotTicket ticket, LogPosition cursor, LogPosition after,
                           LogPosition start) {
  // A hole that has grown is a new one: what it lost may have been written since the repair began.
  if (backlog_.KnowsHole(ticket, after, start)) return;
  // A target without a cursor is new, or came back empty: nobody can say whether the log was
  // trimmed before. It is compared all the same, and is no loss.
  const bool is_new = cursor == LogPosition{};
  if (!is_new) {
    ++gaps_total_;
    observer_.OnLinkGap(options_.target_region, ticket.slot);
  }
  // Of one that had acknowledged something here the data is lost, and not only the cursor.
  const bool fills = is_new && backlog_.AckedBefore(ticket) == LogPosition{};
  backlog_.Mend(ticket, after, start);
  if (fills) {
    repair_.Fill(ticket);
  } else {
    repair_.Add(ticket, cursor);
  }
}

// Whether most of what the target has got since the time of tombstones is gone here. Of a store
// that took over only the last changes are.
bool ReplicationLink::WentBackAsAWhole(const std::vector<LogPosition>& cursors,
                                       const std::vector<LogPosition>& ends) const {
  if (clock_.Monotonic() - own_lost_at_ < kLossMatters) return false;  // The tail knows better.
  size_t young = 0;
  size_t gone = 0;
  for (size_t i = 0; i < cursors.size(); ++i) {
    if (cursors[i].ms == 0 || IsBeyondTombstones(cursors[i])) continue;
    ++young;
    if (cursors[i] > ends[i]) ++gone;
  }
  return 2 * gone >= young;
}

// The new log is read from its beginning; what was only in the old one is found by comparison. The
// age of the cursor tells nothing of a store that may have lost more than its log: no fence. A log
// that ends long ago, as do most others, is that of an old snapshot, which lacks this region's own
// deletes, too.
void ReplicationLink::LostLog(SlotTicket ticket, LogPosition end, bool as_a_whole) {
  ++gaps_total_;
  observer_.OnLinkGap(options_.target_region, ticket.slot);
  backlog_.Mend(ticket, LogPosition{}, end);
  const bool memory_lost =
      as_a_whole && rewound_far_.count(ticket.slot) == 0 && end.ms != 0 && IsBeyondTombstones(end);
  repair_.Add(ticket, LogPosition{}, memory_lost);
}

// The target came back from before the time from which tombstones are kept, as an old snapshot
// does: what it had heard of deletes since then is compared, and fenced; the log alone does not say
// it.
void ReplicationLink::WentBack(SlotTicket ticket, LogPosition cursor, LogPosition acked) {
  if (backlog_.KnowsHole(ticket, cursor, acked)) return;
  backlog_.Mend(ticket, cursor, acked);
  repair_.Add(ticket, cursor);
}

// Values wait that are older than tombstones are kept. The log is whole, which is as if the target
// had been here until now: no fence.
void ReplicationLink::Late(SlotTicket ticket) {
  const LogPosition acked = backlog_.AckedBefore(ticket);
  backlog_.Mend(ticket, acked, acked);
  repair_.Add(ticket, LinkRepair::kNoCursor);
}

void ReplicationLink::Mended(SlotTicket ticket) {
  backlog_.Mended(ticket);
  Pump();
}

// --- The target.

// Its cursors may be as they were, or have gone on since: they say nothing of what it wrote itself.
void ReplicationLink::NoteTargetLoss() {
  const uint64_t generation = target_.Generation();
  if (generation == target_generation_) return;
  target_lost_at_ = clock_.Monotonic();
  size_t lost = 0;
  for (const SlotTicket& ticket : backlog_.Tickets()) {
    if (target_.GenerationOf(ticket.slot) <= target_generation_) continue;
    backlog_.Unsync(ticket.slot);
    repair_.Add(ticket, LinkRepair::kNoCursor);
    ++lost;
  }
  target_generation_ = generation;
  if (lost > 0) observer_.OnTargetLoss(options_.target_region, lost);
}

void ReplicationLink::NoteAway() {
  const std::vector<uint32_t> here = source_.AwaySlots();
  const std::vector<uint32_t> there = target_.AwaySlots();
  std::vector<uint32_t> away;
  std::set_union(here.begin(), here.end(), there.begin(), there.end(), std::back_inserter(away));
  if (away == away_) return;
  away_ = away;
  backlog_.SetAway(std::move(away));
  SchedulePump();
}

void ReplicationLink::CompareAfterLoss(uint32_t slot) {
  if (clock_.Monotonic() - target_lost_at_ > kLossMatters) return;
  if (target_.GenerationOf(slot) == 0) return;
  if (const auto ticket = backlog_.TicketOf(slot)) repair_.Add(*ticket, LinkRepair::kNoCursor);
}

}  // namespace meridian
