// L2StoreHarness gives a contract test an L2Store, and its calls without callbacks.

#ifndef MERIDIAN_TESTS_CONTRACT_L2_STORE_HARNESS_H_
#define MERIDIAN_TESTS_CONTRACT_L2_STORE_HARNESS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/node/l2_store.h"

namespace meridian {

enum class L2Backend { kFake, kRedis, kCluster };

class L2StoreHarness {
 public:
  // An empty store. The real ones have servers of their own test process, emptied before; the
  // cluster has three primaries.
  static std::unique_ptr<L2StoreHarness> Create(L2Backend backend);
  virtual ~L2StoreHarness() = default;

  virtual absl::Time Now() const = 0;
  // Time passes for the store. Real time for a real store: keep it short.
  virtual void LetPass(absl::Duration duration) = 0;
  // Stores bytes that no Apply wrote.
  virtual void PlantForeign(const L2Key& key, const std::string& bytes) = 0;
  // Takes everything out of a slot's changelog, or the changelog itself away.
  virtual void EmptyLog(uint32_t slot) = 0;
  virtual void LoseLog(uint32_t slot) = 0;

  std::vector<L2Record> Fetch(std::vector<L2Key> keys) {
    return Fetch(std::move(keys), Deadline());
  }
  std::vector<L2Record> Fetch(std::vector<L2Key> keys, absl::Time deadline);
  std::vector<L2WriteResult> Apply(std::vector<L2Write> writes) {
    return Apply(std::move(writes), Deadline());
  }
  std::vector<L2WriteResult> Apply(std::vector<L2Write> writes, absl::Time deadline);
  absl::StatusOr<std::vector<LogSlice>> ReadLogs(std::vector<LogRead> reads, size_t limit);
  absl::StatusOr<uint64_t> ChangeCount();
  absl::StatusOr<absl::Time> ServerTime();
  absl::StatusOr<std::vector<LogPosition>> LogEnds(std::vector<uint32_t> slots);
  absl::StatusOr<std::vector<LogPosition>> FetchCursors(std::string source_region,
                                                        std::vector<uint32_t> slots);
  std::vector<L2WriteResult> ApplyReplicated(std::string source_region, uint32_t slot,
                                             LogPosition cursor, std::vector<L2Write> writes);
  absl::StatusOr<L2ScanPage> Scan(std::string from, size_t count);
  absl::StatusOr<std::vector<Version>> FetchVersions(std::vector<L2Key> keys);
  absl::StatusOr<std::vector<LogEntry>> ListFences(uint32_t slot);
  absl::Status ForgetFences(uint32_t slot, std::vector<LogEntry> fences);
  absl::StatusOr<std::vector<LogSize>> MeasureLogs(std::vector<uint32_t> slots);
  absl::Status TrimLogs(std::vector<LogTrim> trims);
  absl::StatusOr<std::vector<TombstoneUse>> SweepTombstones(std::vector<L2Key> keys,
                                                            absl::Duration evictable_after);
  L2Health Health() { return store().Health(); }

 protected:
  virtual L2Store& store() = 0;
  // Lets callbacks that are due run, when nobody else does.
  virtual void Pump() {}

 private:
  absl::Time Deadline() const { return Now() + absl::Seconds(60); }

  template <typename Answer, typename Begin>
  Answer Wait(Begin begin);
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_CONTRACT_L2_STORE_HARNESS_H_
