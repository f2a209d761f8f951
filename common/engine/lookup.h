// An answer of Engine::GetBatch.

#ifndef MERIDIAN_COMMON_ENGINE_LOOKUP_H_
#define MERIDIAN_COMMON_ENGINE_LOOKUP_H_

#include <cstdint>

#include "common/engine/entry.h"
#include "common/engine/fill_token.h"

namespace meridian {

// Whether a look is a request, that counts as hit or miss and keeps the entry, or warming: that
// leaves recency and statistics as they are.
enum class LookKind : uint8_t { kRequest, kWarming };

struct Lookup {
  bool found = false;
  Entry entry;      // When found.
  FillToken token;  // When not: as BeginFill.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_LOOKUP_H_
