// GhostQueue remembers the hashes of entries that were evicted, the last ones that would have
// fitted in its bounds, and forgets the oldest first.
//
// Two keys whose 32 bits of hash are the same are one key to it: of a million ghosts, one in 4000
// misses is taken for one.
// Cost: O(1) each call; 20 bytes a ghost and 4 to 8 for the index. Memory grows by doubling up to
//   the most ghosts there ever were; then nothing is allocated.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_GHOST_QUEUE_H_
#define MERIDIAN_COMMON_ENGINE_GHOST_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "common/engine/eviction_policy.h"

namespace meridian {

class GhostQueue {
 public:
  // `limits`: of the entries whose ghosts are kept. A bound of 0 is none.
  explicit GhostQueue(PolicyLimits limits) : limits_(limits) {}

  size_t size() const { return size_; }

  // `charge`: of the entry that left. Changes nothing when the hash is there.
  void Push(uint32_t hash, size_t charge);

  // Forgets the hash; returns whether it was there.
  bool Erase(uint32_t hash);

 private:
  using Index = uint32_t;
  static constexpr Index kNone = std::numeric_limits<Index>::max();
  struct Ghost {
    uint32_t hash = 0;
    uint32_t charge = 0;
    Index newer = kNone;  // Of a free one: the next free one.
    Index older = kNone;
    Index chain = kNone;  // The next of its bucket.
  };

  Index& BucketOf(uint32_t hash);
  // The link that points at the ghost of this hash, or the end of its chain. REQUIRES: buckets.
  Index* Find(uint32_t hash);
  void Remove(Index* link);
  void GrowBuckets();

  const PolicyLimits limits_;
  std::vector<Ghost> ghosts_;
  std::vector<Index> buckets_;  // A power of two, at least as many as there are ghosts.
  Index free_ = kNone;
  Index newest_ = kNone;
  Index oldest_ = kNone;
  size_t size_ = 0;
  size_t bytes_ = 0;  // Sum of the charges.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_GHOST_QUEUE_H_
