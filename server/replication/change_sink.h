// ChangeSink is somebody who follows the changelog of the owned slots through the one tail.
//
// Promise of the caller (ChangelogTail): OnSlotGained comes before any change of the slot; then every
//   change after that position, in order, none left out unless OnGap says so; nothing after
//   OnSlotLost. All calls come one at a time, on the tail's executor. They must not block.

#ifndef MERIDIAN_SERVER_REPLICATION_CHANGE_SINK_H_
#define MERIDIAN_SERVER_REPLICATION_CHANGE_SINK_H_

#include <cstdint>

#include "absl/time/time.h"
#include "server/node/l2_store.h"

namespace meridian {

enum class GapKind {
  kTrimmed,    // Entries after the tail's position are gone; it goes on with what is left.
  kRestarted,  // The log lost its end (a store that came back empty or older); it begins anew.
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
  // Everything that the logs of the followed slots had at `at` (monotonic) has been told.
  virtual void OnCaughtUp(absl::Duration at) {}
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_CHANGE_SINK_H_
