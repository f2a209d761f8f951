#include "server/replication/link_backlog.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace meridian {
namespace {

// The log's own time of a position: Redis makes stream ids from its clock.
absl::Time TimeOf(LogPosition position) {
  return absl::FromUnixMillis(static_cast<int64_t>(position.ms));
}

std::string NameOf(const LogEntry& entry) {
  std::string name;
  name.reserve(entry.name_space.size() + 1 + entry.key.size());
  name.append(entry.name_space).push_back('\0');
  name.append(entry.key);
  return name;
}

}  // namespace

LinkBacklog::LinkBacklog(size_t capacity, Wanted wanted)
    : capacity_(capacity), wanted_(std::move(wanted)) {}

LinkBacklog::Slot* LinkBacklog::Find(SlotTicket ticket) {
  const auto it = slots_.find(ticket.slot);
  if (it == slots_.end() || it->second.generation != ticket.generation) return nullptr;
  return &it->second;
}

const LinkBacklog::Slot* LinkBacklog::Find(SlotTicket ticket) const {
  const auto it = slots_.find(ticket.slot);
  if (it == slots_.end() || it->second.generation != ticket.generation) return nullptr;
  return &it->second;
}

void LinkBacklog::Mend(SlotTicket ticket, LogPosition after, LogPosition start) {
  Slot* slot = Find(ticket);
  if (slot == nullptr) return;
  slot->mending = true;
  slot->hole_after = after;
  slot->hole_start = start;
}

bool LinkBacklog::KnowsHole(SlotTicket ticket, LogPosition after, LogPosition start) const {
  const Slot* slot = Find(ticket);
  return slot != nullptr && slot->mending && slot->hole_after == after && slot->hole_start == start;
}

void LinkBacklog::Mended(SlotTicket ticket) {
  Slot* slot = Find(ticket);
  if (slot == nullptr || !slot->mending) return;
  slot->mending = false;
  const bool all = slot->synced && slot->under_way == 0 && slot->waiting.empty();
  slot->mended = std::max(slot->hole_start, all ? slot->queued : slot->sent);
}

LogPosition LinkBacklog::HasUpTo(SlotTicket ticket) const {
  const Slot* slot = Find(ticket);
  if (slot == nullptr) return LogPosition{};
  // A target that had told no cursor could have lost everything unnoticed.
  if (slot->doubted || slot->acked == LogPosition{}) return slot->mended;
  return std::max(slot->mended, slot->sent);
}

bool LinkBacklog::mending(SlotTicket ticket) const {
  const Slot* slot = Find(ticket);
  return slot != nullptr && slot->mending;
}

LogPosition LinkBacklog::AckedBefore(SlotTicket ticket) const {
  const Slot* slot = Find(ticket);
  return slot == nullptr ? LogPosition{} : slot->acked;
}

LogPosition LinkBacklog::Queued(SlotTicket ticket) const {
  const Slot* slot = Find(ticket);
  return slot == nullptr ? LogPosition{} : slot->queued;
}

void LinkBacklog::Add(uint32_t slot) {
  const auto [it, is_new] = slots_.try_emplace(slot);
  if (!is_new) return;
  it->second.generation = next_generation_++;
  it->second.away = std::binary_search(away_.begin(), away_.end(), slot);
}

void LinkBacklog::Forget(Slot& slot) {
  Count(slot, -static_cast<ptrdiff_t>(slot.waiting.size()));
  slot.waiting.clear();
}

void LinkBacklog::Remove(uint32_t slot) {
  const auto it = slots_.find(slot);
  if (it == slots_.end()) return;
  Forget(it->second);
  slots_.erase(it);  // Its turn, if any, is skipped when it comes.
}

void LinkBacklog::Restart(uint32_t slot) {
  const auto it = slots_.find(slot);
  if (it == slots_.end()) return;
  const bool held = it->second.held;  // What is to be done here is still to be done.
  Remove(slot);
  Add(slot);
  slots_.at(slot).held = held;
}

