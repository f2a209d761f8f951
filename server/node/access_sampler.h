// AccessSampler keeps what some callers have asked for, so that the coordinator can learn which
// keys are wanted together and one after the other.
//
// Of one caller in `callers_per_sample` it takes all reads: whoever is sampled is sampled at every
//   node, so that the reads of one caller can be put together again. When there are more than
//   kMaxKept between two looks, it samples half as many callers, and more again later.
// Cost: of a caller that is not sampled a division; else a lock and a copy of each key, at most
//   kMaxKept of them and kMaxBytes of their texts in memory.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_ACCESS_SAMPLER_H_
#define MERIDIAN_SERVER_NODE_ACCESS_SAMPLER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian {

// One read of a key.
struct SampledAccess {
  std::string name_space;
  std::string key;
  uint64_t caller = 0;
  absl::Duration at;
};

class AccessSampler {
 public:
  static constexpr size_t kMaxKept = 1000;
  static constexpr size_t kMaxBytes = size_t{256} << 10;

  // REQUIRES: callers_per_sample > 0.
  explicit AccessSampler(uint32_t callers_per_sample)
      : least_(callers_per_sample), callers_per_sample_(callers_per_sample) {}

  // The caller as a hash: of its session, else of its connection. Never 0.
  static uint64_t CallerOf(std::string_view session_or_peer);

  bool IsSampled(uint64_t caller) const {
    return caller % callers_per_sample_.load(std::memory_order_relaxed) == 0;
  }
  // REQUIRES: IsSampled(caller).
  void Add(uint64_t caller, std::string_view name_space, std::span<const std::string_view> keys,
           absl::Duration now) ABSL_LOCKS_EXCLUDED(mu_);

  // What was taken since the last call, oldest first.
  std::vector<SampledAccess> Take() ABSL_LOCKS_EXCLUDED(mu_);
  uint32_t callers_per_sample() const {
    return callers_per_sample_.load(std::memory_order_relaxed);
  }

 private:
  const uint32_t least_;
  std::atomic<uint32_t> callers_per_sample_;
  absl::Mutex mu_;
  std::vector<SampledAccess> kept_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool is_full_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_ACCESS_SAMPLER_H_
