// What L1 holds under a key, and how a key is named to it.

#ifndef MERIDIAN_COMMON_ENGINE_ENTRY_H_
#define MERIDIAN_COMMON_ENGINE_ENTRY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "common/base/buffer.h"
#include "common/base/version.h"
#include "common/engine/pool.h"

namespace meridian {

// How the bytes of a value are stored. The numbers are those of cache.v1.Encoding and of records.
enum class Encoding : uint8_t { kIdentity = 1, kZlib = 2 };

// A namespace as the engine knows it: small, dense, from 1, given by Engine::InternNamespace.
using NamespaceId = uint16_t;

// A key with everything that was computed from it, so that it is hashed once a request.
struct EntryKey {
  NamespaceId name_space = 0;  // 0 is no namespace.
  uint32_t slot = 0;           // SlotOf(namespace, key). REQUIRES: < kSlotCount.
  uint64_t hash = 0;           // Engine::HashOf(namespace, key).
  std::string_view key = {};   // Not owned.
};

// A live value. Cheap to copy: the bytes are shared.
struct Entry {
  Buffer value = {};
  Version version = {};
  // What fences are compared with, where that is older than the version; 0: the version's clock. A
  // touched value is as old as the write that made it, and one that depends on others as the look
  // at those.
  uint64_t written = 0;
  uint64_t written_hlc() const { return written != 0 ? written : version.hlc; }
  absl::Duration expires_at =
      {};                 // On the monotonic clock that the engine's callers pass as `now`.
  uint32_t raw_size = 0;  // Bytes when inflated; value.size() for kIdentity.
  Encoding encoding = Encoding::kIdentity;
  Buffer tags = {};           // Encoded by EncodeTags (tag_list.h); empty: none.
  PoolId pool = kSharedPool;  // An id that was never configured means the shared pool.
  // The logarithm to the base 2 of what an entry is worth beside others of its size and use, from
  // its priority and its cost: kMinWeight to kMaxWeight. Policies may regard it.
  int8_t weight = 0;
  // Out: how often this version was asked for while it was here, up to kMaxEntryHits. In: not
  // looked at.
  uint8_t hits = 0;
  // In, of a fill: who warms, given by Engine::InternWarmSource; 0: somebody asked for it. Out: not
  // set.
  uint8_t warm_source = 0;
  // Charged as if they were bytes of the value: for simulations and ghosts, which store no values.
  uint32_t phantom_bytes = 0;
};

inline constexpr int8_t kMinWeight = -3;
inline constexpr int8_t kMaxWeight = 3;
inline constexpr uint8_t kMaxEntryHits = 63;

// A key that L1 holds, as a walk finds it.
struct ResidentKey {
  NamespaceId name_space = 0;
  uint32_t slot = 0;
  std::string key;
};

// What Engine::Adjust changes; what is not set stays.
struct Adjustment {
  std::optional<absl::Duration> expires_at = std::nullopt;
  std::optional<PoolId> pool = std::nullopt;
};

// What an entry is charged.
enum class ChargeMode : uint8_t {
  kAll,         // What it takes.
  kValueBytes,  // Its value and phantom bytes alone: for comparison with published figures.
};

// Values and keys up to these sizes are copied into the entry's block; what is larger stays
// outside.
inline constexpr size_t kMaxInlineValue = 1023;
inline constexpr size_t kMaxInlineKey = 511;

// Expiries are kept in whole units of this, rounded down.
inline constexpr int64_t kExpiryUnitNs = 100'000;
inline constexpr absl::Duration kExpiryUnit = absl::Nanoseconds(kExpiryUnitNs);

// What an entry takes beyond the bytes of its key and value: 44 of node, 4 of hash bucket, 8 to 12
// of what its policy knows, and on the average 4 that are lost by rounding and 2 of pages. What the
// default policy remembers of entries that left, 8 more when L1 is full, is not charged.
inline constexpr size_t kEntryOverheadBytes = 64;

// As above, for entries that have tags, phantom bytes, a raw_size that is not the size of the
// value, a touched value, or a value above kMaxInlineValue: 48 in the block, and what malloc adds
// to the bytes outside.
inline constexpr size_t kExtraOverheadBytes = 72;

// True when `entry` is charged kExtraOverheadBytes too.
inline bool NeedsExtra(const Entry& entry) {
  return !entry.tags.empty() || entry.raw_size != entry.value.size() || entry.phantom_bytes != 0 ||
         entry.written != 0 || entry.value.size() > kMaxInlineValue;
}

// The bytes that the engine charges for `entry` under a key of `key_size` bytes.
inline size_t EntryCharge(size_t key_size, const Entry& entry, ChargeMode mode = ChargeMode::kAll) {
  const size_t value = entry.value.size() + entry.phantom_bytes;
  if (mode == ChargeMode::kValueBytes) return value;
  return kEntryOverheadBytes + key_size + value +
         (NeedsExtra(entry) ? kExtraOverheadBytes + entry.tags.size() : 0);
}

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ENTRY_H_
