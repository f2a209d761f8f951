// FillToken says what a key had seen when a fill began. See Engine::BeginFill.

#ifndef MERIDIAN_COMMON_ENGINE_FILL_TOKEN_H_
#define MERIDIAN_COMMON_ENGINE_FILL_TOKEN_H_

#include <cstdint>

namespace meridian {

struct FillToken {
  uint32_t writes = 0;      // Of this key, or of one that shares its counter.
  uint32_t generation = 0;  // Of the key's slot.
  // Of a watched key (KeyWatch): when it was changed last, or its watch began, counted in its
  // shard; 0: nobody watched it.
  uint64_t change = 0;
  friend bool operator==(const FillToken&, const FillToken&) = default;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_FILL_TOKEN_H_