void LinkBacklog::Unsync() {
  for (auto& [number, slot] : slots_) slot.synced = false;
}

void LinkBacklog::Unsync(uint32_t slot) {
  const auto it = slots_.find(slot);
  if (it == slots_.end()) return;
  it->second.synced = false;
  it->second.doubted = true;  // There is a reason.
  it->second.mended = {};
}

std::vector<SlotTicket> LinkBacklog::Tickets() const {
  std::vector<SlotTicket> tickets;
  for (const auto& [number, slot] : slots_) tickets.push_back({number, slot.generation});
  return tickets;
}

std::optional<SlotTicket> LinkBacklog::TicketOf(uint32_t slot) const {
  const auto it = slots_.find(slot);
  if (it == slots_.end()) return std::nullopt;
  return SlotTicket{slot, it->second.generation};
}

std::vector<LinkBacklog::Acked> LinkBacklog::AckedSlots() const {
  std::vector<Acked> acked;
  for (const auto& [number, slot] : slots_) {
    if (slot.synced && slot.acked != LogPosition{}) {
      acked.push_back({{number, slot.generation}, slot.acked});
    }
  }
  return acked;
}

bool LinkBacklog::NoteLostLog(SlotTicket ticket, LogPosition cursor, LogPosition end) {
  Slot* slot = Find(ticket);
  if (slot == nullptr || (slot->lost_cursor == cursor && slot->lost_end == end)) return false;
  slot->lost_cursor = cursor;
  slot->lost_end = end;
  return true;
}

std::vector<SlotTicket> LinkBacklog::Unsynced() const {
  std::vector<SlotTicket> tickets;
  for (const auto& [number, slot] : slots_) {
    if (slot.synced || slot.under_way > 0 || slot.away) continue;
    tickets.push_back({number, slot.generation});
  }
  return tickets;
}

void LinkBacklog::Sync(SlotTicket ticket, LogPosition cursor, LogPosition end) {
  Slot* slot = Find(ticket);
  if (slot == nullptr || slot->synced || slot->under_way > 0) return;
  // A cursor past the end is of a log that is no more: the new one is read from its beginning.
  const bool restarted = cursor > end;
  if (restarted) cursor = LogPosition{};
  if (cursor < slot->acked) {
    Forget(*slot);
    slot->queued = slot->sent = cursor;
  }
  if (restarted || cursor < slot->acked) slot->mended = {};
  if (restarted) slot->seen = end;  // What was seen before is of the old log.
  while (!slot->waiting.empty() && slot->waiting.front().position <= cursor) {
    slot->waiting.pop_front();  // The former owner was faster.
    Count(*slot, -1);
  }
  slot->acked = slot->told = cursor;
  slot->sent = std::max(slot->sent, cursor);
  slot->queued = std::max(slot->queued, cursor);
  slot->seen = std::max(slot->seen, end);
  slot->synced = slot->based = true;
  slot->doubted = false;
  if (restarted || slot->queued < slot->seen) {
    Lag(*slot, TimeOf(cursor.ms == 0 ? end : slot->queued));
  } else {
    slot->lagging = false;
    slot->unread = 0;
    if (slot->waiting.empty()) Stop(*slot, slot->away, /*stalled=*/false);
  }
  TakeTurn(ticket.slot, *slot);
}

void LinkBacklog::Lag(Slot& slot, absl::Time since) {
  if (!slot.lagging) slot.lagging_since = since;
  slot.lagging = true;
}

bool LinkBacklog::Queue(Slot& slot, const std::vector<LogEntry>& entries) {
  for (const LogEntry& entry : entries) {
    if (entry.position <= slot.queued) continue;
    if (wanted_(entry)) {
      if ((slot.stopped() ? stopped_ : waiting_to_go()) >= capacity_) return false;
      if (slot.waiting.empty()) slot.sent = std::max(slot.sent, slot.queued);
      slot.waiting.push_back(entry);
      Count(slot, 1);
    }
    slot.queued = entry.position;
  }
  return true;
}

