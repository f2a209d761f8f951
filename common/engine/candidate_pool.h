// CandidatePool finds an entry that is worth little among many, without an order: it looks at a few
// random ones each time, and keeps the worst of them in mind for the next.
//
// Sampling with a pool of the best candidates is how Redis approximates LRU and LFU.
// Cost: kDraws + kKept values of the score a call; no allocation.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_CANDIDATE_POOL_H_
#define MERIDIAN_COMMON_ENGINE_CANDIDATE_POOL_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "common/engine/reuse_state.h"

namespace meridian {

class CandidatePool {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr size_t kDraws = 32;
  static constexpr size_t kKept = 16;

  // The index below `count`, other than `newcomer`, of the lowest score found, if that is not
  // higher than `bar`; else kNone. Elements may change their places between calls.
  template <typename Score>
  uint32_t Lowest(uint32_t count, uint32_t newcomer, float bar, XorShift& random,
                  const Score& score) {
    std::array<Candidate, kKept + kDraws> found;
    size_t size = 0;
    const auto add = [&](uint32_t index) {
      if (index >= count || index == newcomer) return;
      const float value = score(index);
      if (size > kKept && value >= found[size - 1].score) return;
      for (size_t i = 0; i < size; ++i) {
        if (found[i].index == index) return;
      }
      size_t at = size <= kKept ? size++ : size - 1;
      for (; at > 0 && found[at - 1].score > value; --at) found[at] = found[at - 1];
      found[at] = {value, index};
    };
    for (size_t i = 0; i < size_; ++i) add(kept_[i]);
    for (size_t i = 0; i < kDraws; ++i) add(random.Below(count));
    if (size == 0) return kNone;
    const bool refused = bar < found[0].score;
    const size_t first = refused ? 0 : 1;
    size_ = std::min(size - first, kKept);
    for (size_t i = 0; i < size_; ++i) kept_[i] = found[first + i].index;
    return refused ? kNone : found[0].index;
  }

  void Clear() { size_ = 0; }

 private:
  struct Candidate {
    float score;
    uint32_t index;
  };
  std::array<uint32_t, kKept> kept_;
  size_t size_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_CANDIDATE_POOL_H_
