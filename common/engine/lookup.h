// An answer of Engine::GetBatch.

#ifndef MERIDIAN_COMMON_ENGINE_LOOKUP_H_
#define MERIDIAN_COMMON_ENGINE_LOOKUP_H_

#include "common/engine/entry.h"
#include "common/engine/fill_token.h"

namespace meridian {

struct Lookup {
  bool found = false;
  Entry entry;      // When found.
  FillToken token;  // When not: as BeginFill.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_LOOKUP_H_
