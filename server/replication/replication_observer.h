// ReplicationObserver hears what metrics and logs want to know about replication. Every method does
// nothing by default. Called on the replication's executor, never under a lock of the caller.

#ifndef MERIDIAN_SERVER_REPLICATION_REPLICATION_OBSERVER_H_
#define MERIDIAN_SERVER_REPLICATION_REPLICATION_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace meridian {

enum class LinkState {
  kStreaming,     // Every owned slot follows the live tail.
  kCatchingUp,    // Some slots are read from their cursors.
  kRepairing,     // Some slots are compared key by key: the log was trimmed too early.
  kCut,           // An operator has stopped it.
  kDisconnected,  // The last call to the target (or to the own store) failed; it will be retried.
};

class ReplicationObserver {
 public:
  virtual ~ReplicationObserver() = default;

  // A change that another region wrote has arrived here, `lag` after it was written (0 when its
  // clock is ahead of ours).
  virtual void OnForeignChange(uint16_t region_id, absl::Duration lag) {}

  // One slot's batch was answered by `target`.
  virtual void OnApplied(const std::string& target, size_t applied, size_t stale) {}

  // `problem` is for people; empty unless disconnected or cut.
  virtual void OnLinkState(const std::string& target, LinkState state, const std::string& problem) {
  }

  // Changes that `target` never got were trimmed from the changelog of `slot`, which is mended now.
  virtual void OnLinkGap(const std::string& target, uint32_t slot) {}

  // `target` has less of so many slots than it had answered before: it is sent again.
  virtual void OnTargetLoss(const std::string& target, size_t slots) {}

  // A change's record was gone from the own store before it was sent, so that `target` drops what is
  // older: a value's expired or was evicted, a removal's was evicted.
  virtual void OnGone(const std::string& target, bool removal) {}

  // A change was left out because its record is malformed or refused for good.
  virtual void OnDropped(const std::string& target, const absl::Status& why) {}

  // The regional store did not answer a poll.
  virtual void OnTailError(const absl::Status& status) {}

  // A slot's L1 was dropped because changes of it may have been missed.
  virtual void OnTailGap(uint32_t slot) {}

  // This machine's clock was found to be off (CLOCK_SKEW), or (OK) right again.
  virtual void OnOwnClock(const absl::Status& status) {}

  // At least so many changes of the slot that had been acknowledged are gone from the regional
  // store: it came back older, as after a failover to a replica that had not got them.
  virtual void OnLostChanges(uint32_t slot, size_t count) {}

  // After such a loss the store was given so many values that L1 still had, and so many keys lost an
  // older value that had come back.
  virtual void OnRecovered(size_t values, size_t removals) {}

  // A version too far ahead of this clock arrived; it counts as written, the clock does not follow.
  virtual void OnClockSkew(const absl::Status& status) {}
};

// The name of a state in AdminService.GetReplication.
constexpr const char* LinkStateName(LinkState state) {
  switch (state) {
    case LinkState::kStreaming:
      return "streaming";
    case LinkState::kCatchingUp:
      return "catching_up";
    case LinkState::kRepairing:
      return "repairing";
    case LinkState::kCut:
      return "cut";
    case LinkState::kDisconnected:
      return "disconnected";
  }
  return "unknown";
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_REPLICATION_OBSERVER_H_
