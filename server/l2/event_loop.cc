#include "server/l2/event_loop.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/synchronization/notification.h"

namespace meridian {

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(std::string thread_name) {
  // libevent writes to sockets without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  static const bool threads = evthread_use_pthreads() == 0;
  if (!threads) return absl::InternalError("libevent: cannot use threads");

  std::unique_ptr<EventLoop> loop(new EventLoop);
  loop->base_ = event_base_new();
  if (loop->base_ == nullptr) return absl::InternalError("libevent: no event base");
  loop->dns_ = evdns_base_new(loop->base_,
                              EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
  loop->wake_up_ = event_new(loop->base_, -1, EV_PERSIST, &EventLoop::OnWakeUp, loop.get());
  if (loop->wake_up_ == nullptr) return absl::InternalError("libevent: no event");
  event_base* base = loop->base_;
  loop->thread_ = std::thread([base] { event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY); });
  thread_name.resize(std::min<size_t>(thread_name.size(), 15));  // The kernel's limit.
  pthread_setname_np(loop->thread_.native_handle(), thread_name.c_str());
  return loop;
}

EventLoop::~EventLoop() {
  if (thread_.joinable()) {
    Post([this] { event_base_loopbreak(base_); });
    thread_.join();
  }
  if (wake_up_ != nullptr) event_free(wake_up_);
  if (dns_ != nullptr) evdns_base_free(dns_, 0);
  if (base_ != nullptr) event_base_free(base_);
}

void EventLoop::Post(Task task) {
  bool first;
  {
    absl::MutexLock lock(&mu_);
    first = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  if (first) event_active(wake_up_, EV_TIMEOUT, 0);
}

void EventLoop::PostAndWait(Task task) {
  absl::Notification done;
  Post([&] {
    task();
    done.Notify();
  });
  done.WaitForNotification();
}

void EventLoop::OnWakeUp(int, short, void* self) {  // NOLINT: libevent's types.
  static_cast<EventLoop*>(self)->RunTasks();
}

void EventLoop::RunTasks() {
  std::vector<Task> tasks;
  {
    absl::MutexLock lock(&mu_);
    tasks.swap(tasks_);
  }
  for (Task& task : tasks) {
    task();
    task = nullptr;  // What it captured goes before the next task runs.
  }
}

LoopTimer::LoopTimer(EventLoop& loop, EventLoop::Task task)
    : task_(std::move(task)), event_(evtimer_new(loop.base(), &LoopTimer::OnTimer, this)) {}

LoopTimer::~LoopTimer() { event_free(event_); }

void LoopTimer::Start(absl::Duration delay) {
  const timeval timeout = absl::ToTimeval(std::clamp(delay, absl::ZeroDuration(), absl::Hours(1)));
  evtimer_add(event_, &timeout);
}

void LoopTimer::Cancel() { evtimer_del(event_); }

void LoopTimer::OnTimer(int, short, void* self) {  // NOLINT: libevent's types.
  static_cast<LoopTimer*>(self)->task_();
}

}  // namespace meridian
