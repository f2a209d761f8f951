// EngineCoherence keeps L1 true to the regional changelog: an L1 copy that is older than a change
// is dropped (the next read brings the new one), and every version seen moves the hybrid clock, so
// that the next version given out here is newer than what it follows.
//
// Cost: one lock of one engine shard a change; nothing more for changes that L1 has already.
// Thread safety: as ChangeSink.

#ifndef MERIDIAN_SERVER_REPLICATION_ENGINE_COHERENCE_H_
#define MERIDIAN_SERVER_REPLICATION_ENGINE_COHERENCE_H_

#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/engine/engine.h"
#include "server/node/followed_slots.h"
#include "server/replication/change_sink.h"
#include "server/replication/replication_observer.h"

namespace meridian {

class EngineCoherence final : public ChangeSink {
 public:
  // None is owned; all outlive this. `followed` is told what L1 may keep; nullptr: nobody asks.
  EngineCoherence(Engine& engine, HybridClock& hybrid_clock, const Clock& clock,
                  ReplicationObserver& observer, FollowedSlots* followed = nullptr)
      : engine_(engine),
        hybrid_clock_(hybrid_clock),
        clock_(clock),
        observer_(observer),
        followed_(followed) {}

  // The position is known before the slot is dropped, and everything after it will be seen: what
  // L1 took in before cannot outlive a change that it did not hear of.
  void OnSlotGained(uint32_t slot, LogPosition position) override;
  void OnSlotLost(uint32_t slot) override;
  void OnChanges(LogPosition after, const LogSlice& slice) override;
  void OnGap(uint32_t slot, GapKind kind) override;
  // L1 may now be all that still has what was acknowledged: see StoreRecovery, which compares it.
  void OnLoss(const SlotLoss& loss) override;

 private:
  void DropOlder(uint32_t slot, const LogEntry& entry);

  Engine& engine_;
  HybridClock& hybrid_clock_;
  const Clock& clock_;
  ReplicationObserver& observer_;
  FollowedSlots* const followed_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_ENGINE_COHERENCE_H_
