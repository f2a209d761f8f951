// The hashes of Meridian: one 64-bit hash, and the slot of a key.
//
// Frozen: clients and stored data depend on SlotOf (HashTest.GoldenSlots, docs/adr/0003).

#ifndef MERIDIAN_COMMON_BASE_HASH_H_
#define MERIDIAN_COMMON_BASE_HASH_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace meridian {

inline constexpr uint32_t kSlotCount = 1024;

// XXH3, 64 bits, seed 0.
uint64_t Hash64(std::string_view bytes);

// XXH3, 64 bits, with a seed.
uint64_t Hash64(std::string_view bytes, uint64_t seed);

// XXH3, 128 bits, seed 0, as 32 lower-case hex digits in the canonical order.
std::string HexHash128(std::string_view bytes);

// The part of a key that says where it lives: what stands between the first '{' and the next '}',
// when there is something between them; otherwise the whole key (the rule of Redis Cluster).
std::string_view RoutingPart(std::string_view key);

// xxh3_64(namespace, 0x00, routing part of key) mod 1024. Does not allocate.
uint32_t SlotOf(std::string_view name_space, std::string_view key);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_HASH_H_
