#include "server/node/keeping_lease_store.h"

#include <utility>

namespace meridian {
namespace {

constexpr size_t kTogether = 1 << 20;  // Bytes that are written again at a time.

}  // namespace

KeepingLeaseStore::KeepingLeaseStore(KeepingLeaseStoreOptions options,
                                     std::unique_ptr<LeaseStore> store)
    : options_(std::move(options)), store_(std::move(store)) {}

void KeepingLeaseStore::TryAcquire(std::string name, LeaseBid bid, absl::Duration ttl,
                                   LeaseCallback callback) {
  store_->TryAcquire(
      name, bid, ttl,
      [this, name, bid, callback = std::move(callback)](absl::StatusOr<LeaseState> answer) {
        if (!answer.ok() || !IsOwing(bid, *answer)) return callback(std::move(answer));
        Restore(name, answer->token, "",
                [this, answer, callback](const absl::Status& status) mutable {
                  if (!status.ok()) return callback(status);
                  answer->lost_data = EndRestore();
                  callback(answer);
                });
      });
}

bool KeepingLeaseStore::IsOwing(const LeaseBid& bid, const LeaseState& answer) {
  absl::MutexLock lock(&mu_);
  const bool mine = token_ != 0 && bid.known_token <= token_;  // Nobody has led since.
  const bool follows = answer.token == token_ || answer.token == token_ + 1;
  if (answer.held ? !(mine && follows) : answer.token > token_) {
    values_.clear();
    bytes_ = 0;
    owing_ = false;
  }
  if (!answer.held) return false;
  if (answer.lost_data && !values_.empty()) {
    owing_ = true;
  }
  token_ = answer.token;
  return owing_;
}

bool KeepingLeaseStore::EndRestore() {
  absl::MutexLock lock(&mu_);
  owing_ = std::exchange(skipped_, false);
  if (!owing_) losses_.fetch_add(1, std::memory_order_relaxed);
  return !owing_;
}

void KeepingLeaseStore::Restore(const std::string& name, uint64_t token, const std::string& after,
                                Done done) {
  std::vector<FencedWrite> writes;
  size_t bytes = 0;
  {
    absl::MutexLock lock(&mu_);
    for (auto it = values_.upper_bound(after); it != values_.end() && bytes < kTogether; ++it) {
      if (in_flight_.count(it->first) > 0) {
        skipped_ = true;
        continue;
      }
      writes.push_back({it->first, it->second});
      bytes += it->second.size();
    }
  }
  if (writes.empty()) return done(absl::OkStatus());
  std::string last = writes.back().key;
  store_->PutAllFenced(name, token, std::move(writes),
                       [this, name, token, last = std::move(last),
                        done = std::move(done)](const absl::Status& status) {
                         if (!status.ok()) return done(status);
                         Restore(name, token, last, done);
                       });
}

void KeepingLeaseStore::Release(std::string name, std::string holder, StatusCallback callback) {
  store_->Release(std::move(name), std::move(holder), std::move(callback));
}

void KeepingLeaseStore::PutFenced(std::string name, uint64_t token, std::string key,
                                  std::string value, StatusCallback callback) {
  PutAllFenced(std::move(name), token, {{std::move(key), std::move(value)}}, std::move(callback));
}

void KeepingLeaseStore::PutAllFenced(std::string name, uint64_t token,
                                     std::vector<FencedWrite> writes, StatusCallback callback) {
  auto kept = std::make_shared<const std::vector<FencedWrite>>(writes);
  {
    absl::MutexLock lock(&mu_);
    for (const FencedWrite& write : *kept) ++in_flight_[write.key];
  }
  store_->PutAllFenced(std::move(name), token, std::move(writes),
                       [this, kept, callback = std::move(callback)](const absl::Status& status) {
                         Keep(*kept, status.ok());
                         callback(status);
                       });
}

void KeepingLeaseStore::GetValue(std::string key, ValueCallback callback) {
  store_->GetValue(key, [this, key, callback = std::move(callback)](
                            absl::StatusOr<std::optional<std::string>> value) {
    if (value.ok() && value->has_value()) {
      absl::MutexLock lock(&mu_);
      // Not over what was stored since it was read.
      if (values_.count(key) == 0) KeepOne(key, *value);
    }
    callback(std::move(value));
  });
}

void KeepingLeaseStore::Keep(const std::vector<FencedWrite>& writes, bool stored) {
  absl::MutexLock lock(&mu_);
  for (const FencedWrite& write : writes) {
    if (--in_flight_[write.key] == 0) in_flight_.erase(write.key);
    if (stored) KeepOne(write.key, write.value);
  }
}

void KeepingLeaseStore::KeepOne(const std::string& key, const std::optional<std::string>& value) {
  for (const std::string& beginning : options_.not_kept) {
    if (key.compare(0, beginning.size(), beginning) == 0) return;
  }
  if (const auto it = values_.find(key); it != values_.end()) {
    bytes_ -= it->second.size();
    values_.erase(it);
  }
  if (!value.has_value() || bytes_ + value->size() > options_.most_bytes) return;
  bytes_ += value->size();
  values_[key] = *value;
}

}  // namespace meridian
