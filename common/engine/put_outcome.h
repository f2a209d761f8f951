// The ways to put an entry into the engine, and what became of it.

#ifndef MERIDIAN_COMMON_ENGINE_PUT_OUTCOME_H_
#define MERIDIAN_COMMON_ENGINE_PUT_OUTCOME_H_

#include <cstdint>

namespace meridian {

// Engine::Put, PutWritten, PutFill.
enum class PutKind : uint8_t { kPut, kWritten, kFill };

enum class PutOutcome : uint8_t {
  kStored,
  kStale,      // The same or a newer version is there; nothing changed.
  kRenewed,    // Of PutFill alone: the same version is there, and now lives as long as this one.
  kOvertaken,  // Not for Put: written, erased or dropped since BeginFill; nothing was stored.
  kTooLarge,   // Larger than a shard; an older version of the key, if any, was removed.
  kExpired,    // entry.expires_at <= now; as kTooLarge.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_PUT_OUTCOME_H_
