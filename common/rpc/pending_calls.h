// PendingCalls are the calls of an owner that are on their way: its end cancels them and waits
// until the callback of each has ended.
//
// What a call holds of its owner, its stub for one, goes before Ended is called. A member of this
// type stands last in its owner, so that it ends first: what callbacks use is there until then.
// Thread safety: all methods may be called concurrently; the destructor when nobody calls Began.

#ifndef MERIDIAN_COMMON_RPC_PENDING_CALLS_H_
#define MERIDIAN_COMMON_RPC_PENDING_CALLS_H_

#include <grpcpp/client_context.h>

#include <memory>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian {

class PendingCalls {
 public:
  using Context = std::shared_ptr<grpc::ClientContext>;

  PendingCalls() = default;
  ~PendingCalls() {
    std::set<Context> calls;  // gRPC may run their callbacks here: not under the lock.
    {
      absl::MutexLock lock(&mu_);
      calls = calls_;
    }
    for (const Context& context : calls) context->TryCancel();
    calls.clear();
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(
        +[](std::set<Context>* left) { return left->empty(); }, &calls_));
  }

  // Before the call is started.
  void Began(Context context) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    calls_.insert(std::move(context));
  }
  // The last that the callback does.
  void Ended(const Context& context) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    calls_.erase(context);
  }

 private:
  absl::Mutex mu_;
  std::set<Context> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_PENDING_CALLS_H_
