#include "server/replication/replication_link.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/version_before.h"

namespace meridian {
namespace {

// A circuit breaker refused the call without asking the store.
bool WasNotAsked(const absl::Status& status) {
  return absl::StartsWith(status.message(), "L2_CIRCUIT_OPEN: ");
}

// How soon a breaker is tried again. It tries the store as seldom as it should by itself, and what
// it refuses costs little; but the first calls after an outage, of which it lets a few through,
// must not cost the link its longest wait.
constexpr absl::Duration kBreakerWait = absl::Milliseconds(100);

}  // namespace

struct ReplicationLink::SyncRound {
  uint64_t attempt;
  std::vector<SlotTicket> tickets;
  std::vector<uint32_t> slots;
  std::vector<LogPosition> cursors;
  std::vector<LogPosition> ends;
};

ReplicationLink::ReplicationLink(ReplicationLinkOptions options, L2Store& source, L2Store& target,
                                 TaskGate gate, const Hearing& hearing, const Clock& clock,
                                 const ClockGuard& clock_guard, ReplicationObserver& observer,
                                 ModeOf mode_of, SyncWaits& sync_waits)
    : options_(std::move(options)),
      own_id_(RegionId(options_.own_region)),
      target_id_(RegionId(options_.target_region)),
      source_(source),
      target_(target),
      gate_(std::move(gate)),
      clock_(clock),
      observer_(observer),
      mode_of_(std::move(mode_of)),
      sync_waits_(sync_waits),
      backlog_(options_.queue_capacity,
               [this](const LogEntry& entry) {
                 return IsChangeOf(entry.version, own_id_) &&
                        mode_of_(entry.name_space) != ReplicationMode::kLocal;
               }),
      repair_(options_.repair, options_.own_region, options_.target_region, source, target_,
              hearing, gate_, clock, clock_guard, mode_of_,
              [this](SlotTicket ticket) { Mended(ticket); }),
      fetch_pace_({.keys = options_.batch_changes,
                   .fetches = options_.max_fetches,
                   .bytes = options_.batch_bytes,
                   .timeout = options_.timeout}),
      pace_(options_.max_fetches * options_.batch_changes, options_.timeout),
      own_drops_(
          options_.own_region, source, gate_, clock, options_.timeout, options_.most_owed_drops,
          options_.seed, [this](uint32_t slot) { return backlog_.TicketOf(slot).has_value(); },
          [this](uint32_t slot) { backlog_.Release(slot); },
          [this](const absl::Status& why) { Drop(why); }),
      problem_(absl::StrCat("the store of ", options_.own_region,
                            " has not said yet whether the region is cut")),
      backoff_(options_.backoff),
      random_(static_cast<std::minstd_rand::result_type>(options_.seed)) {}

void ReplicationLink::Start() { Tick(); }

void ReplicationLink::Tick() {
  NoteTargetLoss();
  NoteAway();
  FlushCursors();
  CheckTarget();
  AskWhetherAnythingIsTaken();
  Report();
  gate_.PostAfter(options_.tick, [this] { Tick(); });
}

void ReplicationLink::SetCut(const std::optional<RegionCut>& cut) {
  cut_ = cut;
  if (cut) {
    target_.Cut(absl::UnavailableError("REGION_CUT: replication is cut by an operator"));
    return Failed(attempt_, options_.target_region,
                  absl::UnavailableError("replication is cut by an operator"));
  }
  target_.Heal();
  ++attempt_;  // What failed before is no reason to wait.
  fetch_pace_.BeginAnew();
  paused_ = false;
  problem_.clear();
  backoff_.Reset();
  backlog_.Unsync();
  Pump();
}

// --- From the tail.

void ReplicationLink::OnSlotGained(uint32_t slot, LogPosition position) {
  backlog_.Add(slot);
  if (const auto ticket = backlog_.TicketOf(slot)) repair_.Gained(*ticket);
  CompareAfterLoss(slot);
  SchedulePump();
}

void ReplicationLink::OnSlotLost(uint32_t slot) {
  backlog_.Remove(slot);
  repair_.Remove(slot);
  rewound_far_.erase(slot);
  refusals_.erase(slot);
  own_drops_.Forget(slot);
}

void ReplicationLink::OnChanges(LogPosition after, const LogSlice& slice) {
  backlog_.Feed(after, slice);
  SchedulePump();
}

void ReplicationLink::OnGap(uint32_t slot, GapKind kind) {
  if (kind == GapKind::kRestarted) {
    backlog_.Restart(slot);
    refusals_.erase(slot);
    repair_.Remove(slot);  // The hole is found again by the cursor, which did not move.
    if (const auto ticket = backlog_.TicketOf(slot)) repair_.Gained(*ticket);
    CompareAfterLoss(slot);
  } else {
    // What the tail missed would seem to join on: the hole is found between cursor and log.
    backlog_.Unsync(slot);
  }
  SchedulePump();
}

void ReplicationLink::SchedulePump() {
  if (pump_scheduled_) return;
  pump_scheduled_ = true;
  gate_.Post([this] {  // After the other slots of the same poll.
    pump_scheduled_ = false;
    Pump();
  });
}

void ReplicationLink::Pump() {
  NoteTargetLoss();
  NoteAway();
  if (!paused_ && !cut_) {
    Sync();
    CatchUp();
    while (!paused_ && Ship()) {
    }
  }
  Report();
}

// --- Where slots begin: the target's cursor, then the end of our log, then its beginning.

void ReplicationLink::Sync() {
  if (syncing_) return;
  auto round = std::make_shared<SyncRound>();
  round->attempt = attempt_;
  round->tickets = backlog_.Unsynced();
  if (round->tickets.empty()) return;
  for (const SlotTicket& ticket : round->tickets) round->slots.push_back(ticket.slot);
  syncing_ = true;
  target_.FetchCursors(options_.own_region, round->slots, Deadline(),
                       gate_.Reply<absl::StatusOr<std::vector<LogPosition>>>(
                           [this, round](absl::StatusOr<std::vector<LogPosition>> cursors) {
                             if (!cursors.ok()) {
                               syncing_ = false;
                               return Failed(round->attempt, options_.target_region,
                                             cursors.status());
                             }
                             round->cursors = *std::move(cursors);
                             SyncEnds(round);
                           }));
}

void ReplicationLink::SyncEnds(std::shared_ptr<SyncRound> round) {
  source_.LogEnds(round->slots, Deadline(),
                  gate_.Reply<absl::StatusOr<std::vector<LogPosition>>>(
                      [this, round](absl::StatusOr<std::vector<LogPosition>> ends) {
                        if (!ends.ok()) {
                          syncing_ = false;
                          return Failed(round->attempt, options_.own_region, ends.status());
                        }
                        round->ends = *std::move(ends);
                        SyncStarts(round);
                      }));
}

void ReplicationLink::SyncStarts(std::shared_ptr<SyncRound> round) {
  std::vector<LogRead> reads;
  const bool as_a_whole = WentBackAsAWhole(round->cursors, round->ends);
  for (size_t i = 0; i < round->slots.size(); ++i) {
    const LogPosition acked = backlog_.AckedBefore(round->tickets[i]);
    if (round->cursors[i] < acked) {
      repair_.TargetLost();
      if (round->cursors[i].ms != 0 && IsBeyondTombstones(round->cursors[i])) {
        WentBack(round->tickets[i], round->cursors[i], acked);
      }
    }
    if (round->cursors[i] < round->ends[i]) {
      reads.push_back({round->slots[i], LogPosition{}});
    } else if (round->cursors[i] > round->ends[i] &&
               backlog_.NoteLostLog(round->tickets[i], round->cursors[i], round->ends[i])) {
      LostLog(round->tickets[i], round->ends[i], as_a_whole);
    }
  }
  if (reads.empty()) return Synced(*round);
  source_.ReadLogs(std::move(reads), 1, Deadline(),
                   gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
                       [this, round](const absl::StatusOr<std::vector<LogSlice>>& firsts) {
                         if (!firsts.ok()) {
                           syncing_ = false;
                           return Failed(round->attempt, options_.own_region, firsts.status());
                         }
                         std::map<uint32_t, LogPosition> starts;
                         for (const LogSlice& slice : *firsts) {
                           starts[slice.slot] = slice.entries.front().position;
                         }
                         for (size_t i = 0; i < round->slots.size(); ++i) {
                           if (round->cursors[i] >= round->ends[i]) continue;
                           // Without a first entry all of them were trimmed.
                           const auto found = starts.find(round->slots[i]);
                           const LogPosition start =
                               found == starts.end() ? round->ends[i] : found->second;
                           // The hole that is being mended is not a new one.
                           const SlotTicket ticket = round->tickets[i];
                           LogPosition after = round->cursors[i];
                           if (backlog_.mending(ticket)) {
                             after = backlog_.Queued(ticket);
                           } else if (round->cursors[i] >= backlog_.AckedBefore(ticket)) {
                             // Nor is what was sent, or mended, and is not told of by the cursor
                             // yet.
                             after = std::max(after, backlog_.HasUpTo(ticket));
                           }
                           if (start > after) Hole(ticket, round->cursors[i], after, start);
                         }
                         Synced(*round);
                       }));
}