void LinkBacklog::TakeTurn(uint32_t number, Slot& slot) {
  if (slot.in_turn || slot.waits || slot.waiting.empty() || slot.under_way > 0 || !slot.synced) {
    return;
  }
  slot.in_turn = true;
  turn_.push_back(number);
}

void LinkBacklog::Feed(LogPosition after, const LogSlice& slice) {
  const auto it = slots_.find(slice.slot);
  if (it == slots_.end() || slice.entries.empty()) return;
  Slot& slot = it->second;
  slot.seen = std::max(slot.seen, slice.entries.back().position);
  const absl::Time since = slice.entries.front().version.time();
  if (!slot.based) {
    Lag(slot, since);
  } else if (!slot.lagging && (after > slot.queued || !Queue(slot, slice.entries))) {
    Lag(slot, since);
  }
  if (slot.lagging) {
    slot.unread += static_cast<uint64_t>(std::count_if(
        slice.entries.begin(), slice.entries.end(),
        [&](const LogEntry& entry) { return entry.position > slot.queued && wanted_(entry); }));
  }
  GiveUp(slot);
  TakeTurn(slice.slot, slot);
}

std::vector<CatchUpRead> LinkBacklog::NextReads(size_t limit) {
  std::vector<CatchUpRead> reads;
  auto it = slots_.lower_bound(next_read_);
  for (size_t i = 0; i < slots_.size() && reads.size() < limit; ++i, ++it) {
    if (it == slots_.end()) it = slots_.begin();
    const Slot& slot = it->second;
    if (!slot.synced || !slot.lagging || slot.waits) continue;
    if (slot.stalled && !slot.waiting.empty()) continue;  // It is tried with that.
    reads.push_back({{it->first, slot.generation}, slot.queued, slot.seen});
    next_read_ = it->first + 1;
  }
  return reads;
}

void LinkBacklog::OnRead(const CatchUpRead& read, const std::vector<LogEntry>& entries,
                         size_t read_limit) {
  Slot* slot = Find(read.ticket);
  if (slot == nullptr || !slot->synced || !slot->lagging) return;
  if (slot->queued != read.after) return;  // Synced again meanwhile.
  const uint64_t before = slot->waiting.size();
  const bool all = Queue(*slot, entries);
  const uint64_t taken = slot->waiting.size() - before;
  slot->unread -= std::min(slot->unread, taken);
  if (all && entries.size() < read_limit) {
    // That was everything up to known_end at least; what is missing is no longer in the log.
    slot->queued = std::max(slot->queued, read.known_end);
    slot->lagging = slot->queued < slot->seen;
    if (!slot->lagging) slot->unread = 0;
  }
  if (slot->lagging) slot->lagging_since = std::max(slot->lagging_since, TimeOf(slot->queued));
  GiveUp(*slot);
  TakeTurn(read.ticket.slot, *slot);
}

SlotBatch LinkBacklog::Batch(uint32_t number, Slot& slot, size_t count) {
  SlotBatch batch{.ticket = {number, slot.generation},
                  .cursor = {},
                  .count = count,
                  .mending = slot.mending,
                  .held = slot.held,
                  .changes = {}};
  batch.cursor = count == slot.waiting.size() ? slot.queued : slot.waiting[count - 1].position;
  std::unordered_map<std::string, size_t> index_of;
  for (size_t i = 0; i < count; ++i) {
    const LogEntry& entry = slot.waiting[i];
    const auto [it, is_new] = index_of.try_emplace(NameOf(entry), batch.changes.size());
    if (is_new) {
      batch.changes.push_back(entry);
    } else if (batch.changes[it->second].version < entry.version) {
      batch.changes[it->second] = entry;
    }
  }
  slot.under_way = count;
  return batch;
}

