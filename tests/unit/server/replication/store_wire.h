// StoreWire is a node's way to a regional store, with every trouble that a test may want of it.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_REPLICATION_STORE_WIRE_H_
#define MERIDIAN_TESTS_UNIT_SERVER_REPLICATION_STORE_WIRE_H_

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/version.h"
#include "server/node/l2_store.h"
#include "tests/support/fake_l2_store.h"

namespace meridian {

// A way to a store that can be refused, silent (answers only at the deadline) or slow. Follows the
// region to a new store after a wipe.
class StoreWire final : public L2Store {
 public:
  enum class Mode { kOpen, kRefused, kSilent, kBreakerOpen };

  // `node`: the clock of the machine that calls; `clock`: that of the store.
  StoreWire(const Clock& node, const Clock& clock, Executor& executor,
            std::unique_ptr<FakeL2Store>& store)
      : node_(node), clock_(clock), executor_(executor), store_(store) {}

  Mode mode = Mode::kOpen;
  absl::Duration delay;
  // What a replica lacks that answers in place of the primary where one may.
  std::set<std::string> lags;
  std::set<std::string> sent;  // Keys of ApplyReplicated, begun.
  int overloaded_fetches = 0;  // So many fetches from now on are refused.
  // Keys that are fetched in a command of their own which is refused for the load on our side, or
  // whose record is too large for a reply.
  std::set<std::string> overloaded;
  std::set<std::string> too_large;
  std::set<std::string> evicted;  // Keys that are gone when they are fetched.
  // Slots of a server of a cluster that is gone: calls that name any of them fail, of fetches the
  // keys that are there. `away_is_known`: the store says so.
  std::set<uint32_t> away;
  bool away_is_known = true;
  // Writes of keys that are answered so, whatever else is written. `refuses_calls`: with all that
  // comes in the same call, as when a script fails.
  std::map<std::string, absl::Status> refused;
  bool refuses_calls = false;
  bool takes_drops = false;   // Of such keys.
  absl::Status drop_refusal;  // Not OK: what drops of such keys are answered.
  size_t bytes_per_second = 0;  // Of records that are sent (ApplyReplicated); 0: no limit.
  bool late_is_lost = false;    // What has not crossed by its deadline never does.
  size_t bytes_sent = 0;
  // Of records that are fetched; 0: no limit. What is late is given up, and crosses all the same.
  size_t fetched_bytes_per_second = 0;
  size_t most_fetched_bytes = 0;  // That were on their way at once.
  absl::Status full;  // Not OK: so is every write of `full_slots`, or of all.
  std::set<uint32_t> full_slots;
  // It refuses nothing any more from the moment on that it is asked whether it takes other writes.
  bool recovers_when_probed = false;
  std::set<Version> unheard;  // Changes that no read of the log brings.
  // What reads of logs bring is out of order, comes twice, and comes again later: by this seed; 0:
  // never. Nothing is lost.
  uint64_t mangler_seed = 0;
  int mangled = 0;  // Slices.
  size_t largest_read = std::numeric_limits<size_t>::max();  // Of logs; a larger one is refused.

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
  void ListFences(uint32_t slot, absl::Time deadline, FencesCallback callback) override;
  void ForgetFences(uint32_t slot, std::vector<LogEntry> fences, absl::Time deadline,
                    StatusCallback callback) override;
  void MeasureLogs(std::vector<uint32_t> slots, absl::Time deadline,
                   LogSizesCallback callback) override;
  void TrimLogs(std::vector<LogTrim> trims, absl::Time deadline, StatusCallback callback) override;
  void SweepTombstones(std::vector<L2Key> keys, absl::Duration evictable_after, absl::Time deadline,
                       TombstonesCallback callback) override;
  void ServerTime(absl::Time deadline, TimeCallback callback) override;
  L2Health Health() const override;
  std::vector<uint32_t> AwaySlots() const override;
  uint64_t Generation() const override { return store_->Generation(); }
  uint64_t GenerationOf(uint32_t slot) const override { return store_->GenerationOf(slot); }

 private:
  template <typename Send, typename Fail>
  void Carry(absl::Time deadline, Send send, Fail fail);
  // As Carry, when none of the slots that `slot_of` finds in `items` is away.
  template <typename Items, typename SlotOf, typename Send, typename Fail>
  void CarryTo(const Items& items, SlotOf slot_of, absl::Time deadline, Send send, Fail fail);
  void Crawl(std::string source_region, uint32_t slot, LogPosition cursor,
             std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback);
  // The callback of a fetch, when its records have crossed.
  FetchCallback Trickle(absl::Time deadline, FetchCallback callback);
  void LoseUnheard(std::vector<LogSlice>* slices) const;
  void Mangle(std::vector<LogSlice>* slices);
  // Takes out what is refused; the callback gets its answers as well.
  ApplyCallback Refuse(std::vector<L2Write>* writes, ApplyCallback callback) const;
  absl::Status RefusalOf(const L2Write& write) const;
  // A deadline by the node's clock is the same moment by the store's.
  absl::Time Theirs(absl::Time deadline) const { return clock_.Now() + (deadline - node_.Now()); }

  const Clock& node_;
  const Clock& clock_;
  Executor& executor_;
  std::unique_ptr<FakeL2Store>& store_;
  absl::Time free_at_;  // When all that was sent has crossed.
  absl::Time fetched_at_;     // When all that was fetched has.
  size_t fetched_bytes_ = 0;  // On their way.
  std::mt19937_64 mangler_;
  std::map<uint32_t, std::vector<LogEntry>> told_;  // By slot, while reads are mangled.
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_REPLICATION_STORE_WIRE_H_
