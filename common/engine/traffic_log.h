// TrafficLog remembers the last requests for a sample of a namespace's keys, so that ghosts can
// replay them: see what_if.h.
//
// A key belongs to the sample by its hash (Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC
// construction with SHARDS", FAST 2015): all of its requests or none. The share of the keys is a
// power of 1/2 such that a cache of the namespace's size has at most kMaxShadowEntries of them. A
// log that is replayed was preferred to ghosts that always run: it answers any question at once,
// and between questions it costs almost nothing.
// Cost: a request that is not in the sample: one relaxed add and one compare. In the sample: a
//   mutex of the log and 32 bytes of a ring of at most `capacity` requests, which grows as they
//   come.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_ENGINE_TRAFFIC_LOG_H_
#define MERIDIAN_COMMON_ENGINE_TRAFFIC_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian {

enum class TrafficKind : uint8_t {
  kHit,    // A Get that was answered; size and life are those of the entry.
  kMiss,   // A Get that was not; a kFill may follow.
  kFill,   // A value from a lower tier: kept only where there is none.
  kWrite,  // A newer value.
  kErase,
};

// How long a value lives; infinite: nothing ends it.
struct LoggedLife {
  absl::Duration given = absl::InfiniteDuration();  // In the cache that was logged.
  // Whatever TTL the cache gives: what its writer chose, or what the store below has left. A hit
  // does not know it: the key's last fill or write does.
  absl::Duration own = absl::InfiniteDuration();
};

struct LoggedRequest {
  uint64_t hash = 0;  // EntryKey::hash.
  int64_t time_us : 56 = 0;
  TrafficKind kind : 8 = TrafficKind::kMiss;
  uint32_t given_ms = 0;  // LoggedLife; 0: infinite.
  uint32_t own_ms = 0;
  uint32_t size = 0;   // What the engine charges for the entry.
  uint32_t asked = 0;  // The Gets of all keys until then, modulo 2^32.
};
static_assert(sizeof(LoggedRequest) == 32);

class TrafficLog {
 public:
  static constexpr size_t kMaxShadowEntries = 4096;

  explicit TrafficLog(size_t capacity = size_t{1} << 16) : capacity_(capacity) {}

  void Record(TrafficKind kind, uint64_t hash, absl::Duration now, size_t size, LoggedLife life)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Chooses the share of the keys for a cache of so many entries. A smaller one takes effect at
  // once; a larger one only when it is eight times as large, for it begins with an empty log.
  void FitTo(size_t entries) ABSL_LOCKS_EXCLUDED(mu_);

  // What the ring takes.
  size_t bytes() const ABSL_LOCKS_EXCLUDED(mu_);

  struct Snapshot {
    std::vector<LoggedRequest> requests;  // Oldest first.
    double rate = 1;                      // The share of the keys.
    uint32_t asked = 0;                   // Gets of all keys until now.
  };
  Snapshot Copy() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Bits that choose neither the shard nor the place in a table.
  static uint64_t SampleBits(uint64_t hash) { return (hash >> 24) & 0xFFFF; }

  const size_t capacity_;
  std::atomic<uint32_t> asked_{0};
  // A key is in the sample when SampleBits < this. Read without the lock: a request that meets a
  // change is in the log or not, it does not matter.
  std::atomic<uint64_t> threshold_{1 << 16};
  mutable absl::Mutex mu_;
  std::vector<LoggedRequest> ring_ ABSL_GUARDED_BY(mu_);  // At most capacity_.
  size_t oldest_ ABSL_GUARDED_BY(mu_) = 0;                // 0 until it is full.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_TRAFFIC_LOG_H_
