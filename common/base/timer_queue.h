// TimerQueue keeps many due times, most of which are taken back before they come: deadlines of
// calls, leases, batch windows.
//
// Promise: a task runs once, on the executor, not before its time and not after Cancel has
//   returned true; a task must not block. What is left when the executor stops never runs.
// Cost: Add and Cancel are one lock and one insertion in a balanced tree; the executor is woken for
//   the earliest time only, not for every timer.
// Thread safety: all methods may be called concurrently, also from a task.

#ifndef MERIDIAN_COMMON_BASE_TIMER_QUEUE_H_
#define MERIDIAN_COMMON_BASE_TIMER_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"

namespace meridian {

class TimerQueue {
 public:
  using Task = std::function<void()>;
  // Of a timer; the default names none.
  struct Id {
    absl::Duration due;
    uint64_t sequence = 0;
  };

  // Neither is owned; both outlive this. The executor must have stopped before this goes.
  TimerQueue(const Clock& clock, Executor& executor) : clock_(clock), executor_(executor) {}

  // `due` is a monotonic time; one that is over runs the task soon.
  Id Add(absl::Duration due, Task task) ABSL_LOCKS_EXCLUDED(mu_);
  // True when the task had not begun, and never will. Of no timer: false.
  bool Cancel(const Id& id) ABSL_LOCKS_EXCLUDED(mu_);
  // Runs `task` on the executor as soon as it can.
  void Post(Task task) { executor_.Post(std::move(task)); }

  size_t size() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Key = std::pair<absl::Duration, uint64_t>;

  // Makes the executor wake up in time for the earliest timer.
  void Arm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Wake(absl::Duration posted_for) ABSL_LOCKS_EXCLUDED(mu_);

  const Clock& clock_;
  Executor& executor_;
  mutable absl::Mutex mu_;
  std::map<Key, Task> timers_ ABSL_GUARDED_BY(mu_);
  uint64_t next_sequence_ ABSL_GUARDED_BY(mu_) = 1;
  std::set<absl::Duration> wakes_ ABSL_GUARDED_BY(mu_);  // That are posted.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_TIMER_QUEUE_H_
