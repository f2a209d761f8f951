#include "server/replication/carried_out_queue.h"

#include <utility>

#include "server/node/fence.h"

namespace meridian {

CarriedOutQueue::CarriedOutQueue(TaskGate gate, std::function<void(const CarriedOut&)> take)
    : gate_(std::move(gate)), take_(std::move(take)), state_(std::make_shared<State>()) {}

SampledStore::Listener CarriedOutQueue::Listener() const {
  return [gate = gate_, take = take_, state = state_](CarriedOut change) {
    if (state->waiting.fetch_add(1, std::memory_order_relaxed) >= kPlaces) {
      state->waiting.fetch_sub(1, std::memory_order_relaxed);
      std::atomic<uint64_t>& dropped =
          IsFenceNamespace(change.key.name_space) ? state->dropped_fences : state->dropped_changes;
      dropped.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    gate.Post([take, state, change = std::move(change)] {
      state->waiting.fetch_sub(1, std::memory_order_relaxed);
      take(change);
    });
  };
}

CarriedOutQueue::Dropped CarriedOutQueue::dropped() const {
  return {state_->dropped_changes.load(std::memory_order_relaxed),
          state_->dropped_fences.load(std::memory_order_relaxed)};
}

}  // namespace meridian
