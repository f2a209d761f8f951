// StoreGenerations counts how often the data of a store may have gone back to an older state, by
// our slots. See L2Store::Generation. Cost: newest() is one load. Thread safety: all methods may be
// called concurrently.

#ifndef MERIDIAN_SERVER_L2_STORE_GENERATIONS_H_
#define MERIDIAN_SERVER_L2_STORE_GENERATIONS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/hash.h"

namespace meridian {

class StoreGenerations {
 public:
  uint64_t newest() const { return newest_.load(std::memory_order_acquire); }
  // REQUIRES: slot < kSlotCount.
  uint64_t Of(uint32_t slot) const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return generations_[slot];
  }

  // The data of the slots for which `went_back` says so may be older than it was; empty: of all.
  void Raise(const std::function<bool(uint32_t slot)>& went_back = nullptr)
      ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    const uint64_t next = newest() + 1;
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      if (went_back == nullptr || went_back(slot)) generations_[slot] = next;
    }
    newest_.store(next, std::memory_order_release);
  }

 private:
  mutable absl::Mutex mu_;
  std::array<uint64_t, kSlotCount> generations_ ABSL_GUARDED_BY(mu_) = {};
  std::atomic<uint64_t> newest_{0};  // Written under mu_.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_STORE_GENERATIONS_H_
