// HintLog holds writes that were acknowledged while the regional store was away (degraded=true),
// until they are replayed (server/replication/hint_replay.h). It is memory only: a node that dies
// loses them.
//
// Of a key the newest write is held. Bounds: `max_bytes`, and `max_age`: nothing more is taken once
// the oldest has waited so long, so that what may be lost is bounded in both ways.
// Cost: one lock and one map entry a write; readers look only while anything is held.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_HINT_LOG_H_
#define MERIDIAN_SERVER_NODE_HINT_LOG_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/version.h"
#include "server/node/l2_store.h"

namespace meridian {

struct HintLogOptions {
  size_t max_bytes = size_t{64} << 20;
  absl::Duration max_age = absl::Minutes(10);
};

struct HintStats {
  size_t entries = 0;
  size_t bytes = 0;
  absl::Duration oldest;         // How long the oldest has waited.
  uint64_t accepted_total = 0;   // Writes.
  uint64_t refused_total = 0;    // For want of room, or of age.
  uint64_t replayed_total = 0;   // Entries that the store has now.
  uint64_t overtaken_total = 0;  // Entries that something newer made void.
  uint64_t lost_total = 0;       // Entries that were given up.
};

class HintLog {
 public:
  explicit HintLog(HintLogOptions options) : options_(options) {}

  // Takes a kPut without condition. Returns kUnavailable (HINTS_FULL) when there is no room, or the
  // oldest is too old; SHUTTING_DOWN after Close. `now` is monotonic.
  absl::Status Add(L2Write write, absl::Duration now) ABSL_LOCKS_EXCLUDED(mu_);

  bool empty() const { return entries_.load(std::memory_order_acquire) == 0; }
  // The record that is held for a key.
  std::optional<std::string> Find(std::string_view name_space, std::string_view key) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // Its version.
  std::optional<Version> VersionOf(std::string_view name_space, std::string_view key) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // The store has, or had, something as new or newer: what is held is void.
  void Overtaken(std::string_view name_space, std::string_view key, Version version)
      ABSL_LOCKS_EXCLUDED(mu_);

  // The oldest, by version; at least one if any is held, and no more than `max_bytes` otherwise.
  std::vector<L2Write> Oldest(size_t count, size_t max_bytes) const ABSL_LOCKS_EXCLUDED(mu_);
  // The store has answered for `write`: it has it (or, not `applied`, something newer).
  void Replayed(const L2Write& write, bool applied) ABSL_LOCKS_EXCLUDED(mu_);

  // Takes nothing more, so that nothing is acknowledged that the process takes along.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);
  // Gives up what is held: the process ends. Returns how many entries that were.
  size_t Lose() ABSL_LOCKS_EXCLUDED(mu_);

  HintStats Stats(absl::Duration now) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Name = std::pair<std::string, std::string>;  // Namespace and key.
  struct Held {
    L2Write write;
    absl::Duration since;  // Monotonic.
  };

  static size_t BytesOf(const L2Write& write);
  bool Remove(const Name& name, Version upto) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const HintLogOptions options_;
  mutable absl::Mutex mu_;
  std::map<Version, Held> held_ ABSL_GUARDED_BY(mu_);  // A version is given once.
  std::map<Name, Version> newest_ ABSL_GUARDED_BY(mu_);
  HintStats stats_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::atomic<size_t> entries_{0};  // Of held_.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_HINT_LOG_H_
