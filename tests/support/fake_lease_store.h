// FakeLeaseStore is a small real LeaseStore in memory, for several coordinators in one test. It
// counts its own time on a FakeClock, and a test can cut a holder off or fail calls.
//
// Every user gives its own view (ViewFor), whose callbacks run on that user's executor, so that a
// paused coordinator hears nothing until it goes on.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_LEASE_STORE_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_LEASE_STORE_H_

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/node/lease_store.h"

namespace meridian {

class FakeLeaseStore {
 public:
  // One user's connection to the store.
  class View final : public LeaseStore {
   public:
    View(FakeLeaseStore& store, Executor& executor) : store_(store), executor_(executor) {}

    // kUnavailable for all calls, which change nothing.
    void SetReachable(bool reachable) { reachable_ = reachable; }
    // The next `count` PutFenced calls are refused with kUnavailable.
    void FailPuts(int count) { failing_puts_ = count; }
    // The next `count` GetValue calls are refused with kUnavailable.
    void FailGets(int count) { failing_gets_ = count; }

    void TryAcquire(std::string name, LeaseBid bid, absl::Duration ttl,
                    LeaseCallback callback) override {
      absl::StatusOr<LeaseState> answer = absl::UnavailableError("cut off");
      if (reachable_) answer = store_.Acquire(name, std::move(bid), ttl);
      executor_.Post([callback = std::move(callback), answer] { callback(answer); });
    }
    void Release(std::string name, std::string holder, StatusCallback callback) override {
      absl::Status status = absl::UnavailableError("cut off");
      if (reachable_) status = store_.Give(name, holder);
      executor_.Post([callback = std::move(callback), status] { callback(status); });
    }
    void PutFenced(std::string name, uint64_t token, std::string key, std::string value,
                   StatusCallback callback) override {
      PutAllFenced(std::move(name), token, {{std::move(key), std::move(value)}},
                   std::move(callback));
    }
    void PutAllFenced(std::string name, uint64_t token, std::vector<FencedWrite> writes,
                      StatusCallback callback) override {
      absl::Status status = absl::UnavailableError("cut off");
      if (failing_puts_ > 0) {
        --failing_puts_;
      } else if (reachable_) {
        status = store_.Put(name, token, std::move(writes));
      }
      executor_.Post([callback = std::move(callback), status] { callback(status); });
    }
    void GetValue(std::string key, ValueCallback callback) override {
      absl::StatusOr<std::optional<std::string>> value = absl::UnavailableError("cut off");
      if (failing_gets_ > 0) {
        --failing_gets_;
      } else if (reachable_) {
        value = store_.Value(key);
      }
      executor_.Post([callback = std::move(callback), value] { callback(value); });
    }

   private:
    FakeLeaseStore& store_;
    Executor& executor_;
    bool reachable_ = true;
    int failing_puts_ = 0;
    int failing_gets_ = 0;
  };

  explicit FakeLeaseStore(const Clock& clock) : clock_(clock) {}

  std::unique_ptr<View> ViewFor(Executor& executor) {
    return std::make_unique<View>(*this, executor);
  }

  std::optional<std::string> Value(const std::string& key) {
    absl::MutexLock lock(&mu_);
    const auto it = values_.find(key);
    return it == values_.end() ? std::nullopt : std::make_optional(it->second);
  }
  void SetValue(const std::string& key, std::string value) {
    absl::MutexLock lock(&mu_);
    values_[key] = std::move(value);
  }
  // All data is lost: leases, tokens and values.
  void Empty() {
    absl::MutexLock lock(&mu_);
    leases_.clear();
    values_.clear();
  }
  // Writes that were refused because of an old token.
  int fenced_off() {
    absl::MutexLock lock(&mu_);
    return fenced_off_;
  }

 private:
  struct Lease {
    LeaseBid by;
    uint64_t token = 0;
    std::map<std::string, std::string> notes;
    absl::Duration ends_at = -absl::InfiniteDuration();
  };

  LeaseState Acquire(const std::string& name, LeaseBid bid, absl::Duration ttl) {
    absl::MutexLock lock(&mu_);
    Lease& lease = leases_[name];
    const absl::Duration now = clock_.Monotonic();
    const bool free = now >= lease.ends_at;
    const bool lost = free && lease.token < bid.known_token;
    const bool looks = bid.claim == LeaseClaim::kLooks;
    if (free && (looks || (lost && bid.claim == LeaseClaim::kTakes))) {
      LeaseState state;
      state.token = std::max(lease.token, bid.known_token);
      state.now = clock_.Now();
      return state;
    }
    if (free) {
      if (lost) lease.token = bid.known_token;
      if (!lost || bid.claim != LeaseClaim::kLeads) ++lease.token;
      lease.notes.clear();
    }
    const bool held = !looks && (free || lease.by.holder == bid.holder);
    if (held) {
      lease.by = std::move(bid);
      lease.ends_at = now + ttl;
    } else if (!bid.note.empty()) {
      lease.notes[bid.holder] = std::move(bid.note);
    }
    LeaseState state = {held, lease.token, lease.by.holder, lease.by.address,
                        lease.by.http_address};
    if (held) state.notes.swap(lease.notes);
    state.lost_data = lost;
    state.now = clock_.Now();
    return state;
  }
  absl::Status Give(const std::string& name, const std::string& holder) {
    absl::MutexLock lock(&mu_);
    Lease& lease = leases_[name];
    if (lease.by.holder == holder) lease.ends_at = -absl::InfiniteDuration();
    return absl::OkStatus();
  }
  absl::Status Put(const std::string& name, uint64_t token, std::vector<FencedWrite> writes) {
    absl::MutexLock lock(&mu_);
    const Lease& lease = leases_[name];
    if (lease.token != token || clock_.Monotonic() >= lease.ends_at) {
      ++fenced_off_;
      return absl::FailedPreconditionError("LEASE_LOST: an old token");
    }
    for (FencedWrite& write : writes) {
      if (write.value.has_value()) {
        values_[write.key] = *std::move(write.value);
      } else {
        values_.erase(write.key);
      }
    }
    return absl::OkStatus();
  }

  const Clock& clock_;
  absl::Mutex mu_;
  std::map<std::string, Lease> leases_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> values_ ABSL_GUARDED_BY(mu_);
  int fenced_off_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_LEASE_STORE_H_
