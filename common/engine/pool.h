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

struct PoolOptions {
  size_t max_bytes = 0;        // 0: bounded by the engine's capacity only. A cap, see Engine.
  size_t max_entries = 0;      // 0: as above. Both are divided over the shards.
  std::string policy = "lru";  // See CreateEvictionPolicy.
  // Where this pool's victims go instead of leaving L1.
  std::optional<PoolId> demote_to = std::nullopt;

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
