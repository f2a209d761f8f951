// CancellableCall is a unary call whose work is told when the caller has gone.
//
// Promise: `begin` gives the end of the call once, by the function that it is given. What `begin`
//   returns is called at most once, on a thread of gRPC, when the caller has gone; perhaps at the
//   same time as the call ends, or after it.
// Thread safety: `begin` runs on the thread of Start; the end may be given by any thread.

#ifndef MERIDIAN_SERVER_RPC_CANCELLABLE_CALL_H_
#define MERIDIAN_SERVER_RPC_CANCELLABLE_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian {

class CancellableCall final : public grpc::ServerUnaryReactor {
 public:
  using End = std::function<void(const grpc::Status&)>;
  using Begin = std::function<std::function<void()>(End)>;

  static grpc::ServerUnaryReactor* Start(const Begin& begin) {
    auto* call = new CancellableCall();  // Owned by gRPC until OnDone.
    const std::shared_ptr<Cancel> cancel = call->cancel_;
    std::function<void()> on_cancel =
        begin([call](const grpc::Status& status) { call->Finish(status); });
    // The call may be over, and deleted, by now.
    bool gone = false;
    {
      absl::MutexLock lock(&cancel->mu);
      gone = cancel->gone;
      if (!gone) cancel->hook = on_cancel;
    }
    if (gone) on_cancel();
    return call;
  }

  void OnCancel() override {
    std::function<void()> hook;
    {
      absl::MutexLock lock(&cancel_->mu);
      cancel_->gone = true;
      hook = std::exchange(cancel_->hook, nullptr);
    }
    if (hook) hook();
  }
  void OnDone() override { delete this; }

 private:
  struct Cancel {
    absl::Mutex mu;
    bool gone ABSL_GUARDED_BY(mu) = false;
    std::function<void()> hook ABSL_GUARDED_BY(mu);
  };
  CancellableCall() = default;

  const std::shared_ptr<Cancel> cancel_ = std::make_shared<Cancel>();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_CANCELLABLE_CALL_H_
