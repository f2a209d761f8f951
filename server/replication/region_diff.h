// RegionDiff compares the regions' stores: a digest of each slot first, then the keys of the slots
// whose digests differ, one by one.
//
// A key differs when a user could see it: the regions do not have the same version of it, and at
// least one of them has a live value. Tombstones and expired values that only some still remember
// are no difference. Keys that change while it runs may be counted. A repair gives every region the
// newest record, tombstones included. A value that is older than tombstones are kept, and of which
// some region has nothing at all, may have been deleted there and forgotten since: such a key is
// doubtful, and is left as it is (docs/adr/0014), unless the caller knows better.
// What a store does not answer, or refuses, is asked again, with growing pauses; one that fails for
// `patience` ends the comparison, with its name. A walk that cannot go on begins anew.
// Promise: the callback is called exactly once, also when it is
// cancelled or the gate is closed. Cost: one page of versions at a time, of all stores at once; of
// differing keys as many records as the stores answer together; memory for the slots' digests and
// kMaxCounted hashes, whatever differs. Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_REGION_DIFF_H_
#define MERIDIAN_SERVER_REPLICATION_REGION_DIFF_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/resilience/backoff.h"
#include "server/node/l2_store.h"
#include "server/replication/fetch_pace.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct RegionDiffOptions {
  std::vector<std::string> regions;  // Empty: all.
  bool repair = false;
  bool spread_doubtful = false;     // With `repair`: doubtful values, too.
  std::function<bool()> cancelled;  // Asked before each page; empty: never.
  size_t page_keys = 500;
  size_t fetch_keys = 500;  // Whole records of differing keys, together; fewer when they are large.
  size_t max_examples = 20;
  absl::Duration tombstone_ttl = absl::Hours(24);
  absl::Duration timeout = absl::Seconds(10);   // Of each call of a store.
  absl::Duration patience = absl::Seconds(30);  // With a store that fails.
  BackoffOptions backoff{.initial = absl::Milliseconds(100), .max = absl::Seconds(5)};
};

struct RegionDiffResult {
  absl::Status status;
  uint64_t compared_keys = 0;  // Sum over the regions.
  uint64_t differing_slots = 0;
  uint64_t differing_keys = 0;
  uint64_t repaired_keys = 0;         // Written in at least one region, and refused in none.
  uint64_t doubtful_keys = 0;         // Of differing_keys.
  std::vector<std::string> examples;  // "<namespace> <key>: <region> <version>, ..."
};

class RegionDiff : public std::enable_shared_from_this<RegionDiff> {
 public:
  static constexpr size_t kMaxCounted = 100'000;

  using Done = std::function<void(RegionDiffResult)>;
  using Wanted = std::function<bool(std::string_view name_space)>;
  using Stores = std::vector<std::pair<std::string, L2Store*>>;  // By region; at least two.

  // REQUIRES: called behind the gate. References outlive the gate.
  static void Run(RegionDiffOptions options, Stores stores, TaskGate gate, const Clock& clock,
                  Wanted wanted, Done done);
  ~RegionDiff();

 private:
  struct Page;

  RegionDiff(RegionDiffOptions options, Stores stores, TaskGate gate, const Clock& clock,
             Wanted wanted, Done done);
  void ReadPage();
  void Digest(std::vector<L2Key> keys, std::string next);
  void Versions(const std::shared_ptr<Page>& page);
  void Judge(const std::shared_ptr<Page>& page);
  void Records(const std::shared_ptr<Page>& page);
  void Fetched(const std::shared_ptr<Page>& page);
  void Settle(const std::shared_ptr<Page>& page);
  bool IsNews(const L2Key& key);
  void Write(const std::shared_ptr<Page>& page);
  void Written(const std::shared_ptr<Page>& page);
  void NextPage(std::string next);
  // Calls `again` after a while, or ends the comparison. `store`: the one that has failed.
  void Retry(size_t store, const absl::Status& status, Executor::Task again);
  // A call has succeeded.
  void Succeeded();
  void BeginWalkAnew();
  void Finish(absl::Status status);
  absl::Time Deadline() const { return clock_.Now() + options_.timeout; }

  const RegionDiffOptions options_;
  const Stores stores_;
  const TaskGate gate_;
  const Clock& clock_;
  const Wanted wanted_;
  Done done_;

  bool by_key_ = false;  // The second walk.
  size_t walked_ = 0;    // The store that is walked through.
  std::string from_;
  uint64_t walk_keys_ = 0;  // Of compared_keys, those of this walk.
  Backoff backoff_;
  std::minstd_rand random_;
  std::optional<absl::Duration> failing_since_;  // Monotonic.
  std::vector<std::vector<uint64_t>> digests_;   // By store and slot.
  std::vector<bool> suspect_;                    // By slot.
  // Hashes of keys that this walk has counted: a walk may bring a key twice. Beyond kMaxCounted the
  // second time counts.
  std::unordered_set<uint64_t> counted_;
  std::vector<FetchPace> fetch_paces_;  // By store.
  RegionDiffResult result_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_REGION_DIFF_H_
