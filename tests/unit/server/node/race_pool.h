// RacePool is an executor whose tasks any number of threads run, in no order: whatever was posted
// may be late, and may overtake what was posted before it.
//
// A thread runs tasks by calling RunOne; each brings its own randomness, so that all its choices
// repeat with its seed, though not the order in which the threads run. With `one_at_a_time` a task
// runs alone, as on the executor of a node's timers. Delays are of a clock that the test moves.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_NODE_RACE_POOL_H_
#define MERIDIAN_TESTS_UNIT_SERVER_NODE_RACE_POOL_H_

#include <map>
#include <random>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"

namespace meridian {

class RacePool final : public Executor {
 public:
  // `clock` is not owned and outlives this.
  RacePool(const Clock& clock, bool one_at_a_time) : clock_(clock), alone_(one_at_a_time) {}

  void PostAfter(absl::Duration delay, Task task) override ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (delay <= absl::ZeroDuration()) {
      ready_.push_back(std::move(task));
    } else {
      later_.emplace(clock_.Monotonic() + delay, std::move(task));
    }
  }

  // Runs one of the tasks that are due. False: there is none, or one has to be alone.
  bool RunOne(std::mt19937_64& random) ABSL_LOCKS_EXCLUDED(mu_) {
    Task task;
    {
      absl::MutexLock lock(&mu_);
      while (!later_.empty() && later_.begin()->first <= clock_.Monotonic()) {
        ready_.push_back(std::move(later_.begin()->second));
        later_.erase(later_.begin());
      }
      if (ready_.empty() || (alone_ && running_)) return false;
      std::swap(ready_[random() % ready_.size()], ready_.back());
      task = std::move(ready_.back());
      ready_.pop_back();
      running_ = true;
    }
    task();
    task = nullptr;  // What it held may post something.
    absl::MutexLock lock(&mu_);
    running_ = false;
    return true;
  }

 private:
  const Clock& clock_;
  const bool alone_;
  absl::Mutex mu_;
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<Task> ready_ ABSL_GUARDED_BY(mu_);
  std::multimap<absl::Duration, Task> later_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_NODE_RACE_POOL_H_