void ReplicationLink::Synced(const SyncRound& round) {
  syncing_ = false;
  if (round.attempt == attempt_) {
    for (size_t i = 0; i < round.tickets.size(); ++i) {
      backlog_.Sync(round.tickets[i], round.cursors[i], round.ends[i]);
    }
    ForgetRefusals();
    problem_.clear();
    if (backlog_.backlog() == 0) backoff_.Reset();
  }
  Pump();
}

// --- Lagging slots.

void ReplicationLink::CatchUp() {
  if (reading_ || backlog_.waiting_to_go() > options_.queue_capacity / 2) return;
  std::vector<CatchUpRead> asked = backlog_.NextReads(options_.read_slots);
  if (asked.empty()) return;
  std::vector<LogRead> reads;
  for (const CatchUpRead& read : asked) reads.push_back({read.ticket.slot, read.after});
  reading_ = true;
  source_.ReadLogs(std::move(reads), options_.read_entries, Deadline(),
                   gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
                       [this, attempt = attempt_, asked = std::move(asked)](
                           const absl::StatusOr<std::vector<LogSlice>>& slices) {
                         reading_ = false;
                         if (!slices.ok())
                           return Failed(attempt, options_.own_region, slices.status());
                         CheckHoles(attempt, asked, *slices);
                       }));
}

