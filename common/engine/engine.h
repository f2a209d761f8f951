// Engine is L1: a sharded in-memory cache bounded by bytes and by entries.
//
// It does no I/O, has no threads and reads no clock: `now` is a parameter, a monotonic time.
//
// Promise: an expired entry is invisible at once; bytes() never exceeds the capacity when no call
//   runs; of two versions of a key the newer one stays, in whatever order they come; a fill
//   (FillToken) never puts a value in that a write or an erase has overtaken meanwhile.
// Cost: Get is one lock of one shard out of 2^k, one hash lookup, one reference count, and no
//   allocation. Every byte of an entry is charged: key, value, tags, and kEntryOverheadBytes.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_ENGINE_ENGINE_H_
#define MERIDIAN_COMMON_ENGINE_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/engine/engine_stats.h"
#include "common/engine/entry.h"

namespace meridian {

struct EngineOptions {
  size_t capacity_bytes = size_t{256} << 20;
  size_t capacity_entries = 0;  // 0: bounded by bytes only.
  int shard_bits = 5;           // 2^shard_bits shards, 0..10. Small capacities want few shards.
  std::string policy = "lru";   // See CreateEvictionPolicy.
  uint64_t hash_seed = 0;       // Random in servers, so that nobody can aim at one shard.

  // Returns kInvalidArgument naming the field, the value and the rule.
  absl::Status Validate() const;
};

// Says what the key had seen when a fill began. See Engine::BeginFill.
using FillToken = uint32_t;

enum class PutOutcome {
  kStored,
  kStale,     // The same or a newer version is there; nothing changed.
  kOvertaken, // Fill only: written, erased or dropped since BeginFill; nothing changed.
  kTooLarge,  // Larger than a shard; an older version of the key, if any, was removed.
  kExpired,   // entry.expires_at <= now; as kTooLarge.
};

class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Create(EngineOptions options);
  ~Engine();

  // The id of a namespace, new or known. At most kMaxNamespaces; what comes after shares the id 0,
  // whose name in statistics is "other" (keys of such namespaces are still told apart by `key`:
  // the caller then prefixes the namespace).  Lock-free when known.
  static constexpr size_t kMaxNamespaces = 1000;
  NamespaceId InternNamespace(std::string_view name_space);

  // The hash that EntryKey wants.
  uint64_t HashOf(NamespaceId name_space, std::string_view key) const;

  // Copies the live entry to `*entry` and counts a hit; or returns false and counts a miss.
  bool Get(const EntryKey& key, absl::Duration now, Entry* entry);

  // As Get, but changes neither recency nor statistics. For explain and for tests.
  bool Peek(const EntryKey& key, absl::Duration now, Entry* entry) const;

  // Stores an entry that the regional store has accepted (or that needs none), unless the same or a
  // newer version is there. Voids the fills of this key that are under way.
  PutOutcome Put(const EntryKey& key, Entry entry, absl::Duration now);

  // A fill copies a value from a lower tier: BeginFill before reading there, PutFill after.
  FillToken BeginFill(const EntryKey& key) const;
  PutOutcome PutFill(const EntryKey& key, Entry entry, absl::Duration now, FillToken token);

  // Removes the entry if its version is older than `version` or equal to it (an invalidation,
  // or a newer version elsewhere); voids the fills under way. Returns true when it removed one.
  bool Erase(const EntryKey& key, Version version);

  // True when the key is absent or older than `version`: what a changelog entry asks before Erase.
  bool HasVersion(const EntryKey& key, Version version) const;

  // Makes every entry of a slot invisible, in O(1), and voids its fills; memory comes back as
  // Advance and eviction reach the entries. For slots that changed their owner, and for gaps.
  void DropSlot(uint32_t slot);

  // Removes everything and returns how many entries there were.
  size_t Clear();

  // Frees at most `limit` entries that expired or whose slot was dropped; returns how many.
  // Call it often (every 100 ms) with a small limit. REQUIRES: `now` does not go backwards.
  size_t Advance(absl::Duration now, size_t limit);

  size_t bytes() const;
  size_t entries() const;
  const EngineOptions& options() const { return options_; }

  // A snapshot by namespace; counters are exact once their callers have returned.
  std::vector<NamespaceEngineStats> Stats() const;

 private:
  class Shard;
  explicit Engine(EngineOptions options);

  const EngineOptions options_;
  // Further members: the shards, the namespace table, slot generations.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ENGINE_H_
