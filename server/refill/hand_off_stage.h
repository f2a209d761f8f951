// HandOffStage keeps aside what the present owners of slots send of their L1s, until this node owns
// the slots; then it puts it into L1. Nothing that is staged is served
// (docs/adr/0033-hand-off-before-the-epoch.md says why no old value is).
//
// Promise: of each planned slot every change of the regional changelog is heard from before the
//   first entry is taken, and of fences likewise. What is staged goes into L1 only when the node's
//   own tail follows the slot, and when everything that the log had at a time after that was heard:
//   unless it is older than a change of its key, or something came to the key meanwhile. A hole in
//   a log, or a store that went back, drops what is staged of the slot; of a log that keeps fences,
//   all that is staged. Nothing is evicted for it.
//   What was not put in after `keep`, or belongs to another plan, is dropped.
// Cost: a tail of the planned slots while there is a plan; `max_bytes` of entries; 16 bytes for
//   each of at most `max_changes` keys that are changed meanwhile.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REFILL_HAND_OFF_STAGE_H_
#define MERIDIAN_SERVER_REFILL_HAND_OFF_STAGE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/engine/fill_token.h"
#include "server/node/hand_off.h"
#include "server/node/node_context.h"
#include "server/refill/key_refill.h"
#include "server/replication/change_sink.h"
#include "server/replication/changelog_tail.h"
#include "server/replication/hearing.h"
#include "server/replication/replication_observer.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct HandOffStageOptions {
  size_t max_bytes = size_t{256} << 20;       // 0: nothing is taken.
  size_t max_changes = 500'000;               // Beyond, the plan is given up.
  absl::Duration keep = absl::Seconds(30);    // Of a plan.
  absl::Duration timeout = absl::Seconds(1);  // Of one call of L2.
  size_t log_entries = 100'000;               // As ChangelogTailOptions::log_entries.
};

class HandOffStage final : public ChangeSink {
 public:
  using Counters = std::array<std::atomic<uint64_t>, kRefillOutcomes>;

  // References outlive this, `context` also the callbacks of its store.
  HandOffStage(HandOffStageOptions options, const NodeContext& context, KeyRefill& keys,
               TaskGate gate);

  // By the topology of `epoch`, which comes next, this node gains `slots`, ascending. What is
  // staged by an earlier plan is dropped.
  void Begin(uint64_t epoch, const std::vector<uint32_t>& slots);

  // The number of items that were staged, in order; without items: 0, when some could be.
  // kUnavailable: this plan is not known (yet), or its slots are not followed yet.
  absl::StatusOr<uint64_t> Take(uint64_t epoch, std::vector<HandOffItem> items);

  // The node's own tail follows the slot, from now on or again: its L1 was dropped just now.
  void Followed(uint32_t slot);

  // ChangeSink of its own tail.
  void OnSlotGained(uint32_t slot, LogPosition position) override;
  void OnSlotLost(uint32_t slot) override {}
  void OnChanges(LogPosition after, const LogSlice& slice) override;
  void OnGap(uint32_t slot, GapKind kind) override { Doubt(slot); }
  void OnLoss(const SlotLoss& loss) override { Doubt(loss.slot); }
  void OnAway(uint32_t slot) override { Doubt(slot); }
  void OnCaughtUp(absl::Duration at) override;

  // Of the plan that is under way; 0: none is.
  uint64_t epoch() const { return epoch_; }
  // What became of staged entries, since the start.
  const Counters& counters() const { return counters_; }

 private:
  struct Staged {
    HandOffItem item;
    absl::Duration expires_at;       // Monotonic.
    std::optional<FillToken> token;  // Of a slot that is armed.
  };
  struct Slot {
    std::vector<Staged> staged;
    // Since when the tokens are; changes before that are in the log.
    std::optional<absl::Duration> armed_at;
  };

  void LoadFences();
  void FencesLoaded(uint64_t plan, const std::vector<LogEntry>& fences);
  void Learn(const LogEntry& entry);
  bool Stage(HandOffItem item);
  // Something that the slot's log had may not have been told: a change of the slot, or a fence.
  void Doubt(uint32_t slot);
  void Drop(uint32_t slot);
  void DropAll();
  void PutIn(std::vector<Staged> ready);
  RefillOutcome Put(const Staged& staged);
  // The key in L1; nullopt: there are too many namespaces.
  const Namespace* Name(const HandOffItem& item, uint32_t slot, EntryKey* key) const;
  void End();

  const HandOffStageOptions options_;
  const NodeContext& context_;
  KeyRefill& keys_;
  const TaskGate gate_;
  ReplicationObserver observer_;         // The node's own tail tells of its store.
  std::unique_ptr<ChangelogTail> tail_;  // Made for the first plan.

  uint64_t plan_ = 0;  // Counts calls of Begin.
  uint64_t epoch_ = 0;
  std::map<uint32_t, Slot> slots_;
  size_t unfollowed_ = 0;  // Slots that the tail does not follow yet,
  size_t unlisted_ = 0;    // and then those whose fences are not known.
  bool ready_ = false;
  size_t bytes_ = 0;
  NamedKeys changed_;
  Counters counters_{};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_HAND_OFF_STAGE_H_