// A log may be trimmed while a slow region is behind: what was read joins on to what went before
// only if the log still begins there, asked after the read.
void ReplicationLink::CheckHoles(uint64_t attempt, std::vector<CatchUpRead> asked,
                                 std::vector<LogSlice> slices) {
  std::vector<LogRead> reads;
  for (const CatchUpRead& read : asked) {
    if (read.after != LogPosition{}) reads.push_back({read.ticket.slot, LogPosition{}});
  }
  if (reads.empty()) {
    TakeReads(asked, slices);
    return Pump();
  }
  reading_ = true;
  source_.ReadLogs(std::move(reads), 1, Deadline(),
                   gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
                       [this, attempt, asked = std::move(asked), slices = std::move(slices)](
                           const absl::StatusOr<std::vector<LogSlice>>& firsts) {
                         reading_ = false;
                         if (!firsts.ok()) {
                           return Failed(attempt, options_.own_region, firsts.status());
                         }
                         std::map<uint32_t, LogPosition> starts;
                         for (const LogSlice& slice : *firsts) {
                           starts[slice.slot] = slice.entries.front().position;
                         }
                         for (const CatchUpRead& read : asked) {
                           const auto start = starts.find(read.ticket.slot);
                           if (read.after == LogPosition{}) continue;
                           const LogPosition first =
                               start == starts.end() ? read.known_end : start->second;
                           if (first > read.after) Hole(read.ticket, read.after, read.after, first);
                         }
                         TakeReads(asked, slices);
                         Pump();
                       }));
}

void ReplicationLink::TakeReads(const std::vector<CatchUpRead>& asked,
                                const std::vector<LogSlice>& slices) {
  std::map<uint32_t, const std::vector<LogEntry>*> entries;
  for (const LogSlice& slice : slices) entries[slice.slot] = &slice.entries;
  const std::vector<LogEntry> none;
  for (const CatchUpRead& read : asked) {
    const auto it = entries.find(read.ticket.slot);
    backlog_.OnRead(read, it == entries.end() ? none : *it->second, options_.read_entries);
  }
}

// --- Cursors.

// Foreign and local changes move the cursor, too, or a restart would read them all again. Nobody
// waits for the answer: a cursor that did not arrive is only an older place to begin at.
void ReplicationLink::FlushCursors() {
  if (paused_ || cut_) return;
  for (const SlotBatch& batch : backlog_.StaleCursors(options_.cursors_per_tick)) {
    target_.ApplyReplicated(options_.own_region, batch.ticket.slot, batch.cursor, {}, Deadline(),
                            [](const std::vector<L2WriteResult>&) {});
  }
}

