// What became of an Engine::Put or PutFill.

#ifndef MERIDIAN_COMMON_ENGINE_PUT_OUTCOME_H_
#define MERIDIAN_COMMON_ENGINE_PUT_OUTCOME_H_

#include <cstdint>

namespace meridian {

enum class PutOutcome : uint8_t {
  kStored,
  kStale,      // The same or a newer version is there; nothing changed.
  kOvertaken,  // Fill only: written, erased or dropped since BeginFill; nothing changed.
  kTooLarge,   // Larger than a shard; an older version of the key, if any, was removed.
  kExpired,    // entry.expires_at <= now; as kTooLarge.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_PUT_OUTCOME_H_
