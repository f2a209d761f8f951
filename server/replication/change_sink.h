// ChangeSink is somebody who follows the changelog of the owned slots through the one tail.
//
// Promise of the caller (ChangelogTail): OnSlotGained comes before any change of the slot; then
//   every change after that position, in order, none left out unless OnGap or OnLoss says so;
//   nothing after OnSlotLost. All calls come one at a time, on the tail's executor. They must not
//   block.

#ifndef MERIDIAN_SERVER_REPLICATION_CHANGE_SINK_H_
#define MERIDIAN_SERVER_REPLICATION_CHANGE_SINK_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "server/node/l2_store.h"

namespace meridian {

enum class GapKind {
  kTrimmed,    // Entries after the tail's position are gone; it goes on with what is left.
  kRestarted,  // The log lost its end (a store that came back empty or older); it begins anew.
};

// The store has gone, or may have gone, back to an older state (L2Store::Generation).
struct SlotLoss {
  uint32_t slot = 0;
  // Up to here the log is as it was told; {0,0}: nothing that is remembered is there.
  LogPosition kept;
  // What follows here is told next: after `kept`, or, when nothing is left of what is remembered,
  // after what the log had by now. What came between is told to nobody.
  LogPosition resumed;
  bool rewound = false;        // Something after `kept` had been told.
  std::vector<LogEntry> lost;  // Changes that were told and are gone, as far as remembered.
};

class ChangeSink {
 public:
  virtual ~ChangeSink() = default;

  // The slot is owned now and changes after `position` will come.
  virtual void OnSlotGained(uint32_t slot, LogPosition position) = 0;
  virtual void OnSlotLost(uint32_t slot) = 0;
  // `slice` holds what follows `after` without a hole.
  virtual void OnChanges(LogPosition after, const LogSlice& slice) = 0;
  virtual void OnGap(uint32_t slot, GapKind kind) = 0;
  virtual void OnLoss(const SlotLoss& loss) = 0;
  // After OnLoss of all slots concerned: `kept` is the newest change of all of them that was told
  // and is still there. So far, and no further, the store as a whole has gone back.
  virtual void OnLossesKnown(LogPosition kept) {}
  // The part of the store that keeps the slot's log is away: OnCaughtUp says nothing of the slot
  // until OnBack, which comes when everything that the log has was told, or OnGap or OnLoss of it.
  virtual void OnAway(uint32_t slot) {}
  virtual void OnBack(uint32_t slot) {}
  // Everything that the logs of the followed slots, but for those that are away, had at `at`
  // (monotonic) has been told.
  virtual void OnCaughtUp(absl::Duration at) {}
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_CHANGE_SINK_H_