// A store may lose what it had without any call of ours failing: it restarts between two of them,
// or another server takes its place that was behind. Then its cursors are behind what it answered.
void ReplicationLink::CheckTarget() {
  if (paused_ || cut_ || checking_ || ++ticks_ % options_.check_ticks != 0) return;
  std::vector<LinkBacklog::Acked> acked = backlog_.AckedSlots();
  if (acked.empty()) return;
  std::vector<uint32_t> slots;
  for (const LinkBacklog::Acked& slot : acked) slots.push_back(slot.ticket.slot);
  checking_ = true;
  target_.FetchCursors(options_.own_region, std::move(slots), Deadline(),
                       gate_.Reply<absl::StatusOr<std::vector<LogPosition>>>(
                           [this, attempt = attempt_, acked = std::move(acked)](
                               const absl::StatusOr<std::vector<LogPosition>>& cursors) {
                             checking_ = false;
                             if (!cursors.ok()) {
                               return Failed(attempt, options_.target_region, cursors.status());
                             }
                             size_t behind = 0;
                             for (size_t i = 0; i < acked.size(); ++i) {
                               if ((*cursors)[i] >= acked[i].cursor) continue;
                               backlog_.Unsync(acked[i].ticket.slot);
                               ++behind;
                             }
                             if (behind == 0) return;
                             observer_.OnTargetLoss(options_.target_region, behind);
                             Pump();
                           }));
}

// --- Errors and status.

void ReplicationLink::Failed(uint64_t attempt, std::string_view store, const absl::Status& status) {
  if (attempt != attempt_) return SchedulePump();  // That attempt has failed already: go on.
  ++attempt_;
  fetch_pace_.BeginAnew();
  paused_ = true;
  problem_ = absl::StrCat("store of ", std::string(store), ": ", status.ToString());
  backlog_.Unsync();
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  const absl::Duration wait = WasNotAsked(status)
                                  ? WithJitter(kBreakerWait, options_.backoff.jitter, random)
                                  : backoff_.Next(random);
  gate_.PostAfter(wait, [this] {
    paused_ = false;
    Pump();
  });
  Report();
}

LinkState ReplicationLink::State() const {
  if (cut_) return LinkState::kCut;
  if (!problem_.empty() || takes_nothing_ || !target_.Health().connected) {
    return LinkState::kDisconnected;
  }
  if (repair_.Status().slots > 0) return LinkState::kRepairing;
  if (!backlog_.all_synced() || backlog_.lagging_slots() > 0) return LinkState::kCatchingUp;
  return LinkState::kStreaming;
}

void ReplicationLink::Report() {
  const LinkState state = State();
  sync_waits_.SetReachable(options_.target_region,
                           state != LinkState::kCut && state != LinkState::kDisconnected);
  if (state == reported_) return;
  reported_ = state;
  observer_.OnLinkState(options_.target_region, state, Status().problem);
}

LinkStatus ReplicationLink::Status() const {
  LinkStatus status;
  status.from = options_.own_region;
  status.to = options_.target_region;
  status.state = State();
  if (status.state == LinkState::kCut) {
    status.problem =
        absl::StrCat("cut by an operator at ",
                     absl::FormatTime("%Y-%m-%d %H:%M:%S", cut_->since, absl::UTCTimeZone()),
                     " UTC", cut_->reason.empty() ? "" : ": ", cut_->reason);
  } else if (status.state == LinkState::kDisconnected) {
    status.problem = problem_.empty() ? target_.Health().problem : problem_;
  }
  if (status.problem.empty()) status.problem = Trouble();
  status.refused_slots = RefusedSlots();
  status.owed_drops = own_drops_.owed();
  if (const std::optional<absl::Time> oldest = backlog_.OldestWaiting()) {
    status.lag = std::max(absl::ZeroDuration(), clock_.Now() - *oldest);
  }
  status.backlog = backlog_.backlog();
  status.applied_total = applied_total_;
  status.stale_total = stale_total_;
  status.dropped_total = dropped_total_;
  status.gone_total = gone_total_;
  status.gaps_total = gaps_total_;
  status.repair = repair_.Status();
  status.last_applied = last_applied_;
  return status;
}

}  // namespace meridian
