#include "common/base/executor.h"

#include <pthread.h>

#include "common/base/clock.h"

namespace meridian {

ThreadExecutor::ThreadExecutor(std::string thread_name) : thread_([this] { Run(); }) {
  thread_name.resize(std::min<size_t>(thread_name.size(), 15));  // The kernel's limit.
  pthread_setname_np(thread_.native_handle(), thread_name.c_str());
}

ThreadExecutor::~ThreadExecutor() { Stop(); }

void ThreadExecutor::PostAfter(absl::Duration delay, Task task) {
  const absl::Duration due = SystemClock().Monotonic() + delay;
  absl::MutexLock lock(&mu_);
  if (stopping_) return;
  tasks_.emplace(std::make_pair(due, next_sequence_++), std::move(task));
  changed_.Signal();
}

void ThreadExecutor::Stop() {
  std::map<std::pair<absl::Duration, uint64_t>, Task> dropped;  // Destroyed without the lock.
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    dropped.swap(tasks_);
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void ThreadExecutor::Run() {
  const SystemClock clock;
  while (true) {
    Task task;
    {
      absl::MutexLock lock(&mu_);
      while (!stopping_) {
        if (tasks_.empty()) {
          changed_.Wait(&mu_);
          continue;
        }
        const absl::Duration wait = tasks_.begin()->first.first - clock.Monotonic();
        if (wait <= absl::ZeroDuration()) break;
        changed_.WaitWithTimeout(&mu_, wait);
      }
      if (stopping_) return;
      task = std::move(tasks_.begin()->second);
      tasks_.erase(tasks_.begin());
    }
    task();
  }
}

}  // namespace meridian
