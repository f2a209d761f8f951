// CuttableStore is another region's store behind a switch: while it is cut, every call is refused
// here with the reason, and nothing is sent. What was sent before may still be carried out.
//
// Promise: as L2Store's. Thread safety: none; everything runs behind one gate.

#ifndef MERIDIAN_SERVER_REPLICATION_CUTTABLE_STORE_H_
#define MERIDIAN_SERVER_REPLICATION_CUTTABLE_STORE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/node/l2_store.h"

namespace meridian {

class CuttableStore final : public L2Store {
 public:
  // `store` is not owned and outlives this.
  explicit CuttableStore(L2Store& store) : store_(store) {}

  // Every call fails with `why` from now on. REQUIRES: !why.ok().
  void Cut(absl::Status why) { cut_ = std::move(why); }
  void Heal() { cut_ = absl::OkStatus(); }

  void Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) override;
  void FetchFromPrimary(std::vector<L2Key> keys, absl::Time deadline,
                        FetchCallback callback) override;
  void Apply(std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) override;
  void ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                LogCallback callback) override;
  void ChangeCount(absl::Time deadline, CountCallback callback) override;
  void LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
               PositionsCallback callback) override;
  void FetchCursors(std::string source_region, std::vector<uint32_t> slots, absl::Time deadline,
                    PositionsCallback callback) override;
  void ApplyReplicated(std::string source_region, uint32_t slot, LogPosition cursor,
                       std::vector<L2Write> writes, absl::Time deadline,
                       ApplyCallback callback) override;
  void Scan(std::string from, size_t count, absl::Time deadline, ScanCallback callback) override;
  void FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                     VersionsCallback callback) override;
  void ServerTime(absl::Time deadline, TimeCallback callback) override;
  // Of the store itself.
  L2Health Health() const override { return store_.Health(); }
  std::vector<uint32_t> AwaySlots() const override { return store_.AwaySlots(); }
  uint64_t Generation() const override { return store_.Generation(); }
  uint64_t GenerationOf(uint32_t slot) const override { return store_.GenerationOf(slot); }

 private:
  std::vector<L2WriteResult> Refused(size_t count) const;

  L2Store& store_;
  absl::Status cut_;  // OK: not cut.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_CUTTABLE_STORE_H_
