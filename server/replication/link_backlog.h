// LinkBacklog is the bookkeeping of one replication link: by slot, what the target has, what waits
// in memory, and whether the slot follows the live tail or must be read from its cursor. No I/O, no
// time.
//
// Order: a slot has at most one batch under way, and its changes leave in the order of the log.
// Bound: at most `capacity` changes wait in memory, over all slots that may go. A slot that finds no
//   room, or whose live changes do not join on to what it has, lags: it is read from the log later.
//   Slots that stop (away, or refused and nothing taken since) share a quarter of that for
//   themselves, and take no room from the others; they give up what is more, and lag. One change
//   each is kept of those that are tried again.
// Thread safety: none.

#ifndef MERIDIAN_SERVER_REPLICATION_LINK_BACKLOG_H_
#define MERIDIAN_SERVER_REPLICATION_LINK_BACKLOG_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/version.h"
#include "server/node/l2_store.h"

namespace meridian {

// A slot as it was when something was begun with it; answers for a slot that was lost or began anew
// since are ignored.
struct SlotTicket {
  uint32_t slot = 0;
  uint64_t generation = 0;
};

// A slot that must be read from `after`.
struct CatchUpRead {
  SlotTicket ticket;
  LogPosition after;
  LogPosition known_end;  // The log reached at least so far when the read was begun.
};

// Consecutive changes of one slot, on their way to the target.
struct SlotBatch {
  SlotTicket ticket;
  LogPosition cursor;             // What the target has once these are applied.
  size_t count = 0;               // Changes, repeated keys included.
  bool mending = false;           // The cursor must not be told: there is a hole before it.
  bool held = false;              // Nor now: see Hold.
  std::vector<LogEntry> changes;  // The newest of each key.

  // What the target may be told; {0,0}: nothing.
  LogPosition told() const { return mending || held ? LogPosition{} : cursor; }
};

class LinkBacklog {
 public:
  // Whether a log entry is for this link at all.
  using Wanted = std::function<bool(const LogEntry&)>;

  LinkBacklog(size_t capacity, Wanted wanted);

  void Add(uint32_t slot);
  void Remove(uint32_t slot);
  // The slot's log began anew: forgets the slot, and asks for its cursor again.
  void Restart(uint32_t slot);
  // Asks for every slot's cursor again, as after an error: the target may have lost data.
  void Unsync();
  void Unsync(uint32_t slot);
  // Of these, ascending, nothing is asked and nothing is sent: one of the stores lacks their
  // server.
  void SetAway(std::vector<uint32_t> slots);

  std::vector<SlotTicket> Tickets() const;
  bool IsHere(SlotTicket ticket) const { return Find(ticket) != nullptr; }
  // nullopt: the slot is not here.
  std::optional<SlotTicket> TicketOf(uint32_t slot) const;

  // Synced slots of which the target has something, and how far that goes.
  struct Acked {
    SlotTicket ticket;
    LogPosition cursor;
  };
  std::vector<Acked> AckedSlots() const;
  // What the target had when it last answered; {0,0} for nothing.
  LogPosition AckedBefore(SlotTicket ticket) const;

  // Slots whose cursor must be fetched, which have no batch under way and are not away.
  std::vector<SlotTicket> Unsynced() const;
  // `cursor` is the target's word, `end` the end of the source's log, read after it.
  // A target that has less than before (it lost data) is sent the rest again.
  void Sync(SlotTicket ticket, LogPosition cursor, LogPosition end);

  // Changes after `after` and before `start` are gone from the log: until Mended, the slot's
  // changes go on to be sent, but its cursor stays where it is at the target, so that whoever owns
  // the slot finds the hole again.
  void Mend(SlotTicket ticket, LogPosition after, LogPosition start);
  // Whether Mend was told of exactly this hole and it is being mended.
  bool KnowsHole(SlotTicket ticket, LogPosition after, LogPosition start) const;
  void Mended(SlotTicket ticket);
  bool mending(SlotTicket ticket) const;
  // Up to where the target has everything, because it was sent or the slot was mended, whatever its
  // cursor says, which may be held or not have been told yet; {0,0}: nowhere, or it is in doubt.
  // REQUIRES: the slot is not being mended.
  LogPosition HasUpTo(SlotTicket ticket) const;
  // The log that the target's cursor is of is no more, a new one ends at `end`: true when that is
  // news. What was in the old log must be looked for in the store.
  bool NoteLostLog(SlotTicket ticket, LogPosition cursor, LogPosition end);
  // Up to where changes were looked at; {0,0} for a slot that is no longer here.
  LogPosition Queued(SlotTicket ticket) const;

