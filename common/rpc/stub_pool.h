// StubPool keeps a stub, and with it a channel, for each address that is called.
//
// Who calls holds the stub until its callback has begun: KeepOnly lets go of those that nobody
// holds. On which thread a channel ends does not matter (callback_threads.h).
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_RPC_STUB_POOL_H_
#define MERIDIAN_COMMON_RPC_STUB_POOL_H_

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/server_settings.h"

namespace meridian {

// `Service` is a generated class, such as cache::v1::CacheService.
template <typename Service>
class StubPool {
 public:
  explicit StubPool(ChannelSecurity security = {}) : security_(std::move(security)) {}

  using Stub = typename Service::Stub;

  std::shared_ptr<Stub> StubFor(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    std::shared_ptr<Stub>& stub = stubs_[address];
    if (stub == nullptr) stub = Service::NewStub(CreateChannelTo(address, security_));
    return stub;
  }

  // Forgets the others; one that is in use goes the next time.
  void KeepOnly(const std::vector<std::string>& addresses) ABSL_LOCKS_EXCLUDED(mu_) {
    std::vector<std::shared_ptr<Stub>> dropped;  // Destroyed without the lock.
    absl::MutexLock lock(&mu_);
    for (auto it = stubs_.begin(); it != stubs_.end();) {
      if (it->second.use_count() > 1 ||
          std::find(addresses.begin(), addresses.end(), it->first) != addresses.end()) {
        ++it;
      } else {
        dropped.push_back(std::move(it->second));
        it = stubs_.erase(it);
      }
    }
  }

 private:
  const ChannelSecurity security_;
  absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<Stub>> stubs_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_STUB_POOL_H_
