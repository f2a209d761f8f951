// WatchFeed tells the WatchHub what the changelog's tail hears: changes by other nodes and regions,
// slots that are followed or not any more, holes, and how far all of it is complete.
//
// Cost: what WatchHub says. Thread safety: as ChangeSink.

#ifndef MERIDIAN_SERVER_REPLICATION_WATCH_FEED_H_
#define MERIDIAN_SERVER_REPLICATION_WATCH_FEED_H_

#include <algorithm>

#include "server/node/watch_hub.h"
#include "server/replication/change_sink.h"
#include "server/replication/fence_follower.h"
#include "server/replication/store_recovery.h"

namespace meridian {

class WatchFeed final : public ChangeSink {
 public:
  // None is owned; all outlive this. `hub` nullptr: nobody is told. Comes after the sink that
  // keeps L1 coherent: who hears of a change and reads must not find what was before.
  WatchFeed(WatchHub* hub, const FenceFollower& fences, const StoreRecovery& recovery)
      : hub_(hub), fences_(fences), recovery_(recovery) {}

  void OnSlotGained(uint32_t slot, LogPosition position) override {
    if (hub_ != nullptr) hub_->SlotFollowed(slot);
  }
  void OnSlotLost(uint32_t slot) override {
    if (hub_ != nullptr) hub_->SlotLost(slot);
  }
  void OnChanges(LogPosition after, const LogSlice& slice) override {
    if (hub_ == nullptr) return;
    for (const LogEntry& entry : slice.entries) {
      if (!entry.version.is_set()) continue;  // Not written by us: nobody's change.
      hub_->Changed(slice.slot, entry.name_space, entry.key, entry.version);
    }
  }
  void OnGap(uint32_t slot, GapKind kind) override {
    if (hub_ != nullptr) hub_->SlotGap(slot);
  }
  void OnLoss(const SlotLoss& loss) override {
    if (hub_ != nullptr && loss.rewound) hub_->SlotGap(loss.slot);
  }
  // Nobody hears what others do to it: its followers keep nothing of it until it is back.
  void OnAway(uint32_t slot) override {
    if (hub_ != nullptr) hub_->SlotLost(slot);
  }
  void OnBack(uint32_t slot) override {
    if (hub_ != nullptr) hub_->SlotFollowed(slot);
  }
  void OnCaughtUp(absl::Duration at) override {
    // L1 may still answer what others have overwritten, and be compared later.
    if (!recovery_.idle()) return;
    // The fences come by a changelog of their own, perhaps of another server.
    if (hub_ != nullptr) hub_->CaughtUp(std::min(at, fences_.caught_up()));
  }

 private:
  WatchHub* const hub_;
  const FenceFollower& fences_;
  const StoreRecovery& recovery_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_WATCH_FEED_H_
