// KeyHasher makes the hash that everything in L1 goes by: shards, buckets, samples, ghosts.
//
// Entries do not keep it: who needs the hash of an entry makes it again from the key, which costs
// some nanoseconds and spares 4 bytes an entry. Thread safety: a value.

#ifndef MERIDIAN_COMMON_ENGINE_KEY_HASHER_H_
#define MERIDIAN_COMMON_ENGINE_KEY_HASHER_H_

#include <cstdint>
#include <string_view>

#include "common/base/hash.h"
#include "common/engine/entry.h"
#include "common/engine/entry_node.h"

namespace meridian {

struct KeyHasher {
  uint64_t seed = 0;  // Random in servers, so that nobody can aim at one shard.

  uint64_t Of(NamespaceId name_space, std::string_view key) const {
    constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;  // Spreads the small ids over the seed's bits.
    return Hash64(key, seed ^ (name_space * kGolden));
  }
  // The low half, which is all that tables and policies go by.
  uint32_t Of(const EntryNode& node) const {
    return static_cast<uint32_t>(Of(node.name_space(), node.key()));
  }
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_KEY_HASHER_H_
