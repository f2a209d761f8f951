// StoreRecovery makes good what the own regional store has lost of acknowledged changes, as far as
// this node still knows them (docs/consistency.md).
//
// When the store may have gone back (OnLoss), every change that was told and is gone is looked at
// first: what L1 still holds is written to the store again, with its version and what is left of
// its life; of what L1 does not hold (a delete, or a value that left L1) the older value that came
// back is removed, so that nobody reads it, by a tombstone just older than the change: the change
// itself can still come back from another region. Then all of L1 in these slots is compared with
// the store: newer values are written back, older ones leave L1. L1 serves on meanwhile: what it
// has was acknowledged. Cost: one page of 256 keys at a time: a call for their versions, and one or
// a few for what is written, of about 1 MiB of values each. Idle otherwise. Thread safety: none;
// everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_STORE_RECOVERY_H_
#define MERIDIAN_SERVER_REPLICATION_STORE_RECOVERY_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/engine/engine.h"
#include "common/resilience/backoff.h"
#include "server/node/l2_store.h"
#include "server/replication/change_sink.h"
#include "server/replication/replication_observer.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct StoreRecoveryOptions {
  absl::Duration tombstone_ttl = absl::Hours(24);
  absl::Duration timeout = absl::Seconds(2);
  BackoffOptions backoff{.initial = absl::Milliseconds(50), .max = absl::Seconds(1)};
};

class StoreRecovery final : public ChangeSink {
 public:
  // Until when (monotonic) L2 had the value of a key that L1 holds, by its hash; less than L1's own
  // life: not known.
  using StoredUntil = std::function<absl::Duration(uint64_t hash)>;
  // L1 has given up a key, of which something newer was written that nobody was told of.
  using Dropped = std::function<void(const L2Key& key, Version newest)>;

  // References outlive this.
  StoreRecovery(StoreRecoveryOptions options, L2Store& store, Engine& engine,
                StoredUntil stored_until, Dropped dropped, TaskGate gate, const Clock& clock,
                ReplicationObserver& observer);

  void OnSlotGained(uint32_t slot, LogPosition position) override {}
  void OnSlotLost(uint32_t slot) override;
  void OnChanges(LogPosition after, const LogSlice& slice) override {}
  void OnGap(uint32_t slot, GapKind kind) override {}
  void OnLoss(const SlotLoss& loss) override;

  bool idle() const { return !running_; }

 private:
  // A key that is looked at, and the version of it that is known to have been acknowledged.
  struct Item {
    L2Key key;
    Version told;  // Not set: whatever L1 holds.
  };
  struct Page;

  void Next();
  std::vector<Item> NextItems();
  void Compare(std::vector<Item> items);
  void Mend(const std::shared_ptr<Page>& page);
  std::optional<L2Write> WriteFor(const Item& item, Version stored, bool* is_value);
  void Report();
  void Retry(std::vector<Item> items, const absl::Status& status);
  absl::Time Deadline() const { return clock_.Now() + options_.timeout; }

  const StoreRecoveryOptions options_;
  L2Store& store_;
  Engine& engine_;
  const StoredUntil stored_until_;
  const Dropped dropped_;
  const TaskGate gate_;
  const Clock& clock_;
  ReplicationObserver& observer_;

  bool running_ = false;         // Exactly one continuation waits somewhere.
  std::deque<Item> lost_;        // To be looked at first.
  std::set<uint32_t> doubtful_;  // Slots to be walked through, after the walk that runs.
  bool walking_ = false;
  std::vector<bool> walked_;  // The slots of that walk.
  Engine::WalkPlace place_;
  size_t values_ = 0;    // Written back since the last report.
  size_t removals_ = 0;  // The same of removals.
  Backoff backoff_;
  std::minstd_rand random_;  // Only spreads retries.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_STORE_RECOVERY_H_
