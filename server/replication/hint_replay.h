// HintReplay brings what a HintLog holds to the regional store when it is back: in the order of the
// versions, a batch at a time, each only if nothing newer is there. From the changelog it goes to
// the other regions as every write does.
//
// Cost: a look every 100 ms; while the store is away one try each second. Thread safety: none;
// everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_HINT_REPLAY_H_
#define MERIDIAN_SERVER_REPLICATION_HINT_REPLAY_H_

#include <random>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/resilience/backoff.h"
#include "server/node/hint_log.h"
#include "server/node/l2_store.h"
#include "server/replication/task_gate.h"

namespace meridian {

class HintReplay {
 public:
  static constexpr absl::Duration kInterval = absl::Milliseconds(100);
  static constexpr absl::Duration kTimeout = absl::Seconds(2);
  static constexpr size_t kBatch = 100;
  static constexpr size_t kBatchBytes = size_t{1} << 20;

  // References outlive this.
  HintReplay(HintLog& hints, L2Store& store, TaskGate gate, const Clock& clock);

  void Start() { Look(); }

 private:
  void Look();
  void Take(const std::vector<L2Write>& writes, const std::vector<L2WriteResult>& results);

  HintLog& hints_;
  L2Store& store_;
  const TaskGate gate_;
  const Clock& clock_;
  Backoff backoff_;
  std::minstd_rand random_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_HINT_REPLAY_H_
