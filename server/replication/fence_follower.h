// FenceFollower keeps this node's fences those of the regional store: it follows the changelogs of
// the two slots that hold them, which every node does, whoever owns those slots.
//
// Promise: a slot's changelog is followed before the list of its fences is read, so none is missed.
//   Until both lists were read once, Fences::known() is false. A hole in a changelog, or a store
//   that came back older, has the list read again; every node then stores what the list lacks and
//   it knows: fences that a failover has lost. So has a fence that was refused because this node's
//   clock is off. The owner of a slot removes from the store what others have made superfluous.
// Bound: a fence whose push did not reach this node is known one poll (20 ms) after it was stored.
// Cost: the store is asked whether anything has changed 50 times a second.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_FENCE_FOLLOWER_H_
#define MERIDIAN_SERVER_REPLICATION_FENCE_FOLLOWER_H_

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/cluster/topology.h"
#include "common/resilience/backoff.h"
#include "server/node/fences.h"
#include "server/node/l2_store.h"
#include "server/replication/change_sink.h"
#include "server/replication/changelog_tail.h"
#include "server/replication/replication_observer.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct FenceFollowerOptions {
  std::string node_id;
  absl::Duration poll = absl::Milliseconds(20);
  absl::Duration tidy = absl::Seconds(10);  // How often what is superfluous is removed.
  absl::Duration timeout = absl::Seconds(2);
  size_t log_entries = 100'000;  // As ChangelogTailOptions::log_entries.
};

class FenceFollower final : public ChangeSink {
 public:
  // Nothing is owned; all outlive this.
  FenceFollower(FenceFollowerOptions options, L2Store& store, Fences& fences,
                const TopologyHolder& topology, TaskGate gate, const Clock& clock,
                ReplicationObserver& observer);

  void Start();

  void OnSlotGained(uint32_t slot, LogPosition position) override;
  void OnSlotLost(uint32_t slot) override {}
  void OnChanges(LogPosition after, const LogSlice& slice) override;
  void OnGap(uint32_t slot, GapKind kind) override;
  void OnLoss(const SlotLoss& loss) override;
  void OnAway(uint32_t slot) override { ++away_; }
  void OnBack(uint32_t slot) override { --away_; }
  void OnCaughtUp(absl::Duration at) override;

  // Every fence that was stored before this time (monotonic) is in force here. Read behind the
  // gate.
  absl::Duration caught_up() const { return caught_up_; }

 private:
  // The list of one slot's fences.
  struct SlotList {
    bool known = false;      // Nothing that the store has is missing here.
    bool scheduled = false;  // It is read again before long.
    uint64_t reads = 0;      // Only the last one makes it known.
  };

  void Load(uint32_t slot);
  void LoadAfter(uint32_t slot, absl::Duration delay);
  void Loaded(uint32_t slot, uint64_t read, const absl::StatusOr<std::vector<LogEntry>>& list);
  bool AllKnown() const;
  // False: it was refused, because this node's clock is off.
  bool Learn(const LogEntry& entry);
  // Stores what the list lacks.
  void Offer(uint32_t slot, const std::vector<LogEntry>& list);
  void Tidy();
  bool Owns(uint32_t slot) const;
  absl::Time Deadline() const { return clock_.Now() + options_.timeout; }

  const FenceFollowerOptions options_;
  L2Store& store_;
  Fences& fences_;
  const TopologyHolder& topology_;
  const TaskGate gate_;
  const Clock& clock_;
  ReplicationObserver& observer_;
  Backoff backoff_;
  std::mt19937_64 random_{std::random_device()()};
  std::map<uint32_t, SlotList> lists_;  // By slot; what is in it stays.
  size_t away_ = 0;                       // Of the two slots: then nobody knows all fences.
  absl::Duration caught_up_ = -absl::InfiniteDuration();
  ChangelogTail tail_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_FENCE_FOLLOWER_H_