void LinkBacklog::Limit(uint32_t slot, size_t most) {
  const auto it = slots_.find(slot);
  if (it != slots_.end()) it->second.limit = most;
}

std::vector<SlotBatch> LinkBacklog::TakeBatches(size_t limit, size_t max_slots) {
  std::vector<SlotBatch> batches;
  size_t taken = 0;
  while (!turn_.empty() && taken < limit && batches.size() < max_slots) {
    const uint32_t number = turn_.front();
    turn_.pop_front();
    const auto it = slots_.find(number);
    if (it == slots_.end() || !it->second.in_turn) continue;
    Slot& slot = it->second;
    slot.in_turn = false;
    if (!slot.synced || slot.waits || slot.under_way > 0 || slot.waiting.empty()) continue;
    const size_t count = std::min({slot.waiting.size(), limit - taken, slot.limit});
    batches.push_back(Batch(number, slot, count));
    taken += count;
  }
  return batches;
}

void LinkBacklog::Finish(const SlotBatch& batch, bool applied) {
  Slot* slot = Find(batch.ticket);
  if (slot == nullptr) return;
  slot->under_way = 0;
  if (applied) {
    slot->waiting.erase(slot->waiting.begin(),
                        slot->waiting.begin() + static_cast<ptrdiff_t>(batch.count));
    Count(*slot, -static_cast<ptrdiff_t>(batch.count));
    Stop(*slot, slot->away, /*stalled=*/false);
    slot->sent = std::max(slot->sent, batch.cursor);
    if (!batch.mending && !batch.held) {
      slot->acked = std::max(slot->acked, batch.cursor);
      slot->told = std::max(slot->told, batch.cursor);
    }
  }
  GiveUp(*slot);
  TakeTurn(batch.ticket.slot, *slot);
}

std::vector<SlotBatch> LinkBacklog::StaleCursors(size_t limit) {
  std::vector<SlotBatch> batches;
  auto it = slots_.lower_bound(next_cursor_);
  for (size_t i = 0; i < slots_.size() && batches.size() < limit; ++i, ++it) {
    if (it == slots_.end()) it = slots_.begin();
    Slot& slot = it->second;
    if (!slot.synced || slot.under_way > 0 || slot.mending || slot.held || !slot.waiting.empty() ||
        slot.queued <= slot.told) {
      continue;
    }
    slot.told = slot.queued;
    batches.push_back(
        {.ticket = {it->first, slot.generation}, .cursor = slot.queued, .changes = {}});
    next_cursor_ = it->first + 1;
  }
  return batches;
}

bool LinkBacklog::all_synced() const {
  return std::all_of(slots_.begin(), slots_.end(),
                     [](const auto& entry) { return entry.second.synced; });
}

size_t LinkBacklog::lagging_slots() const {
  return static_cast<size_t>(std::count_if(slots_.begin(), slots_.end(),
                                           [](const auto& entry) { return entry.second.lagging; }));
}

bool LinkBacklog::IsBehind(uint32_t slot) const {
  const auto it = slots_.find(slot);
  return it != slots_.end() && (it->second.lagging || !it->second.waiting.empty());
}

uint64_t LinkBacklog::backlog() const {
  uint64_t backlog = waiting_;
  for (const auto& [number, slot] : slots_) {
    if (slot.lagging) backlog += std::max<uint64_t>(slot.unread, 1);
  }
  return backlog;
}

std::optional<absl::Time> LinkBacklog::OldestWaiting() const {
  std::optional<absl::Time> oldest;
  const auto consider = [&oldest](absl::Time time) {
    if (!oldest || time < *oldest) oldest = time;
  };
  for (const auto& [number, slot] : slots_) {
    if (!slot.waiting.empty()) {
      consider(slot.waiting.front().version.time());
    } else if (slot.lagging) {
      consider(slot.lagging_since);
    }
  }
  return oldest;
}

}  // namespace meridian
