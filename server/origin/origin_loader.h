// OriginLoader loads keys from origins as their policies say: keys of a namespace that are missing
// at the same time go together, so many at a time, so often, again when the origin did not take
// them, and not at all while it is down.
//
// Every namespace has its own queue, budget and circuit breaker: what one origin does, or one
// namespace of it, costs others nothing.
// Promise: as Origins. At most kMaxWaiting keys of a namespace wait; more fail at once
//   (OVERLOADED). An answer that is too large is asked for again in halves, which
//   wait for their turn as others do; what the origin did not take is asked for again when the rate
//   allows it, and not at all when that would be too late. Each key has its own deadline, also in a call with newer
//   ones.
// Cost: one lock of the namespace's queue for each batch of keys and for each call.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_ORIGIN_ORIGIN_LOADER_H_
#define MERIDIAN_SERVER_ORIGIN_ORIGIN_LOADER_H_

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/timer_queue.h"
#include "common/resilience/circuit_breaker.h"
#include "server/node/origin.h"
#include "server/origin/origin_transport.h"

namespace meridian {

// Is told what the origins cost. Methods may be called concurrently and must not block.
class OriginObserver {
 public:
  virtual ~OriginObserver() = default;
  // A call has ended; every attempt is one.
  virtual void OnCall(std::string_view name_space, absl::Duration took) = 0;
};

// How the loads of one namespace are, for status pages and metrics.
struct OriginState {
  std::string name_space;
  std::string address;
  std::string breaker;
  size_t waiting = 0;  // Keys that no call carries yet.
  size_t calls = 0;    // Under way.
};

class OriginLoader final : public Origins {
 public:
  static constexpr size_t kMaxWaiting = 10'000;

  // Nothing is owned; all outlive this. `observer` may be nullptr. The transport has ended all
  // calls, and the executor of `timers` has stopped, before this goes.
  OriginLoader(OriginTransport& transport, const Clock& clock, TimerQueue& timers,
               OriginObserver* observer);
  ~OriginLoader() override;

  void Load(const Namespace& name_space, const NamespacePolicy& policy, std::vector<OriginKey> keys,
            OriginSink& sink) override ABSL_LOCKS_EXCLUDED(mu_);

  // Of the namespaces that were loaded from in the last ten minutes, sorted by name.
  std::vector<OriginState> States() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiting;
  struct Call;
  struct Actions;
  class Queue;

  // What a queue decided under its lock is done without one.
  void Do(Queue& queue, Actions actions);
  void Send(Queue& queue, std::shared_ptr<Call> call);
  void OnAnswer(Queue& queue, const std::shared_ptr<Call>& call, OriginReply reply);
  // Gives the keys of a call that has ended what it came to.
  void Answer(Queue& queue, Call& call, OriginReply reply);
  void OnTimer(Queue& queue);

  OriginTransport& transport_;
  const Clock& clock_;
  TimerQueue& timers_;
  OriginObserver* const observer_;
  mutable absl::Mutex mu_;
  std::map<std::string, std::unique_ptr<Queue>, std::less<>> queues_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ORIGIN_ORIGIN_LOADER_H_
