// How L1 holds the knowledge that the origin does not have a key: as an entry without a value.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_NODE_ABSENCE_H_
#define MERIDIAN_SERVER_NODE_ABSENCE_H_

#include <cstdint>

#include "common/engine/entry.h"

namespace meridian {

// No value is so large.
inline constexpr uint32_t kAbsentRawSize = UINT32_MAX;

// What a stored value's fields never say together; readers of values look at the encoding anyway.
inline bool IsAbsence(const Entry& entry) {
  return entry.encoding != Encoding::kIdentity && entry.raw_size == kAbsentRawSize &&
         entry.value.empty();
}

// Makes `entry` say that there is nothing.
inline void MakeAbsence(Entry* entry) {
  entry->value = Buffer();
  entry->encoding = Encoding::kZlib;
  entry->raw_size = kAbsentRawSize;
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_ABSENCE_H_
