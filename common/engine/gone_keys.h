// GoneKeys remembers why keys have left a shard, so that a miss can tell its cause.
//
// A table of two bytes a key, 13 bits of fingerprint and 3 of cause: who comes to a cell that is
//   taken has it. So it knows about as many keys as it has room for, the latest best, and takes one
//   stranger in 8191 for a key that it knows.
// Cost: Put is one store and Look one load. Nothing is allocated before the first Put; of what is
//   allocated then, the system gives memory for what is used.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_GONE_KEYS_H_
#define MERIDIAN_COMMON_ENGINE_GONE_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "common/engine/engine_stats.h"

namespace meridian {

class GoneKeys {
 public:
  // Room for `keys`. REQUIRES: a power of two, at most 2^16.
  explicit GoneKeys(size_t keys) : mask_(keys - 1) {}

  // `hash` is the EntryKey's.
  void Put(uint64_t hash, MissCause cause);

  // kNew for a key that is not known, or not any more.
  MissCause Look(uint64_t hash) const {
    if (cells_ == nullptr) return MissCause::kNew;
    const uint16_t cell = cells_.get()[IndexOf(hash)];
    return (cell ^ FingerprintOf(hash)) < kMissCauses ? static_cast<MissCause>(cell & 7)
                                                      : MissCause::kNew;
  }

 private:
  static_assert(kMissCauses <= 8, "a cause has three bits");
  struct Free {
    void operator()(uint16_t* cells) const { std::free(cells); }
  };

  // Never 0, which is the fingerprint of a cell that nobody has taken.
  static uint16_t FingerprintOf(uint64_t hash) {
    return static_cast<uint16_t>((hash % 8191 + 1) << 3);
  }
  // The highest bits have chosen the shard already.
  size_t IndexOf(uint64_t hash) const { return (hash >> 32) & mask_; }

  const size_t mask_;
  std::unique_ptr<uint16_t, Free> cells_;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_GONE_KEYS_H_
