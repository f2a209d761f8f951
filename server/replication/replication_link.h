// ReplicationLink brings one region's own changes of the owned slots to one other region.
//
// A slot begins at the cursor that the target keeps for it. While the target answers, changes come
// from the live tail; a slot that lags is read from the log. The records are fetched when they are
// sent, so that a key that changed often crosses once, and applied by the target's script together
// with the cursor: at least once, last writer wins, in any order.
//
// Promise: memory is bounded whatever the target does; links share nothing, so that a slow region
//   does not slow another; after an error, and when the target has less than it had answered,
//   cursors are asked for again, so that a target that came back empty is filled from the log;
//   where the log was trimmed too early, LinkRepair mends the slot from the store itself. When the
//   target may have gone back (L2Store::Generation: a failover, a restart), every slot concerned is
//   compared with it within a tick: what it lost comes back to it, what it wrote itself included,
//   and so do deletes; a slot that is gained in the hour after that, too, whose former owner may
//   not have come to the end.
// A value older than tombstones are kept is not sent like this, because it may have been deleted
// over
//   there and forgotten since: LinkRepair finds out.
// Of a namespace that is invalidate_only no record is fetched or sent: the target drops what is
//   older. Nothing is sent before SetCut has said that the target is not cut; what was sent before
//   a cut may still arrive. Changes wait as they do for a target that is away. A server of a store
//   that is away stops its slots and no others.
// A change that the target refuses for its own sake, at once or again and again while its slot
// takes
//   others, is left out, counted, and stood for by a drop of what is older; what follows it goes
//   on.
// A store that answers and takes no writes (it is full, cannot save, has too few replicas) stops,
// of
//   the target, the slots that it refuses, each with its own wait; of the own region, nothing:
//   the drops that it is to take are owed, and the cursors of their slots wait for them (OwnDrops).
// What does not cross in time is sent in smaller parts, down to one change, which has more time; so
// is what the own store does not give out in time asked for (FetchPace).
// Bounds: max_fetches (of batch_changes keys, about batch_bytes) under way, and max_slots calls to
//   the target, one a slot: enough to fill a link of 150 ms, and half of what a connection takes.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_REPLICATION_LINK_H_
#define MERIDIAN_SERVER_REPLICATION_REPLICATION_LINK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/resilience/backoff.h"
#include "server/node/l2_store.h"
#include "server/policy/namespace_policy.h"
#include "server/replication/change_sink.h"
#include "server/replication/cuttable_store.h"
#include "server/replication/fetch_pace.h"
#include "server/replication/hearing.h"
#include "server/replication/link_backlog.h"
#include "server/replication/link_pace.h"
#include "server/replication/link_repair.h"
#include "server/replication/own_drops.h"
#include "server/replication/region_cuts.h"
#include "server/replication/replicated_write.h"
#include "server/replication/replication_observer.h"
#include "server/replication/sync_waits.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct ReplicationLinkOptions {
  std::string own_region;
  std::string target_region;
  size_t queue_capacity = 32768;  // Changes that wait in memory.
  size_t batch_changes = 1000;
  size_t batch_bytes = size_t{4} << 20;
  size_t max_fetches = 8;
  size_t max_slots = 256;
  size_t read_entries = 1000;  // Of one slot, in one read of the log.
  size_t read_slots = 16;
  size_t cursors_per_tick = 128;
  absl::Duration tick = absl::Seconds(1);
  uint64_t check_ticks = 5;  // How often the target's cursors are compared with what it answered.
  absl::Duration timeout = absl::Seconds(5);
  BackoffOptions backoff{.initial = absl::Milliseconds(50), .max = absl::Seconds(2)};
  size_t most_owed_drops = OwnDrops::kMost;
  uint64_t seed = 0;  // Spreads the retries of different nodes.
  LinkRepairOptions repair;
};

// What AdminService.GetReplication shows of a link.
struct LinkStatus {
  std::string from;
  std::string to;
  LinkState state = LinkState::kDisconnected;
  std::string problem;   // For people; may be of single slots of a link that goes on.
  absl::Duration lag;    // Since the oldest change that is not applied was written; 0: none waits.
  uint64_t backlog = 0;  // Changes known to wait.
  uint64_t applied_total = 0;
  uint64_t stale_total = 0;
  uint64_t dropped_total = 0;
  // Changes whose record had expired, or been evicted, in the own store; sent as drops of what is older.
  uint64_t gone_total = 0;
  uint64_t gaps_total = 0;
  size_t refused_slots = 0;  // That wait because the target does not take their changes now.
  size_t owed_drops = 0;  // Drops of what is older than the gone ones, that the own store refuses.
  LinkRepairStatus repair;
  Version last_applied;
};

