// LocalLeaseStore is the LeaseStore of a coordinator that has no Redis and is alone: leases and
// values in this process' memory, gone when it ends. Who is alone has nobody to wait for: whatever
// its claim, it gets a lease that is free, unless it only looks.
//
// Callbacks are called from the given executor. Thread safety: all methods may be called
// concurrently.

#ifndef MERIDIAN_SERVER_NODE_LOCAL_LEASE_STORE_H_
#define MERIDIAN_SERVER_NODE_LOCAL_LEASE_STORE_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/node/lease_store.h"

namespace meridian {

class LocalLeaseStore final : public LeaseStore {
 public:
  // Neither is owned; both outlive this.
  LocalLeaseStore(const Clock& clock, Executor& executor) : clock_(clock), executor_(executor) {}

  void TryAcquire(std::string name, LeaseBid bid, absl::Duration ttl,
                  LeaseCallback callback) override {
    absl::MutexLock lock(&mu_);
    Lease& lease = leases_[name];
    const absl::Duration now = clock_.Monotonic();
    const bool looks = bid.claim == LeaseClaim::kLooks;
    LeaseState answer;
    if (looks && !IsHeld(lease, now)) {
      answer.token = lease.state.token;
    } else if (!looks && (!IsHeld(lease, now) || lease.state.holder == bid.holder)) {
      if (!IsHeld(lease, now)) {
        ++lease.state.token;
        lease.state.notes.clear();
      }
      lease.state.held = true;
      lease.state.holder = std::move(bid.holder);
      lease.state.address = std::move(bid.address);
      lease.state.http_address = std::move(bid.http_address);
      lease.ends_at = now + ttl;
      answer = lease.state;
      lease.state.notes.clear();
    } else {
      answer = lease.state;
      answer.held = false;
      answer.notes.clear();
      if (!bid.note.empty() && lease.state.notes.size() < kMaxNotes) {
        lease.state.notes[std::move(bid.holder)] = std::move(bid.note);
      }
    }
    executor_.Post(
        [callback = std::move(callback), answer = std::move(answer)] { callback(answer); });
  }

  void Release(std::string name, std::string holder, StatusCallback callback) override {
    absl::MutexLock lock(&mu_);
    Lease& lease = leases_[name];
    if (lease.state.holder == holder) lease.ends_at = -absl::InfiniteDuration();
    executor_.Post([callback = std::move(callback)] { callback(absl::OkStatus()); });
  }

  void PutFenced(std::string name, uint64_t token, std::string key, std::string value,
                 StatusCallback callback) override {
    PutAllFenced(std::move(name), token, {{std::move(key), std::move(value)}}, std::move(callback));
  }

  void PutAllFenced(std::string name, uint64_t token, std::vector<FencedWrite> writes,
                    StatusCallback callback) override {
    absl::MutexLock lock(&mu_);
    const Lease& lease = leases_[name];
    absl::Status status;
    if (IsHeld(lease, clock_.Monotonic()) && lease.state.token == token) {
      for (FencedWrite& write : writes) {
        if (write.value.has_value()) {
          values_[write.key] = *std::move(write.value);
        } else {
          values_.erase(write.key);
        }
      }
    } else {
      status = absl::FailedPreconditionError(absl::StrCat(
          "LEASE_LOST: ", token, " is not the current token of the lease '", name, "'"));
    }
    executor_.Post([callback = std::move(callback), status] { callback(status); });
  }

  void GetValue(std::string key, ValueCallback callback) override {
    absl::MutexLock lock(&mu_);
    std::optional<std::string> value;
    if (const auto it = values_.find(key); it != values_.end()) value = it->second;
    executor_.Post([callback = std::move(callback), value = std::move(value)] { callback(value); });
  }

 private:
  struct Lease {
    LeaseState state;
    absl::Duration ends_at = -absl::InfiniteDuration();
  };

  static bool IsHeld(const Lease& lease, absl::Duration now) { return now < lease.ends_at; }

  const Clock& clock_;
  Executor& executor_;
  absl::Mutex mu_;
  std::map<std::string, Lease> leases_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> values_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_LOCAL_LEASE_STORE_H_
