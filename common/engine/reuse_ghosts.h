// ReuseGhosts remembers what was known of keys that are no longer resident.
//
// A 16-way set-associative table of 4 bytes a ghost: 16 bits of fingerprint, 10 of coarse time, 5
// of frequency; a full set forgets its oldest. One look-up in about 4000 takes a stranger for a
// ghost. Cost: O(1), one cache line; one allocation when it is sized, of which the system gives
// memory for what is used. Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_REUSE_GHOSTS_H_
#define MERIDIAN_COMMON_ENGINE_REUSE_GHOSTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>

#include "common/engine/reuse_state.h"

namespace meridian {

class ReuseGhosts {
 public:
  // Room for about `ghosts`; times are told from each other up to 32 * `capacity` requests back.
  // Forgets everything.
  void Resize(size_t ghosts, size_t capacity);
  size_t room() const { return count_ * kWays; }

  // `used_at`, `now`: the request, by number, that used the key last, and the present one.
  // REQUIRES: room() > 0.
  void Put(uint64_t hash, ReuseState state, uint64_t used_at, uint64_t now);

  struct Ghost {
    ReuseState state;   // Its frequency; how far apart its uses were is not remembered.
    uint64_t distance;  // Requests since its last use, about.
  };
  // Takes the ghost out.
  std::optional<Ghost> Take(uint64_t hash, uint64_t now);

 private:
  static constexpr size_t kWays = 16;
  static constexpr uint32_t kTimeMask = 1023;
  struct alignas(64) Set {
    std::array<uint32_t, kWays> ghosts;  // 0: free.
  };

  Set& SetOf(uint64_t hash) { return sets_[static_cast<size_t>((hash >> 32) * count_ >> 32)]; }

  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  Set* sets_ = nullptr;  // In memory_, count_ of them.
  size_t count_ = 0;
  int time_shift_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_REUSE_GHOSTS_H_
