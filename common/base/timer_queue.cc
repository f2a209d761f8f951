#include "common/base/timer_queue.h"

#include <algorithm>
#include <vector>

namespace meridian {

TimerQueue::Id TimerQueue::Add(absl::Duration due, Task task) {
  absl::MutexLock lock(&mu_);
  const uint64_t sequence = next_sequence_++;
  timers_.emplace(Key{due, sequence}, std::move(task));
  Arm();
  return Id{due, sequence};
}

bool TimerQueue::Cancel(const Id& id) {
  Task task;  // Destroyed without the lock: it may own the last reference to what takes locks.
  absl::MutexLock lock(&mu_);
  const auto it = timers_.find({id.due, id.sequence});
  if (it == timers_.end()) return false;
  task = std::move(it->second);
  timers_.erase(it);
  return true;
}

size_t TimerQueue::size() const {
  absl::MutexLock lock(&mu_);
  return timers_.size();
}

void TimerQueue::Arm() {
  if (timers_.empty()) return;
  const absl::Duration due = timers_.begin()->first.first;
  if (!wakes_.empty() && due >= *wakes_.begin()) return;
  wakes_.insert(due);
  const absl::Duration delay = std::max(due - clock_.Monotonic(), absl::ZeroDuration());
  executor_.PostAfter(delay, [this, due] { Wake(due); });
}

void TimerQueue::Wake(absl::Duration posted_for) {
  std::vector<Task> due;
  {
    absl::MutexLock lock(&mu_);
    const absl::Duration now = clock_.Monotonic();
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
      due.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    wakes_.erase(posted_for);
    Arm();
  }
  for (Task& task : due) task();
}

}  // namespace meridian
