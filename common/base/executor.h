// Executor runs small tasks, now or later, one after the other.
//
// State machines that wait for time or for the network (replication, membership, leases) run on one,
// so they need no lock of their own and tests drive them with FakeExecutor, without sleeping.
// Promise: tasks run one at a time, in order of their due time, then of posting; none runs on the
//   stack of Post. Tasks must not block.
// Thread safety: Post and PostAfter may be called by any thread, also from a task.

#ifndef MERIDIAN_COMMON_BASE_EXECUTOR_H_
#define MERIDIAN_COMMON_BASE_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian {

class Executor {
 public:
  using Task = std::function<void()>;
  virtual ~Executor() = default;
  virtual void PostAfter(absl::Duration delay, Task task) = 0;
  void Post(Task task) { PostAfter(absl::ZeroDuration(), std::move(task)); }
};

// One thread of its own. Stop() (or the destructor) drops what has not begun and joins the thread;
// what is posted later is dropped. REQUIRES: Stop is not called from a task.
class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(std::string thread_name);
  ~ThreadExecutor() override;

  void PostAfter(absl::Duration delay, Task task) override ABSL_LOCKS_EXCLUDED(mu_);
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  absl::Mutex mu_;
  absl::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t next_sequence_ ABSL_GUARDED_BY(mu_) = 0;
  // Due time on the monotonic clock and order of posting -> task.
  std::map<std::pair<absl::Duration, uint64_t>, Task> tasks_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;  // Last: starts when everything above is there.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_EXECUTOR_H_