class ReplicationLink final : public ChangeSink {
 public:
  using ModeOf = std::function<ReplicationMode(std::string_view name_space)>;

  // No reference is owned; all outlive this.
  ReplicationLink(ReplicationLinkOptions options, L2Store& source, L2Store& target, TaskGate gate,
                  const Hearing& hearing, const Clock& clock, const ClockGuard& clock_guard,
                  ReplicationObserver& observer, ModeOf mode_of, SyncWaits& sync_waits);

  void Start();
  // An operator's will; nullopt: replicate.
  void SetCut(const std::optional<RegionCut>& cut);
  const std::string& target_region() const { return options_.target_region; }
  LinkStatus Status() const;

  void OnSlotGained(uint32_t slot, LogPosition position) override;
  void OnSlotLost(uint32_t slot) override;
  void OnChanges(LogPosition after, const LogSlice& slice) override;
  void OnGap(uint32_t slot, GapKind kind) override;
  void OnLoss(const SlotLoss& loss) override;
  void OnLossesKnown(LogPosition kept) override;

 private:
  struct SyncRound;  // Slots whose cursors are being fetched.
  struct Shipment;   // Batches that are fetched together.
  struct Losses;     // Of a batch.
  // Of a slot of which a batch was refused, until all of it was taken.
  struct Refusals {
    int times = 0;   // In a row, for what may be a key's sake.
    int alone = 0;   // Of them, one change alone, while its slot took another write.
    int no_drop = 0;  // So was the drop that was to stand for it.
    size_t limit = 0;
    bool waits = false;  // The last batch was refused.
    Backoff backoff{{.initial = absl::Milliseconds(50), .max = absl::Seconds(2)}};
  };

  void SchedulePump();
  void Pump();
  void Tick();

  void Sync();
  void SyncEnds(std::shared_ptr<SyncRound> round);
  void SyncStarts(std::shared_ptr<SyncRound> round);
  void Synced(const SyncRound& round);

  void CatchUp();
  void CheckHoles(uint64_t attempt, std::vector<CatchUpRead> asked, std::vector<LogSlice> slices);
  void TakeReads(const std::vector<CatchUpRead>& asked, const std::vector<LogSlice>& slices);
  void Hole(SlotTicket ticket, LogPosition cursor, LogPosition after, LogPosition start);
  bool WentBackAsAWhole(const std::vector<LogPosition>& cursors,
                        const std::vector<LogPosition>& ends) const;
  void LostLog(SlotTicket ticket, LogPosition end, bool as_a_whole);
  void WentBack(SlotTicket ticket, LogPosition cursor, LogPosition acked);
  void Late(SlotTicket ticket);
  bool IsBeyondTombstones(absl::Time time) const {
    return time < TombstoneHorizon(clock_.Now(), options_.repair.tombstone_ttl);
  }
  // By the log's own time: Redis makes stream ids from its clock.
  bool IsBeyondTombstones(LogPosition position) const {
    return IsBeyondTombstones(absl::FromUnixMillis(static_cast<int64_t>(position.ms)));
  }
  void Mended(SlotTicket ticket);
  bool Ship();
  void Fetched(const std::shared_ptr<Shipment>& shipment, const std::vector<L2Record>& records);
  absl::Status CheckFetched(const std::vector<L2Record>& records, Shipment* shipment);
  void WaitForOverloaded(const std::shared_ptr<Shipment>& shipment);
  std::vector<L2Write> WritesOf(const SlotBatch& batch, const std::vector<L2Record>& records,
                                size_t* next, bool* late, Shipment* shipment);
  void Abandon(const Shipment& shipment, const absl::Status& status);
  void DropOwn(const std::shared_ptr<Shipment>& shipment);
  void OwnDropped(const std::shared_ptr<Shipment>& shipment, const std::set<uint32_t>& dropping,
                  const OwnDrops::Outcome& outcome);
  void Apply(const std::shared_ptr<Shipment>& shipment, size_t index);
  void Applied(const std::shared_ptr<Shipment>& shipment, size_t index,
               const std::vector<L2WriteResult>& results);
  absl::Status Count(const std::vector<L2WriteResult>& results);
  void Finished(const std::shared_ptr<Shipment>& shipment, size_t index,
                const absl::Status& status);
  void Close(const std::shared_ptr<Shipment>& shipment, size_t index, bool applied);
  void TellWaiting(const Shipment& shipment, size_t index,
                   const std::vector<L2WriteResult>& results);
  // A change that the target does not take, and why.
  struct RefusedChange {
    LogEntry entry;
    absl::Status why;
  };
  std::vector<RefusedChange> RefusedOf(const Shipment& shipment, size_t index,
                                       const std::vector<L2WriteResult>& results) const;
  bool NoteRefused(const SlotBatch& batch, const absl::Status& refusal);
  void WaitAfterRefusal(const SlotBatch& batch, const absl::Status& refusal);
  void ForgetRefusals();
  void GoOn(SlotTicket ticket);
  size_t RefusedSlots() const;
  void AskWhetherAnythingIsTaken();
  std::string Trouble() const;
  void NoteTaken(const SlotBatch& batch);
  void Probe(const std::shared_ptr<Shipment>& shipment, size_t index, const absl::Status& refusal,
             int Refusals::* proofs, Executor::Task proved);
  void SendDrops(const std::shared_ptr<Shipment>& shipment, size_t index,
                 const std::vector<RefusedChange>& refused);
  void DropsSent(const std::shared_ptr<Shipment>& shipment, size_t index,
                 const std::vector<RefusedChange>& refused,
                 const std::vector<L2WriteResult>& results);
  // The changes are counted as left out, whatever became of their drops.
  void LeaveOut(const std::shared_ptr<Shipment>& shipment, size_t index,
                const std::vector<RefusedChange>& refused, bool all_dropped);
  bool SendsValues(std::string_view name_space) const {
    return mode_of_(name_space) != ReplicationMode::kInvalidateOnly;
  }
  void FlushCursors();
  void CheckTarget();
  void NoteTargetLoss();
  void NoteAway();
  void CompareAfterLoss(uint32_t slot);

