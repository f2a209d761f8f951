// FakeL2Store is a small real L2Store in memory: versions, conditions, retention, changelogs and
// cursors as the Redis scripts do them. tests/contract holds both to one suite.
//
// Interleaving: each call is one task on the given executor; the store changes and the callback is
//   called when that task runs, in order of the calls. HoldReplies() keeps the answers back while
//   the store goes on, as a slow network would.
// Promise: every callback is called exactly once; the destructor answers what is left with
//   kUnavailable (tasks that the executor drops are not answered).
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_L2_STORE_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_L2_STORE_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/node/l2_store.h"

namespace meridian {

class FakeL2Store final : public L2Store {
 public:
  // How often each method was called, and with how many keys or writes in all.
  struct Calls {
    int fetch = 0;
    int apply = 0;
    int read_logs = 0;
    int change_count = 0;
    int log_ends = 0;
    int fetch_cursors = 0;
    int apply_replicated = 0;
    int scan = 0;
    int fetch_versions = 0;
    size_t fetched_keys = 0;
    size_t applied_writes = 0;  // By Apply and ApplyReplicated.
  };

  // Neither is owned; both outlive this.
  FakeL2Store(const Clock& clock, Executor& executor);
  ~FakeL2Store() override;

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

  // The next `calls` calls change nothing and fail with `status`.
  void FailNext(absl::Status status, int calls = 1);

  // The next `calls` calls do their work, but answer `status`: the unknown outcome.
  void LoseNextReply(absl::Status status, int calls = 1);

  // Unavailable: every call fails with kUnavailable at once; the data stays.
  void SetAvailable(bool available);

  // The primary cannot be reached: Fetch is answered by a replica that has got no more than that,
  // every other call fails with kUnavailable. nullptr: it is back, with what it had.
  struct Saved;
  void LosePrimary(std::shared_ptr<const Saved> replica);

  // While held, calls do their work and their answers wait. Release answers them, in order.
  void HoldReplies();
  void ReleaseReplies();
  // The answers of the next `calls` calls wait for ReleaseReplies; later ones overtake them.
  void HoldNextReply(int calls = 1);

  // From now on each answer is a task of its own, so that an executor that shuffles its tasks
  // delays what a call does and when that is heard of independently.
  void AnswerInTasks();

  // ServerTime answers the clock's time and `offset` more.
  void SetClockOffset(absl::Duration offset);

  // Forgets the first entries of a changelog, as MAXLEN does, until `keep` are left.
  void TrimLog(uint32_t slot, size_t keep);
  // The changelog is gone as a whole, as an evicted or deleted key is.
  void LoseLog(uint32_t slot);

  // All that it holds. GoBackTo is what a failover to a replica does that had not got the rest; the
  // store says so (Generation), unless it is not `noticed`.
  std::shared_ptr<const Saved> Save() const;
  void GoBackTo(const Saved& saved, bool noticed = true);
  uint64_t Generation() const override;
  uint64_t GenerationOf(uint32_t slot) const override { return Generation(); }

  Calls calls() const;
  // The stored bytes, nullopt when there are none or their retention is over.
  std::optional<std::string> Peek(std::string_view name_space, std::string_view key) const;
  // Forgets a key, as a full store does.
  void Evict(std::string_view name_space, std::string_view key);
  // Stores bytes that no Apply wrote: corruption, or a foreign value.
  void Plant(const L2Key& key, std::string bytes, absl::Duration retention);

 private:
  struct Header;
  struct Stored;
  struct State;

  void FetchFrom(bool replica_ok, std::vector<L2Key> keys, absl::Time deadline,
                 FetchCallback callback);
  template <typename Answer>
  void Run(absl::Time deadline, std::function<void(Answer)> callback,
           std::function<Answer(absl::Status)> fail, std::function<Answer(State&)> work,
           bool replica_ok = false);

  std::shared_ptr<State> state_;  // Shared with the tasks, which may outlive this.
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_L2_STORE_H_
