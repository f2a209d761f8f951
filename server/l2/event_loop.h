// EventLoop is one thread that runs libevent: sockets, timers, and tasks posted from other threads.
//
// Promise: posted tasks run in the order of posting; Post costs a system call only when no earlier
//   task is waiting. Tasks must not block. Ignores SIGPIPE in the whole process.
// Shutdown: the destructor runs what was posted before it, drops timers and joins the thread; what
// uses the loop
//   (connections, stores) must be gone by then.
// Thread safety: Post may be called by any thread; base() and dns() only be used on the loop.

#ifndef MERIDIAN_SERVER_L2_EVENT_LOOP_H_
#define MERIDIAN_SERVER_L2_EVENT_LOOP_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

struct event;
struct event_base;
struct evdns_base;

namespace meridian {

class EventLoop {
 public:
  using Task = std::function<void()>;

  // Starts the thread.
  static absl::StatusOr<std::unique_ptr<EventLoop>> Create(std::string thread_name);
  ~EventLoop();

  void Post(Task task) ABSL_LOCKS_EXCLUDED(mu_);

  // Runs `task` on the loop and returns when it has run. REQUIRES: not on the loop.
  void PostAndWait(Task task) ABSL_LOCKS_EXCLUDED(mu_);

  bool OnLoop() const { return std::this_thread::get_id() == thread_.get_id(); }

  // For the loop's own thread.
  event_base* base() const { return base_; }
  evdns_base* dns() const { return dns_; }  // May be nullptr: names are then resolved blocking.

 private:
  EventLoop() = default;
  static void OnWakeUp(int fd, short what, void* self);  // NOLINT: libevent's types.
  void RunTasks() ABSL_LOCKS_EXCLUDED(mu_);

  event_base* base_ = nullptr;
  evdns_base* dns_ = nullptr;
  event* wake_up_ = nullptr;
  absl::Mutex mu_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

// A one-shot timer of a loop. All methods on the loop's thread; the destructor cancels.
class LoopTimer {
 public:
  LoopTimer(EventLoop& loop, EventLoop::Task task);
  ~LoopTimer();
  LoopTimer(const LoopTimer&) = delete;
  LoopTimer& operator=(const LoopTimer&) = delete;

  // Starts or restarts. Fires after an hour at the latest.
  void Start(absl::Duration delay);
  void Cancel();

 private:
  static void OnTimer(int fd, short what, void* self);  // NOLINT: libevent's types.

  EventLoop::Task task_;
  event* event_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_EVENT_LOOP_H_
