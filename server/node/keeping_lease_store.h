// KeepingLeaseStore is another LeaseStore whose values outlive a loss of that store's data (Redis
// was emptied, came back without its data, or failed over to a replica that had none): who led last
// keeps what it has stored and read, and writes it again when the store, which has forgotten its
// token, lets it lead again.
//
// Promise: such a TryAcquire is answered when each value that was kept is stored again under the
//   new token, also over an older one that the store still has; an error of that is its answer, and
//   the next one goes on with it. Values that are being written meanwhile are left to that, and
//   looked after with the next TryAcquire. Who was not the last leader that it has heard of writes
//   nothing. `lost_data` of an answer says that all is written again.
// Bound: `most_bytes` of values; what is larger together is not kept, nor is what has a name that
//   begins as one of `not_kept`: what a leader writes anew soon by itself.
// Thread safety, and callbacks: those of LeaseStore.

#ifndef MERIDIAN_SERVER_NODE_KEEPING_LEASE_STORE_H_
#define MERIDIAN_SERVER_NODE_KEEPING_LEASE_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/node/lease_store.h"

namespace meridian {

struct KeepingLeaseStoreOptions {
  size_t most_bytes = 64 << 20;
  std::vector<std::string> not_kept;
};

class KeepingLeaseStore final : public LeaseStore {
 public:
  KeepingLeaseStore(KeepingLeaseStoreOptions options, std::unique_ptr<LeaseStore> store);

  void TryAcquire(std::string name, LeaseBid bid, absl::Duration ttl,
                  LeaseCallback callback) override;
  void Release(std::string name, std::string holder, StatusCallback callback) override;
  void PutFenced(std::string name, uint64_t token, std::string key, std::string value,
                 StatusCallback callback) override;
  void PutAllFenced(std::string name, uint64_t token, std::vector<FencedWrite> writes,
                    StatusCallback callback) override;
  void GetValue(std::string key, ValueCallback callback) override;

  // How often values were written again.
  uint64_t losses() const { return losses_.load(std::memory_order_relaxed); }

 private:
  using Done = std::function<void(const absl::Status&)>;

  // The end of these writes.
  void Keep(const std::vector<FencedWrite>& writes, bool stored) ABSL_LOCKS_EXCLUDED(mu_);
  void KeepOne(const std::string& key, const std::optional<std::string>& value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether values are to be written again before this answer is given.
  bool IsOwing(const LeaseBid& bid, const LeaseState& answer) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether nothing is owed any more.
  bool EndRestore() ABSL_LOCKS_EXCLUDED(mu_);
  // Some at a time, from the first name after `after`.
  void Restore(const std::string& name, uint64_t token, const std::string& after, Done done);

  const KeepingLeaseStoreOptions options_;
  const std::unique_ptr<LeaseStore> store_;
  std::atomic<uint64_t> losses_{0};
  absl::Mutex mu_;                           // Never held while a callback or the store is called.
  uint64_t token_ ABSL_GUARDED_BY(mu_) = 0;  // Under which the values are stored.
  bool owing_ ABSL_GUARDED_BY(mu_) = false;  // A loss, and not all is written again.
  bool skipped_ ABSL_GUARDED_BY(mu_) = false;                  // Something that was being written.
  std::map<std::string, int> in_flight_ ABSL_GUARDED_BY(mu_);  // Writes by key.
  std::map<std::string, std::string> values_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_KEEPING_LEASE_STORE_H_
