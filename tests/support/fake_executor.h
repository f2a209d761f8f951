// FakeExecutor runs tasks on the test's own thread, when the test says so, on a FakeClock.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_EXECUTOR_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_EXECUTOR_H_

#include <cstdint>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/executor.h"
#include "tests/support/fake_clock.h"

namespace meridian {

class FakeExecutor final : public Executor {
 public:
  explicit FakeExecutor(FakeClock& clock) : clock_(clock) {}

  void PostAfter(absl::Duration delay, Task task) override {
    absl::MutexLock lock(&mu_);
    tasks_.emplace(std::make_pair(clock_.Monotonic() + delay, next_sequence_++), std::move(task));
  }

  // Runs what is due now, and what that posts for now, until nothing is; returns how many ran.
  int RunDue() {
    int ran = 0;
    while (RunNext(clock_.Monotonic())) ++ran;
    return ran;
  }

  // Runs one task that is due; false: there is none.
  bool RunOne() { return RunNext(clock_.Monotonic()); }

  // Moves the clock by `duration`, stopping at every due task to run it.
  void RunFor(absl::Duration duration) {
    const absl::Duration end = clock_.Monotonic() + duration;
    while (RunNext(end)) {
    }
    if (clock_.Monotonic() < end) clock_.Advance(end - clock_.Monotonic());
  }

 private:
  bool RunNext(absl::Duration until) {
    Task task;
    {
      absl::MutexLock lock(&mu_);
      if (tasks_.empty() || tasks_.begin()->first.first > until) return false;
      const absl::Duration due = tasks_.begin()->first.first;
      task = std::move(tasks_.begin()->second);
      tasks_.erase(tasks_.begin());
      if (due > clock_.Monotonic()) clock_.Advance(due - clock_.Monotonic());
    }
    task();
    return true;
  }

  FakeClock& clock_;  // Not owned; outlives this.
  absl::Mutex mu_;
  uint64_t next_sequence_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::pair<absl::Duration, uint64_t>, Task> tasks_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_EXECUTOR_H_
