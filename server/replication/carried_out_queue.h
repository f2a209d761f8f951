// CarriedOutQueue brings what a SampledStore tells to the sampler, which runs behind a gate.
//
// Promise: no more than kPlaces wait for the gate; what comes beyond is dropped, and counted: the
//   sampler follows it only if the changelog tells of it as well. The store is never held up.
// Cost: an atomic and a task for each change that is chosen.
// Thread safety: all methods may be called concurrently. A listener may outlive this and the gate's
//   end: then it drops what it is told.

#ifndef MERIDIAN_SERVER_REPLICATION_CARRIED_OUT_QUEUE_H_
#define MERIDIAN_SERVER_REPLICATION_CARRIED_OUT_QUEUE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "server/replication/sampled_store.h"
#include "server/replication/task_gate.h"

namespace meridian {

class CarriedOutQueue {
 public:
  static constexpr size_t kPlaces = 64;

  // `take` runs behind the gate; what it uses lives until the gate is closed.
  CarriedOutQueue(TaskGate gate, std::function<void(const CarriedOut&)> take);

  SampledStore::Listener Listener() const;

  // Since start.
  struct Dropped {
    uint64_t changes = 0;
    uint64_t fences = 0;
  };
  Dropped dropped() const;

 private:
  struct State {
    std::atomic<size_t> waiting{0};
    std::atomic<uint64_t> dropped_changes{0};
    std::atomic<uint64_t> dropped_fences{0};
  };

  const TaskGate gate_;
  const std::function<void(const CarriedOut&)> take_;
  const std::shared_ptr<State> state_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_CARRIED_OUT_QUEUE_H_