  void Failed(uint64_t attempt, std::string_view store, const absl::Status& status);
  void CountLosses(const Losses& losses);
  void Drop(const absl::Status& why);
  LinkState State() const;
  void Report();
  absl::Time Deadline() const { return clock_.Now() + options_.timeout; }

  const ReplicationLinkOptions options_;
  const uint16_t own_id_;
  const uint16_t target_id_;
  L2Store& source_;
  CuttableStore target_;
  const TaskGate gate_;
  const Clock& clock_;
  ReplicationObserver& observer_;
  const ModeOf mode_of_;
  SyncWaits& sync_waits_;
  LinkBacklog backlog_;
  LinkRepair repair_;

  bool pump_scheduled_ = false;
  bool syncing_ = false;
  bool reading_ = false;
  bool checking_ = false;
  uint64_t ticks_ = 0;
  std::vector<uint32_t> away_;      // Slots that one of the stores lacks the server of.
  uint64_t target_generation_ = 0;  // Of the target, when it was looked at last, and
  absl::Duration target_lost_at_ = -absl::InfiniteDuration();  // when it last grew.
  // Slots that lost changes, and kept only such from before tombstones: until it is known how far
  // the store has gone back.
  std::set<uint32_t> rewound_far_;
  absl::Duration own_lost_at_ = -absl::InfiniteDuration();  // It went back, but not so far.
  bool paused_ = true;  // Waits for the backoff, or for the first word about a cut.
  std::optional<RegionCut> cut_;
  uint64_t attempt_ = 1;        // Errors of earlier attempts do not pause this one.
  size_t shipments_ = 0;        // Under way.
  size_t slots_under_way_ = 0;  // Their batches.
  int refused_alone_ = 0;       // Fetches of a single key that were refused in a row.
  FetchPace fetch_pace_;        // Of what is fetched.
  LinkPace pace_;               // Of what is sent.
  std::map<uint32_t, Refusals> refusals_;
  absl::Status refusal_;  // The last one; of use while any slot waits.
  bool taken_ = false;    // The target has taken something since it was asked whether it does.
  bool asking_ = false;
  bool takes_nothing_ = false;  // As far as it was asked.
  OwnDrops own_drops_;
  std::string problem_;
  Backoff backoff_;
  std::minstd_rand random_;
  LinkState reported_ = LinkState::kDisconnected;

  uint64_t applied_total_ = 0;
  uint64_t stale_total_ = 0;
  uint64_t dropped_total_ = 0;
  uint64_t gone_total_ = 0;
  uint64_t gaps_total_ = 0;
  Version last_applied_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_REPLICATION_LINK_H_
