// SampledStore is the regional store, and tells of a share of what this node has carried out in it:
// writes, deletes and fences of its callers, loads, and what waited for the store. Who looks for
// these changes later need not have heard of them from the changelog.
//
// Promise: as L2Store's. The listener hears of a chosen change after the store has acknowledged it
//   and the caller has heard of that; of nothing that other regions have applied here, and of
//   nothing whose outcome is unknown.
// Cost: a hash a write; a copy of the names of those that are chosen.
// Thread safety: as L2Store's. The listener is called on the store's thread and must not block.

#ifndef MERIDIAN_SERVER_REPLICATION_SAMPLED_STORE_H_
#define MERIDIAN_SERVER_REPLICATION_SAMPLED_STORE_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/node/l2_store.h"

namespace meridian {

// What this node has carried out.
struct CarriedOut {
  L2Key key;
  Version version;
  absl::Time sent;  // The store had it later than this.
};

class SampledStore final : public L2Store {
 public:
  using Listener = std::function<void(CarriedOut)>;

  // Of changes one in `one_in` (see IsSampled), and every fence. Not owned; both outlive this, and
  // this outlives the store's last answer.
  SampledStore(L2Store& store, uint64_t one_in, const Clock& clock)
      : store_(store), one_in_(one_in), clock_(clock) {}

  // Nobody hears of anything before.
  void SetListener(Listener listener) ABSL_LOCKS_EXCLUDED(mu_);

  void Apply(std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) override;

  void Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) override {
    store_.Fetch(std::move(keys), deadline, std::move(callback));
  }
  void FetchFromPrimary(std::vector<L2Key> keys, absl::Time deadline,
                        FetchCallback callback) override {
    store_.FetchFromPrimary(std::move(keys), deadline, std::move(callback));
  }
  void ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                LogCallback callback) override {
    store_.ReadLogs(std::move(reads), limit, deadline, std::move(callback));
  }
  void ChangeCount(absl::Time deadline, CountCallback callback) override {
    store_.ChangeCount(deadline, std::move(callback));
  }
  void LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
               PositionsCallback callback) override {
    store_.LogEnds(std::move(slots), deadline, std::move(callback));
  }
  void FetchCursors(std::string source_region, std::vector<uint32_t> slots, absl::Time deadline,
                    PositionsCallback callback) override {
    store_.FetchCursors(std::move(source_region), std::move(slots), deadline, std::move(callback));
  }
  void ApplyReplicated(std::string source_region, uint32_t slot, LogPosition cursor,
                       std::vector<L2Write> writes, absl::Time deadline,
                       ApplyCallback callback) override {
    store_.ApplyReplicated(std::move(source_region), slot, cursor, std::move(writes), deadline,
                           std::move(callback));
  }
  void Scan(std::string from, size_t count, absl::Time deadline, ScanCallback callback) override {
    store_.Scan(std::move(from), count, deadline, std::move(callback));
  }
  void FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                     VersionsCallback callback) override {
    store_.FetchVersions(std::move(keys), deadline, std::move(callback));
  }
  void ListFences(uint32_t slot, absl::Time deadline, FencesCallback callback) override {
    store_.ListFences(slot, deadline, std::move(callback));
  }
  void ForgetFences(uint32_t slot, std::vector<LogEntry> fences, absl::Time deadline,
                    StatusCallback callback) override {
    store_.ForgetFences(slot, std::move(fences), deadline, std::move(callback));
  }
  void MeasureLogs(std::vector<uint32_t> slots, absl::Time deadline,
                   LogSizesCallback callback) override {
    store_.MeasureLogs(std::move(slots), deadline, std::move(callback));
  }
  void TrimLogs(std::vector<LogTrim> trims, absl::Time deadline, StatusCallback callback) override {
    store_.TrimLogs(std::move(trims), deadline, std::move(callback));
  }
  void SweepTombstones(std::vector<L2Key> keys, absl::Duration evictable_after, absl::Time deadline,
                       TombstonesCallback callback) override {
    store_.SweepTombstones(std::move(keys), evictable_after, deadline, std::move(callback));
  }
  void ServerTime(absl::Time deadline, TimeCallback callback) override {
    store_.ServerTime(deadline, std::move(callback));
  }
  L2Health Health() const override { return store_.Health(); }
  std::vector<uint32_t> AwaySlots() const override { return store_.AwaySlots(); }
  uint64_t Generation() const override { return store_.Generation(); }
  uint64_t GenerationOf(uint32_t slot) const override { return store_.GenerationOf(slot); }

 private:
  void Tell(CarriedOut change) const ABSL_LOCKS_EXCLUDED(mu_);

  L2Store& store_;
  const uint64_t one_in_;
  const Clock& clock_;
  mutable absl::Mutex mu_;
  Listener listener_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_SAMPLED_STORE_H_
