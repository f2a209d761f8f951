// ClockWatch asks the stores of all regions what time it is, so that a ClockGuard knows whether
// this machine's clock is right; and tells the observer when it goes wrong and when it is right
// again.
//
// Cost: one TIME every 5 s for each store. Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_CLOCK_WATCH_H_
#define MERIDIAN_SERVER_REPLICATION_CLOCK_WATCH_H_

#include <map>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/node/clock_guard.h"
#include "server/node/l2_store.h"
#include "server/replication/replication_observer.h"
#include "server/replication/task_gate.h"

namespace meridian {

class ClockWatch {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(5);
  static constexpr absl::Duration kTimeout = absl::Seconds(2);

  // `stores` by region. References outlive this.
  ClockWatch(std::map<std::string, L2Store*> stores, ClockGuard& guard, TaskGate gate,
             const Clock& clock, ReplicationObserver& observer);

  void Start() { Ask(); }

 private:
  void Ask();
  void Report();

  const std::map<std::string, L2Store*> stores_;
  ClockGuard& guard_;
  const TaskGate gate_;
  const Clock& clock_;
  ReplicationObserver& observer_;
  bool reported_ok_ = true;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_CLOCK_WATCH_H_
