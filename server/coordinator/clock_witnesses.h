// ClockWitnesses tells a coordinator whether its own wall clock is the wrong one: it hears that of
// the store at every question for the lease, and those of the nodes at every heartbeat.
//
// It believes two of three witnesses (itself, the store, most of the nodes): the clock is off when
// both the store's and the nodes' are more than ClockGuard::kMaxSkew away, and within that of each other. So a store that is off
// alone stops nobody, and a coordinator that has heard no node may lead, and then hears them. The
// word of nodes counts for ClockGuard::kMemory after the last of them: a coordinator that stepped
// down hears no more of them, and would otherwise stay out when it was they that were wrong.
// Thread safety: that of ClockGuard for Offsets(); the rest runs on one thread.

#ifndef MERIDIAN_SERVER_COORDINATOR_CLOCK_WITNESSES_H_
#define MERIDIAN_SERVER_COORDINATOR_CLOCK_WITNESSES_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/node/clock_guard.h"

namespace meridian {

class ClockWitnesses {
 public:
  // `clock` outlives this.
  explicit ClockWitnesses(const Clock& clock) : clock_(clock), store_(clock), nodes_(clock) {}

  // Some time between the monotonic times `sent` and `received`.
  void StoreSaid(absl::Time its_time, absl::Duration sent, absl::Duration received) {
    store_.Measured("redis", its_time, sent, received);
  }
  void NodeSaid(const std::string& node, absl::Time its_time) {
    heard_nodes_ = clock_.Monotonic();
    nodes_.Measured("node " + node, its_time, heard_nodes_, heard_nodes_);
  }

  // Why this coordinator must not lead, and what to do; empty: it may.
  std::string Problem() const;

  // How far this clock is ahead of each witness': "redis", "node n1".
  std::vector<ClockOffset> Offsets() const;

 private:
  const Clock& clock_;
  ClockGuard store_;
  ClockGuard nodes_;
  absl::Duration heard_nodes_ = -absl::InfiniteDuration();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_CLOCK_WITNESSES_H_
