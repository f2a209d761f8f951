// Budget pools: parts of L1 with a budget and an eviction policy of their own. See Engine::SetPool.

#ifndef MERIDIAN_COMMON_ENGINE_POOL_H_
#define MERIDIAN_COMMON_ENGINE_POOL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace meridian {

using PoolId = uint8_t;
inline constexpr PoolId kSharedPool = 0;  // Always there; of whoever has no pool of its own.
inline constexpr size_t kMaxPools = 128;  // Ids are below.

// The shards that hold a pool, or the keys of a namespace: 2^bits of them, from `first` on, which
// is a multiple of that.
struct ShardRange {
  uint16_t first = 0;
  uint8_t bits = 0;
  size_t count() const { return size_t{1} << bits; }
  friend bool operator==(const ShardRange&, const ShardRange&) = default;
};

struct PoolOptions {
  size_t max_bytes = 0;        // 0: bounded by the engine's capacity only. A cap, see Engine.
  size_t max_entries = 0;      // 0: as above. Both are divided over the pool's shards, and what is
                               // less than one a shard counts as one.
  std::string policy = "lru";  // See CreateEvictionPolicy.
  // Where this pool's victims go instead of leaving L1.
  std::optional<PoolId> demote_to = std::nullopt;
  // nullopt: all. The pool is for namespaces that are placed in these (Engine::PlaceNamespace).
  std::optional<ShardRange> shards = std::nullopt;

  friend bool operator==(const PoolOptions&, const PoolOptions&) = default;
};

// What a pool holds now.
struct PoolUse {
  size_t bytes = 0;
  size_t entries = 0;
  friend bool operator==(const PoolUse&, const PoolUse&) = default;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_POOL_H_
