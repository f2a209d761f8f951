// StoreUpkeep looks after what the regional store spends on not forgetting, changelogs and
// tombstones: it counts it, and keeps it within budgets, or nothing would be left for values.
//
// Changelogs are the business of the owners of their slots. When those of a node take more than the
//   node's share of the budget, the largest are trimmed until they do not; who had not read what goes
//   finds the hole, and the slot is compared key by key (docs/adr/0010).
// Tombstones are the business of the owner of slot 0, for the whole region, in walks through all
//   keys. They are not evicted by a store that is full, as values are (docs/adr/0020): one that has
//   expired is removed here, by the store's clock. When they take more than their budget the oldest
//   may be evicted again, from an age on that follows from what the walks find. An error keeps the
//   place of a walk, but for one after which it cannot go on (kAborted).
// Redis estimates the bytes (MEMORY USAGE). A figure is as old as one round: kSlotsPerTurn slots a
//   turn of a second; kKeysPerStep keys a step of a tenth, and a rest between two walks, nine times
//   as long as the walk within [kRest, kLongestRest], but kRest where half of the budget is used: in
//   a Redis Cluster each key of a page is a call of its own. Tombstones that come as fast as between
//   the last two walks use up half of what is left in a rest at most; when they come more than twice
//   as fast, the budget may be exceeded by what comes until the next walk.
// Thread safety: Use may be called concurrently; all else is behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_STORE_UPKEEP_H_
#define MERIDIAN_SERVER_REPLICATION_STORE_UPKEEP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/node/l2_store.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct StoreUpkeepOptions {
  uint64_t changelog_max_bytes = uint64_t{256} << 20;  // Of the region.
  uint64_t tombstone_max_bytes = uint64_t{256} << 20;  // That are not evicted.
  absl::Duration tombstone_ttl = absl::Hours(24);
};

struct StoreUse {
  uint64_t changelog_entries = 0;
  uint64_t changelog_bytes = 0;
  uint64_t changelog_trimmed = 0;  // Entries that were trimmed for the budget, about, since start.
  uint64_t tombstones = 0;
  uint64_t tombstone_bytes = 0;
  uint64_t tombstones_evictable = 0;  // Of tombstones.
};

// How many entries of each are to be left so that all take `max_bytes` together, those of logs that
// must be trimmed. No log is trimmed below kFewestEntries: a follower looks for a trimmed log when
// it has read so many.
std::vector<LogTrim> TrimsFor(const std::map<uint32_t, LogSize>& logs, uint64_t max_bytes);

class StoreUpkeep {
 public:
  static constexpr absl::Duration kTurn = absl::Seconds(1);
  static constexpr absl::Duration kStep = absl::Milliseconds(100);
  static constexpr absl::Duration kRest = absl::Minutes(1);
  static constexpr absl::Duration kLongestRest = absl::Hours(1);
  static constexpr absl::Duration kRetry = absl::Seconds(5);  // After an error.
  static constexpr size_t kSlotsPerTurn = 32;
  static constexpr size_t kKeysPerStep = 500;
  static constexpr uint64_t kFewestEntries = 1000;

  // References outlive this.
  StoreUpkeep(StoreUpkeepOptions options, L2Store& store, TaskGate gate, const Clock& clock);

  void Start();
  // The slots that the node owns from now on, ascending.
  void SetOwned(std::vector<uint32_t> slots);

  // Of the last complete round of each.
  StoreUse Use() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  bool Walks() const { return !slots_.empty() && slots_.front() == 0; }
  void Turn();
  void MeasureLogs();
  void TakeLogs(const std::vector<uint32_t>& slots,
                const absl::StatusOr<std::vector<LogSize>>& sizes);
  void SumLogs() ABSL_LOCKS_EXCLUDED(mu_);
  void TrimLogs();
  void Step();
  void TakePage(const absl::StatusOr<L2ScanPage>& page);
  void TakeTombstones(const std::string& next,
                      const absl::StatusOr<std::vector<TombstoneUse>>& uses);
  void JudgeWalk();
  void Failed(const absl::Status& status);
  void EndWalk();
  absl::Duration Rest() const;
  absl::Time Deadline() const { return clock_.Now() + absl::Seconds(2); }

  const StoreUpkeepOptions options_;
  L2Store& store_;
  const TaskGate gate_;
  const Clock& clock_;
  std::vector<uint32_t> slots_;
  size_t next_slot_ = 0;              // Index into slots_.
  std::map<uint32_t, LogSize> logs_;  // Of slots_.
  bool walking_ = false;              // A page is under way.
  absl::Duration next_walk_;          // Monotonic.
  absl::Duration walk_began_;         // Monotonic.
  std::string from_;                  // Where the walk goes on; empty: it begins.
  StoreUse walked_;                   // Tombstones of the walk ...
  uint64_t protected_bytes_ = 0;      // ... and of them, those that are not evicted.
  bool exceeded_ = false;             // The budget, in this walk already.
  struct LastWalk {
    uint64_t bytes = 0;    // That are not evicted.
    absl::Duration ended;  // Monotonic.
  };
  std::optional<LastWalk> last_walk_;  // That came to its end.
  // Older tombstones may be evicted.
  absl::Duration protected_for_;
  mutable absl::Mutex mu_;
  StoreUse use_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_STORE_UPKEEP_H_
