// What a FakeL2Store holds, and how its calls change that: as the Redis scripts do.
//
// Thread safety: whoever calls a method holds `mu`.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_L2_STORE_STATE_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_L2_STORE_STATE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/node/l2_store.h"
#include "tests/support/fake_l2_store.h"

namespace meridian {

struct FakeL2Store::Stored {
  std::string bytes;
  absl::Time forget_at;
};

// What a record's header says at some time.
struct FakeL2Store::Header {
  Version version;
  bool live = false;
  uint64_t written = 0;  // What fences are compared with.

  // Of stored bytes; a foreign value has none and loses against every write.
  static Header Of(std::string_view bytes, absl::Time now);
};

struct FakeL2Store::Saved {
  std::map<std::pair<std::string, std::string>, Stored> entries;
  std::map<uint32_t, std::deque<LogEntry>> logs;
  std::map<uint32_t, LogPosition> log_ends;
  std::map<std::pair<std::string, uint32_t>, LogPosition> cursors;
};

struct FakeL2Store::State {
  State(const Clock& c, Executor& e) : clock(c), executor(e) {}

  const Clock& clock;
  Executor& executor;
  mutable absl::Mutex mu;
  std::map<std::pair<std::string, std::string>, Stored> entries ABSL_GUARDED_BY(mu);
  std::map<uint32_t, std::deque<LogEntry>> logs ABSL_GUARDED_BY(mu);
  uint64_t changes ABSL_GUARDED_BY(mu) = 0;
  std::map<uint32_t, LogPosition> log_ends ABSL_GUARDED_BY(mu);
  std::map<std::pair<std::string, uint32_t>, LogPosition> cursors ABSL_GUARDED_BY(mu);
  uint64_t generation ABSL_GUARDED_BY(mu) = 0;
  Calls calls ABSL_GUARDED_BY(mu);
  std::deque<absl::Status> failures ABSL_GUARDED_BY(mu);
  std::deque<absl::Status> lost_replies ABSL_GUARDED_BY(mu);
  std::vector<std::function<void()>> held ABSL_GUARDED_BY(mu);
  bool holding ABSL_GUARDED_BY(mu) = false;
  bool answers_in_tasks ABSL_GUARDED_BY(mu) = false;
  int hold_next ABSL_GUARDED_BY(mu) = 0;
  bool available ABSL_GUARDED_BY(mu) = true;
  std::shared_ptr<const Saved> replica ABSL_GUARDED_BY(mu);  // Answers Fetch; nullptr: none does.
  bool closed ABSL_GUARDED_BY(mu) = false;
  absl::Duration clock_offset ABSL_GUARDED_BY(mu);

  // Why a call that arrives now cannot be served.
  absl::Status Refusal(absl::Time deadline, bool replica_ok) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  const Stored* Find(std::string_view name_space, std::string_view key) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void AppendLog(const L2Write& write) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  L2WriteResult ApplyOne(const L2Write& write) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  std::vector<L2WriteResult> ApplyAll(const std::vector<L2Write>& writes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_L2_STORE_STATE_H_
