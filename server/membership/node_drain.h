// NodeDrain gives a node's slots away: it waits until the store has what this node alone has, then
// for its turn (rollout_ticket.h), then the coordinator is told that it drains, and publishes a
// topology in which the others own them.
//
// Promise: `done` is called exactly once. With an error nothing has changed, or the node joins
//   again: it serves on.
// Thread safety: Start and Abort may be called concurrently; whoever waits for the same is told the
// same. `done` runs on the caller's thread, on the executor, or on the one that publishes
// topologies, and must not block.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_NODE_DRAIN_H_
#define MERIDIAN_SERVER_MEMBERSHIP_NODE_DRAIN_H_

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/cluster/topology.h"
#include "server/membership/coordinator_client.h"
#include "server/membership/rollout_ticket.h"
#include "server/membership/slots_gone.h"

namespace meridian {

class NodeDrain {
 public:
  using Done = std::function<void(absl::Status)>;
  // How many acknowledged writes wait for the store in this node's memory.
  using Unstored = std::function<size_t()>;

  // The others have at least so long to take the slots, however late the node's turn comes.
  static constexpr absl::Duration kLeastHandover = absl::Seconds(10);

  // Of the node `id`. References outlive this; callbacks that wait are not called after it.
  // `unstored` may be called on any thread.
  NodeDrain(std::string id, CoordinatorClient& client, RolloutTicket& ticket,
            TopologyHolder& topology, const Clock& clock, Executor& executor, Unstored unstored);

  // Returns what says that nobody waits any more: then `done` is told kCancelled, and a node whose
  // turn has not come yet goes nowhere. One that gives its slots away already goes on.
  // kFailedPrecondition, LAST_NODE: nobody is left to own the slots. kUnavailable, NO_COORDINATOR:
  // none answers; HINTS_HELD: the store has not taken what waits for it; SHUTTING_DOWN: the node
  // ends anyhow. kDeadlineExceeded: within `timeout` it was not its turn, or nobody took the slots.
  std::function<void()> Start(absl::Duration timeout, Done done) ABSL_LOCKS_EXCLUDED(mu_);

  // The node ends: who waits is told SHUTTING_DOWN, and so is who comes later.
  void Abort() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Call {
    absl::Duration until;  // Monotonic.
    Done done;
    bool its_turn = false;  // Guarded by mu_: it gives its slots away, and cannot be called off.
  };
  using CallPtr = std::shared_ptr<Call>;

  // Whether nobody, or nobody who could, would take the slots.
  absl::Status Check() const;
  absl::Status CheckStored() const;
  void AwaitStored(const CallPtr& call);
  void AwaitTurn(const CallPtr& call);
  void Cancel(const CallPtr& call) ABSL_LOCKS_EXCLUDED(mu_);
  // False: it is over.
  bool TakeTurn(const CallPtr& call) ABSL_LOCKS_EXCLUDED(mu_);
  void GiveAway(const CallPtr& call);
  void OnTimeout(const CallPtr& call);
  // Answers, unless it was answered already.
  void Finish(const CallPtr& call, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  bool Waits(const CallPtr& call) const ABSL_LOCKS_EXCLUDED(mu_);

  const std::string id_;
  CoordinatorClient& client_;
  RolloutTicket& ticket_;
  TopologyHolder& topology_;
  const Clock& clock_;
  Executor& executor_;
  const Unstored unstored_;
  SlotsGone slots_gone_;
  mutable absl::Mutex mu_;
  std::set<CallPtr> calls_ ABSL_GUARDED_BY(mu_);  // Not answered yet.
  bool aborted_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_NODE_DRAIN_H_
