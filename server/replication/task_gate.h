// TaskGate lets tasks run on an Executor until it is closed, one at a time with everything else that
// goes through the same gate, so that the state behind it needs no other lock.
//
// Promise: after Close() has returned no task runs and none will; tasks that were waiting are dropped
//   when the executor reaches them. Copies share one gate.
// Cost: one uncontended lock a task.
// Thread safety: all methods may be called concurrently; Close and Locked not from a task.
//   The executor outlives every call of Post, late store callbacks included.

#ifndef MERIDIAN_SERVER_REPLICATION_TASK_GATE_H_
#define MERIDIAN_SERVER_REPLICATION_TASK_GATE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/executor.h"

namespace meridian {

class TaskGate {
 public:
  explicit TaskGate(Executor& executor) : state_(std::make_shared<State>(executor)) {}

  void Post(Executor::Task task) const { PostAfter(absl::ZeroDuration(), std::move(task)); }
  void PostAfter(absl::Duration delay, Executor::Task task) const {
    if (!state_->open.load(std::memory_order_acquire)) return;
    state_->executor.PostAfter(delay, [state = state_, task = std::move(task)] {
      absl::MutexLock lock(&state->mu);
      if (state->open.load(std::memory_order_acquire)) task();
    });
  }

  // A callback for an asynchronous call: brings the answer back behind the gate.
  template <typename Answer, typename Handler>
  std::function<void(Answer)> Reply(Handler handler) const {
    return [gate = *this, handler = std::move(handler)](Answer answer) mutable {
      gate.Post([handler = std::move(handler), answer = std::move(answer)]() mutable {
        handler(std::move(answer));
      });
    };
  }

  // Runs `read` on this thread while no task runs.
  template <typename Read>
  auto Locked(Read read) const {
    absl::MutexLock lock(&state_->mu);
    return read();
  }

  void Close() const {
    state_->open.store(false, std::memory_order_release);
    absl::MutexLock lock(&state_->mu);  // Waits for the task that runs now.
  }

 private:
  struct State {
    explicit State(Executor& e) : executor(e) {}
    Executor& executor;
    std::atomic<bool> open{true};
    absl::Mutex mu;
  };

  std::shared_ptr<State> state_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_TASK_GATE_H_
