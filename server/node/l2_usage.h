// What the servers of the regional store say of themselves: the memory that they use and may use,
// what they evict, what they have on disk.
//
// L2UsageWatch asks its source every kInterval, or kRetry after a failure, and remembers the last
// answer for kKept: what is older is not known.
// Cost: two commands a server and interval. No thread waits.
// Thread safety: Start once; Last by any thread. REQUIRES: the executor is stopped, and the source
// has answered what it was asked, before the watch is destroyed.

#ifndef MERIDIAN_SERVER_NODE_L2_USAGE_H_
#define MERIDIAN_SERVER_NODE_L2_USAGE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"

namespace meridian {

// Of all servers together.
struct L2Usage {
  uint64_t used_bytes = 0;
  uint64_t limit_bytes = 0;  // 0: one of them has none.
  // "volatile-lfu"; of servers that differ, each once, with "," between them.
  std::string eviction_policy = {};
  // What they have after a restart: "none", "rdb", "aof" or "rdb+aof"; of servers that differ the
  // least; empty: not known.
  std::string persistence = {};
  bool aof = false;          // All of them append every write to a file.
  bool saves = true;         // None of them failed when it last wrote to its disk.
  absl::Time saved_at = {};  // The oldest of their snapshots; of one without any: its start.
  absl::Duration age = {};   // Since they said so.
};

class L2UsageSource {
 public:
  using UsageCallback = std::function<void(absl::StatusOr<L2Usage>)>;
  virtual ~L2UsageSource() = default;

  // `callback` is called exactly once, on any thread; it must not block.
  virtual void FetchUsage(absl::Time deadline, UsageCallback callback) = 0;
};

class L2UsageWatch {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(10);
  static constexpr absl::Duration kRetry = absl::Seconds(1);
  static constexpr absl::Duration kTimeout = absl::Seconds(2);
  static constexpr absl::Duration kKept = absl::Seconds(45);

  // References outlive this.
  L2UsageWatch(L2UsageSource& source, Executor& executor, const Clock& clock)
      : source_(source), executor_(executor), clock_(clock) {}

  void Start() { Ask(); }

  // nullopt: not known.
  std::optional<L2Usage> Last() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (!last_.has_value()) return std::nullopt;
    L2Usage usage = *last_;
    usage.age = clock_.Monotonic() - answered_;
    if (usage.age > kKept) return std::nullopt;
    return usage;
  }

 private:
  void Ask() {
    source_.FetchUsage(clock_.Now() + kTimeout, [this](absl::StatusOr<L2Usage> usage) {
      const bool known = usage.ok();
      if (known) {
        absl::MutexLock lock(&mu_);
        last_ = *std::move(usage);
        answered_ = clock_.Monotonic();
      }
      executor_.PostAfter(known ? kInterval : kRetry, [this] { Ask(); });
    });
  }

  L2UsageSource& source_;
  Executor& executor_;
  const Clock& clock_;
  mutable absl::Mutex mu_;
  std::optional<L2Usage> last_ ABSL_GUARDED_BY(mu_);
  absl::Duration answered_ ABSL_GUARDED_BY(mu_);  // When it came.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_L2_USAGE_H_
