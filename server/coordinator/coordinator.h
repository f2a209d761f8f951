// Coordinator is the one that decides, in a region, who is a member: it holds the leader lease,
// runs the membership, stores each topology and then publishes it.
//
// Promise: a topology is in the store, under this leader's fencing token, before anybody sees it;
//   so the next leader continues from it with higher epochs and the same members.
// Thread safety: leader(), topology() and counters() may be called by any thread; everything else,
//   and the subscribers, run on the executor. REQUIRES: the executor is stopped before this is
//   destroyed, and outlives the store's callbacks.

#ifndef MERIDIAN_SERVER_COORDINATOR_COORDINATOR_H_
#define MERIDIAN_SERVER_COORDINATOR_COORDINATOR_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/cluster/topology.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/coordinator/cluster_membership.h"
#include "server/coordinator/leader_lease.h"
#include "server/node/lease_store.h"

namespace meridian {

struct CoordinatorOptions {
  std::string id;
  MembershipOptions membership;  // With the region.
  LeaderLeaseOptions lease;      // With the holder.
  std::string topology_key = "topology";
};

// For metrics.
struct CoordinatorCounters {
  bool leader = false;
  uint64_t epoch = 0;  // Published last by this process.
  uint64_t heartbeats = 0;
  uint64_t nodes_joining = 0;
  uint64_t nodes_serving = 0;
  uint64_t nodes_draining = 0;
  uint64_t hand_offs = 0;       // Planned topologies that this leader has published,
  uint64_t late_hand_offs = 0;  // and those of them that somebody was late for.
};

class Coordinator {
 public:
  // nullptr: none were ever assigned.
  using Policies = std::shared_ptr<const coordinator::v1::PolicyAssignment>;

  // Somebody who follows the topology, on the executor.
  class Subscriber {
   public:
    virtual ~Subscriber() = default;
    // This coordinator leads, under this token, and topology() is its predecessor's.
    virtual void OnLeading(uint64_t /*token*/) {}
    virtual void OnTopology(const TopologyHolder::Snapshot& topology) = 0;
    virtual void OnPlanned() {}  // planned() is another one.
    // This node has drained and left, and is no longer among Nodes().
    virtual void OnLeft(const std::string& /*node*/) {}
    // This node may not register, or was a member so far: its clock is off.
    virtual void OnClockRefused(const std::string& /*node*/, const std::string& /*problem*/) {}
    virtual void OnLeadershipLost() = 0;  // May unsubscribe.
    // The nodes are to use others from now on.
    virtual void OnPolicies(const Policies& /*policies*/) {}
  };

  Coordinator(CoordinatorOptions options, const Clock& clock, Executor& executor,
              LeaseStore& store);

  // `address` is where nodes reach this coordinator, `http_address` where the others do over HTTP
  // (empty: they do not). Until then every call is refused.
  void Start(std::string address, std::string http_address = "");
  // Gives the lease back; `done` is called on the executor.
  void Stop(std::function<void()> done);

  // `leading` only after the predecessor's topology was read.
  LeaderView leader() const;
  // The last one that this process published.
  TopologyHolder::Snapshot topology() const { return holder_.Get(); }
  CoordinatorCounters counters() const;
  std::vector<ClockOffset> ClockOffsets() const { return lease_.ClockOffsets(); }
  // What is published next, once it was handed over for; nullptr: nothing. On the executor.
  const TopologyHolder::Snapshot& planned() const { return planned_; }

  // What the nodes of the region are to use, as the leader has it stored; on the executor.
  const Policies& policies() const { return policies_; }
  void PublishPolicies(Policies policies);

  // The store has refused what this leader wrote: another one has taken the lease, or the store has
  // lost its data. Gives up leading, and asks for the lease anew. On the executor.
  void NoteFenced(const std::string& what) {
    lease_.StepDown(what + " was refused: another coordinator leads, or the store lost its data");
  }

  // What the others hear while one of them leads, and what they say; on the executor. See
  // LeaderLease.
  void SetNote(std::string note) { lease_.SetNote(std::move(note)); }
  std::map<std::string, std::string> Notes() const { return lease_.Notes(); }

  // See ClusterMembership. kUnavailable "NOT_LEADER: ..." on a standby.
  absl::Status Register(const NodeReport& report, uint64_t session);
  absl::Status Heartbeat(const NodeReport& report);
  void Disconnect(const std::string& id, uint64_t session);
  // What a node of the region says that the time is. It may be this coordinator that is wrong:
  // then it leads no more.
  void NodeSaid(const std::string& id, absl::Time its_time);
  // Tells the subscribers, when `id` may be the name of a node.
  void RefuseClock(const std::string& id, const std::string& problem);
  uint64_t NewSession() { return ++last_session_; }
  std::vector<NodeView> Nodes() const;  // Empty on a standby.

  // Told of every later topology and of the end of leadership, until unsubscribed.
  void Subscribe(Subscriber* subscriber) { subscribers_.insert(subscriber); }
  void Unsubscribe(Subscriber* subscriber) { subscribers_.erase(subscriber); }

  const CoordinatorOptions& options() const { return options_; }
  const Clock& clock() const { return clock_; }
  Executor& executor() { return executor_; }

 private:
  void HandleElected(uint64_t token);
  void HandleLost(const std::string& why);
  void LoadTopology();
  void HandleLoaded(uint64_t token, const absl::StatusOr<std::optional<std::string>>& value);
  void Tick();
  void ScheduleTick();
  void TellPlanned();
  void TellLeft();
  void StorePending();
  void HandleStored(uint64_t token, const Topology& topology, const absl::Status& status);
  void LogEvents();
  bool IsActing(uint64_t token) const;  // Leading, under this token.

  const CoordinatorOptions options_;
  const Clock& clock_;  // Not owned; outlives this.
  Executor& executor_;  // Not owned; outlives this.
  LeaseStore& store_;   // Not owned; outlives this.
  LeaderLease lease_;
  TopologyHolder holder_;
  std::set<Subscriber*> subscribers_;
  Policies policies_;
  uint64_t last_session_ = 0;

  uint64_t token_ = 0;                           // Of the current leadership.
  std::optional<ClusterMembership> membership_;  // Set while leading, after loading.
  TopologyHolder::Snapshot planned_;
  std::optional<Topology> pending_;  // To be stored, then published.
  bool storing_ = false;
  uint64_t tick_generation_ = 0;  // Only the Tick that was scheduled last runs.
  absl::Duration tick_at_ = absl::InfiniteDuration();  // When it runs.

  std::atomic<bool> ready_{false};
  std::atomic<uint64_t> heartbeats_{0};
  std::atomic<uint64_t> hand_offs_{0};
  std::atomic<uint64_t> late_hand_offs_{0};
  std::atomic<uint64_t> nodes_by_state_[4] = {};  // By MemberState.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_COORDINATOR_H_
