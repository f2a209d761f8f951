// NodeDrain gives a node's slots away: it waits for its turn (rollout_ticket.h), then the
// coordinator is told that it drains, and publishes a topology in which the others own them.
//
// Promise: `done` is called exactly once. With an error nothing has changed, or the node joins
//   again: it serves on.
// Thread safety: Start may be called concurrently; whoever waits for the same is told the same.
// `done` runs on the caller's thread, on the executor, or on the one that publishes topologies, and
// must not block.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_NODE_DRAIN_H_
#define MERIDIAN_SERVER_MEMBERSHIP_NODE_DRAIN_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
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
  // Of the node `id`. References outlive this; callbacks that wait are not called after it.
  NodeDrain(std::string id, CoordinatorClient& client, RolloutTicket& ticket,
            TopologyHolder& topology, const Clock& clock, Executor& executor);

  // kFailedPrecondition, LAST_NODE: nobody is left to own the slots. kUnavailable, NO_COORDINATOR:
  // none answers. kDeadlineExceeded: within `timeout` it was not its turn, or nobody took the
  // slots.
  void Start(absl::Duration timeout, std::function<void(absl::Status)> done);

 private:
  // From now until `until`, monotonic.
  void GiveAway(absl::Duration until, std::function<void(absl::Status)> done);

  const std::string id_;
  CoordinatorClient& client_;
  RolloutTicket& ticket_;
  TopologyHolder& topology_;
  const Clock& clock_;
  Executor& executor_;
  SlotsGone slots_gone_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_NODE_DRAIN_H_
