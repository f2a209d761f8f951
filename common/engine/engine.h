// Engine is L1: a sharded in-memory cache bounded by bytes and by entries.
//
// It does no I/O, has no threads and reads no clock: `now` is a parameter, a monotonic time.
//
// Promise: an expired entry is invisible at once; bytes() never exceeds the capacity when no call
//   runs; of two versions of a key the newer one stays, in whatever order they come while it is
//   resident; a fill (FillToken) never puts a value in that a write or an erase has overtaken
//   meanwhile. A fill may be refused without need, when a key that shares its counter was written.
// Cost: Get is one lock of one shard out of 2^k, one hash lookup, one reference count, and no
//   allocation. Every byte of an entry is charged: key, value, tags, and kEntryOverheadBytes. No
//   call is O(entries) but Clear; the table grows by one bucket at a time.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_ENGINE_ENGINE_H_
#define MERIDIAN_COMMON_ENGINE_ENGINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/engine/engine_stats.h"
#include "common/engine/entry.h"
#include "common/engine/fill_token.h"
#include "common/engine/namespace_table.h"
#include "common/engine/put_outcome.h"
#include "common/engine/slot_generations.h"

namespace meridian {

class Shard;

struct EngineOptions {
  size_t capacity_bytes = size_t{256} << 20;
  size_t capacity_entries = 0;  // 0: bounded by bytes only. Else at least one a shard.
  int shard_bits = 5;           // 2^shard_bits shards, 0..10. Small capacities want few shards.
  std::string policy = "lru";   // See CreateEvictionPolicy.
  uint64_t hash_seed = 0;       // Random in servers, so that nobody can aim at one shard.

  // Returns kInvalidArgument naming the field, the value and the rule.
  absl::Status Validate() const;
};

class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Create(EngineOptions options);
  ~Engine();

  // The id of a namespace, new or known; nullopt when it is new and there are kMaxNamespaces
  // already (callers answer RESOURCE_EXHAUSTED, TOO_MANY_NAMESPACES). Ids start at 1 and are never
  // taken back. Lock-free when known.
  static constexpr size_t kMaxNamespaces = 1000;
  std::optional<NamespaceId> InternNamespace(std::string_view name_space);

  // The hash that EntryKey wants.
  uint64_t HashOf(NamespaceId name_space, std::string_view key) const;

  // Copies the live entry to `*entry` and counts a hit; or returns false and counts a miss.
  bool Get(const EntryKey& key, absl::Duration now, Entry* entry);

  // As Get, but changes neither recency nor statistics. For explain and for tests.
  bool Peek(const EntryKey& key, absl::Duration now, Entry* entry) const;

  // Stores an entry that the regional store has accepted (or that needs none), unless the same or a
  // newer version is there. Voids the fills of this key that are under way.
  PutOutcome Put(const EntryKey& key, Entry entry, absl::Duration now);

  // As Put, for a write that waited for the lower tier's answer: BeginFill before it was sent. When
  // something overtook it meanwhile, perhaps a newer write elsewhere that was dropped here and left no
  // trace, nothing is stored and what is older is removed: kOvertaken.
  PutOutcome PutWritten(const EntryKey& key, Entry entry, absl::Duration now, FillToken token);

  // A fill copies a value from a lower tier: BeginFill before reading there, PutFill after.
  FillToken BeginFill(const EntryKey& key) const;
  PutOutcome PutFill(const EntryKey& key, Entry entry, absl::Duration now, FillToken token);

  // Removes the entry if its version is older than `version` or equal to it (an invalidation,
  // or a newer version elsewhere). Returns true when it removed one. Voids the fills of this key
  // that are under way, also when the key is absent.
  bool Erase(const EntryKey& key, Version version);

  // True when the key is absent or older than `version`: what a changelog entry asks before Erase.
  bool IsBehind(const EntryKey& key, Version version) const;
  // The same by its former name.

  // Makes every entry of a slot invisible, in O(1), and voids its fills; memory comes back as
  // Advance and eviction reach the entries. For slots that changed their owner, and for gaps.
  // A dropped entry no longer keeps older versions of its key out.
  void DropSlot(uint32_t slot);

  // Removes everything and returns how many entries there were.
  size_t Clear();

  // Frees at most `limit` entries that expired or whose slot was dropped; returns how many. Looks
  // at O(limit) entries, so it may return less although more is left. Call it often (every 100 ms),
  // with the number of entries that may expire in that time. A `now` that goes back frees nothing.
  size_t Advance(absl::Duration now, size_t limit);

  // Sums over the shards, each locked in turn. Expired and dropped entries count until freed.
  size_t bytes() const;
  size_t entries() const;
  const EngineOptions& options() const { return options_; }

  // A snapshot by namespace; counters are exact once their callers have returned.
  std::vector<NamespaceEngineStats> Stats() const;

 private:
  explicit Engine(EngineOptions options);

  Shard& ShardOf(const EntryKey& key) const {
    // Two shifts: a shift by 64 is undefined.
    return *shards_[key.hash >> 1 >> (63 - options_.shard_bits)];
  }

  const EngineOptions options_;
  NamespaceTable namespaces_{kMaxNamespaces};
  SlotGenerations generations_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<size_t> next_advance_{0};  // The shard that Advance begins with.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ENGINE_H_
