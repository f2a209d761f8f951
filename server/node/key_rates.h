// KeyRates estimates how often the most wanted keys of one namespace are asked for, in bounded
// memory: Filtered Space-Saving (Homem, Carvalho, "Finding top-k elements in data streams",
// Information Sciences 180, 2010) over a sample of the reads, with forward decay (Cormode,
// Shkapenyuk, Srivastava, Xu, "Forward Decay", ICDE 2009): later reads weigh more, instead of
// earlier ones less and less, so that the counts keep their order.
//
// Keys without a counter are counted together, by their hash, in one of `cells` cells: a key takes
//   the least counter over only when its cell has come to more than that.
// Promise: a rate is never above the true one but for chance: what a key's cell had come to when
//   it got its counter does not count. A key that has more of the reads of the last minutes than
//   its cell and the least counter is known.
// Cost: one read in `sample` takes a short lock and looks through the counters' hashes; a change of
//   the least counter also through their weights. Some 20 KiB, and the keys that have counters.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_KEY_RATES_H_
#define MERIDIAN_SERVER_NODE_KEY_RATES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/chance.h"

namespace meridian {

struct KeyRate {
  std::string key;
  double per_second = 0;
};

struct KeyRatesOptions {
  size_t counters = 100;
  size_t cells = 2048;  // A power of two, at least 2.
  uint32_t sample = 16;
  absl::Duration half_life = absl::Minutes(1);  // Of a read's weight.
};

class KeyRates {
 public:
  explicit KeyRates(KeyRatesOptions options = {}) : options_(options) {}

  // Whether the read that is under way is one of the sample: then it is to be counted.
  bool IsSampled() const { return OneIn(options_.sample); }
  // A key of the sample was asked for; `hash` is the EntryKey's, `now` a monotonic time.
  void Count(uint64_t hash, std::string_view key, absl::Duration now) ABSL_LOCKS_EXCLUDED(mu_);

  // The hottest, hottest first, at most `limit`. Cost: a copy of all counters.
  std::vector<KeyRate> Top(size_t limit, absl::Duration now) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Counter {
    double weight = 0;
    double error = 0;  // Of `weight`: what the cell had come to.
    std::string key;
  };

  // What a read weighs: twice as much after every half-life.
  double WeightAt(absl::Duration now) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Of the counter that weighs least.
  size_t FindLeast() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  float& CellOf(uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Weights would become too large for a float.
  void Rebase(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const KeyRatesOptions options_;
  mutable absl::Mutex mu_;
  std::vector<uint64_t> hashes_ ABSL_GUARDED_BY(mu_);   // Of counters_, to be looked through.
  std::vector<Counter> counters_ ABSL_GUARDED_BY(mu_);  // At most options_.counters.
  std::vector<float> cells_ ABSL_GUARDED_BY(mu_);       // Empty while counters are free.
  size_t least_ ABSL_GUARDED_BY(mu_) = 0;               // FindLeast(), when there are cells.
  absl::Duration began_ ABSL_GUARDED_BY(mu_);           // The time of the first read.
  absl::Duration base_ ABSL_GUARDED_BY(mu_);            // A read weighs 1 at this time.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_KEY_RATES_H_