  // Until Release, the slot's changes go on to be sent, but its cursor stays where it is at the
  // target: something is to be done here before it may pass.
  void Hold(SlotTicket ticket);
  void Release(uint32_t slot);

  // Nothing of the slot is sent until GoOn; what is under way may be finished. Until something was
  // applied it is tried with what is in memory, or little more.
  void Wait(SlotTicket ticket);
  void GoOn(SlotTicket ticket);

  // Live changes: `slice` follows `after`.
  void Feed(LogPosition after, const LogSlice& slice);

  // Lagging slots to read next, at most `limit`, taking turns.
  std::vector<CatchUpRead> NextReads(size_t limit);
  // What the read brought, at most `read_limit` entries; `entries` may be empty.
  void OnRead(const CatchUpRead& read, const std::vector<LogEntry>& entries, size_t read_limit);

  // No batch of the slot has more changes than `most` from now on.
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
  void Limit(uint32_t slot, size_t most);
  // The next batches, at most `limit` changes of `max_slots` slots in all; slots take turns.
  std::vector<SlotBatch> TakeBatches(size_t limit, size_t max_slots);
  // The batch was applied, or (false) must be sent again.
  void Finish(const SlotBatch& batch, bool applied);

  // Idle slots whose cursor at the target is behind, because what followed was not for it.
  // At most `limit`; each is named once for each position.
  std::vector<SlotBatch> StaleCursors(size_t limit);

  size_t slots() const { return slots_.size(); }
  size_t waiting() const { return waiting_; }
  // Of slots that do not stop.
  size_t waiting_to_go() const { return waiting_ - stopped_; }
  bool all_synced() const;
  size_t lagging_slots() const;
  // Changes known to wait, in memory and (as far as the tail saw them) in the log.
  uint64_t backlog() const;
  // Whether anything of the slot is known to wait.
  bool IsBehind(uint32_t slot) const;
  // When the oldest change that waits was written, as far as known; nullopt: none waits.
  std::optional<absl::Time> OldestWaiting() const;

 private:
  struct Slot {
    uint64_t generation = 0;
    bool based = false;   // Was synced once: live changes can join on.
    bool synced = false;  // The cursor was fetched since the last error.
    bool lagging = false;
    size_t under_way = 0;  // Changes of the batch that is under way.
    bool away = false;     // See SetAway.
    bool waits = false;    // See Wait.
    bool stalled = false;  // It waited, and nothing was applied since.
    bool held = false;     // See Hold.
    bool mending = false;  // Changes are missing somewhere before queued, the last time here:
    LogPosition hole_after;
    LogPosition hole_start;
    bool doubted = false;     // Of HasUpTo; until the slot is synced.
    LogPosition mended;       // See HasUpTo.
    LogPosition lost_cursor;  // Of NoteLostLog.
    LogPosition lost_end;
    size_t limit = kNoLimit;  // Of a batch.
    bool in_turn = false;     // In turn_.
    LogPosition acked;        // The target has it.
    LogPosition told;         // A cursor up to here was sent, answered or not.
    LogPosition sent;         // The target has what was looked at up to here, but for a hole.
    LogPosition queued;       // Looked at up to here: waiting, applied, or not wanted.
    LogPosition seen;         // The log reaches at least so far.
    uint64_t unread = 0;      // Wanted live changes passed by while lagging.
    absl::Time lagging_since;
    std::deque<LogEntry> waiting;

    bool stopped() const { return away || stalled; }
  };

  Slot* Find(SlotTicket ticket);
  const Slot* Find(SlotTicket ticket) const;
  void Forget(Slot& slot);
  void Lag(Slot& slot, absl::Time since);
  void Count(const Slot& slot, ptrdiff_t more);  // Or fewer.
  void Stop(Slot& slot, bool away, bool stalled);
  void GiveUp(Slot& slot);
  // Takes entries in until there is no room; false then.
  bool Queue(Slot& slot, const std::vector<LogEntry>& entries);
  void TakeTurn(uint32_t number, Slot& slot);
  SlotBatch Batch(uint32_t number, Slot& slot, size_t count);

  const size_t capacity_;
  const Wanted wanted_;
  std::map<uint32_t, Slot> slots_;
  std::vector<uint32_t> away_;
  std::deque<uint32_t> turn_;  // Slots with something to send, in order of service.
  size_t waiting_ = 0;         // Sum of waiting.size(), and
  size_t stopped_ = 0;         // of that of slots that stop.
  uint32_t next_read_ = 0;     // Where the turns of reading and of cursors go on.
  uint32_t next_cursor_ = 0;
  uint64_t next_generation_ = 1;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_LINK_BACKLOG_H_
