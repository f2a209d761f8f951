// HotKeys finds the keys that are asked for far more often than others, in bounded memory
// (Space-Saving: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k
// Elements", ICDT 2005).
//
// Promise: what it calls hot was seen at least `min_rate` times a second, and in at least
//   `min_share` of all calls, within the last two windows (up to sampling). Quiet keys are never
//   called hot because of others: a counter that was taken over does not count for its new key. A
//   key that is less than one in `counters` of the keys may stay unknown, whatever its share.
// Cost: one key in `sample` takes a short lock and a scan of the counters; the others look through
//   the hot ones, of which there are few or none.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_NEAR_HOT_KEYS_H_
#define MERIDIAN_COMMON_NEAR_HOT_KEYS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian {

struct HotKeysOptions {
  size_t counters = 64;
  uint32_t sample = 4;  // One key in so many is counted.
  absl::Duration window = absl::Seconds(1);
  double min_rate = 100;  // A second.
  double min_share = 0;   // 0..1, of all calls, which may ask for several keys each.
};

class HotKeys {
 public:
  static constexpr size_t kMaxHot = 32;

  // What one count stands for: a call for one key; less of a call where it asks for many keys, and
  // more of both where the caller counts a sample.
  struct Weight {
    uint32_t keys = 1;
    double calls = 1;
  };

  explicit HotKeys(HotKeysOptions options) : options_(options) {}

  // A key was asked for, by its hash. True when it is hot.
  bool Count(uint64_t hash, absl::Duration now, Weight weight) ABSL_LOCKS_EXCLUDED(mu_);
  bool Count(uint64_t hash, absl::Duration now) { return Count(hash, now, Weight()); }

  bool IsHot(uint64_t hash) const;
  size_t hot() const { return hot_count_.load(std::memory_order_acquire); }

 private:
  struct Counter {
    uint64_t hash = 0;
    uint32_t count = 0;  // Of keys, what the sample stands for.
    uint32_t error = 0;  // Of `count`: counted for keys that had the counter before.
  };

  Counter& CounterOf(uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Reaches(const Counter& counter, absl::Duration time) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AddHot(uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What is hot now is what was in the window that ends.
  void Turn(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const HotKeysOptions options_;
  // The first hot_count_ are hot. Read without a lock: a key that is called hot, or not, a moment
  // too long is harmless.
  std::array<std::atomic<uint64_t>, kMaxHot> hot_ = {};
  std::atomic<size_t> hot_count_{0};
  absl::Mutex mu_;
  std::vector<Counter> counters_ ABSL_GUARDED_BY(mu_);
  double calls_ ABSL_GUARDED_BY(mu_) = 0;  // Of the window.
  absl::Duration began_ ABSL_GUARDED_BY(mu_) = absl::ZeroDuration();
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_NEAR_HOT_KEYS_H_
