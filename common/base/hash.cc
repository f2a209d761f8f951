#include "common/base/hash.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace meridian {

uint64_t Hash64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t Hash64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::string HexHash128(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  std::string hex;
  hex.reserve(2 * sizeof(canonical.digest));
  for (const unsigned char byte : canonical.digest) {
    hex.push_back("0123456789abcdef"[byte >> 4]);
    hex.push_back("0123456789abcdef"[byte & 0xF]);
  }
  return hex;
}

std::string_view RoutingPart(std::string_view key) {
  const size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

uint32_t SlotOf(std::string_view name_space, std::string_view key) {
  const std::string_view routing = RoutingPart(key);
  const size_t size = name_space.size() + 1 + routing.size();
  char buffer[64 + 1 + 1024];  // The limits of a namespace and a key.
  if (size <= sizeof(buffer)) {
    std::memcpy(buffer, name_space.data(), name_space.size());
    buffer[name_space.size()] = '\0';
    std::memcpy(buffer + name_space.size() + 1, routing.data(), routing.size());
    return static_cast<uint32_t>(XXH3_64bits(buffer, size) % kSlotCount);
  }
  // Over the limits: such a key is refused elsewhere, but the answer stays right.
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, name_space.data(), name_space.size());
  XXH3_64bits_update(&state, "\0", 1);
  XXH3_64bits_update(&state, routing.data(), routing.size());
  return static_cast<uint32_t>(XXH3_64bits_digest(&state) % kSlotCount);
}

}  // namespace meridian
