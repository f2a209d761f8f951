// Engine is L1: a sharded in-memory cache bounded by bytes and by entries.
//
// It does no I/O, has no threads and reads no clock: `now` is a parameter, a monotonic time.
//
// Promise: an expired entry is invisible at once; bytes() never exceeds the capacity when no call
//   runs; of two versions of a key the newer one stays, in whatever order they come while it is
//   resident; what a fence covers is invisible at once; a fill (FillToken) never puts a value in
//   that a write or an erase has overtaken meanwhile. A fill may be refused without need, when a
//   key that shares its counter was written, unless its own key is watched.
// Pools: a pool (SetPool) is a part of the entries with a budget and an eviction policy of its
//   own. Its budget is a cap inside the capacity; caps may add up to more than that. When a pool
//   is over its cap it gives way itself; when only the capacity is exceeded, the pool furthest
//   above its fair share does: its cap, as far as all caps fit together, or an equal part of what
//   the caps leave for pools without one. See PoolTable.
// Cost: Get is one lock of one shard out of 2^k, one hash lookup, one reference count, and no
//   allocation. Every byte of an entry is charged: key, value, tags, and kEntryOverheadBytes. No
//   call is O(entries) but Clear; the table grows by one bucket at a time.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_ENGINE_ENGINE_H_
#define MERIDIAN_COMMON_ENGINE_ENGINE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/block_arena.h"
#include "common/engine/engine_stats.h"
#include "common/engine/entry.h"
#include "common/engine/fence_table.h"
#include "common/engine/fill_token.h"
#include "common/engine/key_watch.h"
#include "common/engine/lookup.h"
#include "common/engine/namespace_table.h"
#include "common/engine/pool.h"
#include "common/engine/put_outcome.h"
#include "common/engine/slot_generations.h"
#include "common/engine/warm_ledger.h"

namespace meridian {

class Shard;

struct EngineOptions {
  size_t capacity_bytes = size_t{256} << 20;
  size_t capacity_entries = 0;  // 0: bounded by bytes only. Else at least one a shard.
  int shard_bits = 5;           // 2^shard_bits shards, 0..10. Small capacities want few shards.
  std::string policy = "lru";   // Of the shared pool. See CreateEvictionPolicy.
  uint64_t hash_seed = 0;       // Random in servers, so that nobody can aim at one shard.
  ChargeMode charge = ChargeMode::kAll;

  // For shards that are large enough for their policies to tell entries apart, and enough of them
  // for many cores: at least 1024 entries and 2 MiB each, at most 2^5.
  // Not more than four for each of the `threads` that run at once (0: not known, 1): the more keys
  // of a batch a shard has, the more can be fetched ahead.
  static int ShardBitsFor(size_t capacity_bytes, size_t capacity_entries, size_t threads);

  // Returns kInvalidArgument naming the field, the value and the rule.
  absl::Status Validate() const;
};

class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Create(EngineOptions options);
  ~Engine();

  // Creates the pool or changes it; what is over a smaller budget leaves, 64 entries each time that
  // a shard is locked, before this returns. kSharedPool may be changed too, but no pool changes its
  // shards. Another policy takes over all entries of a shard in one lock hold, about 1 us an entry,
  // in their order as far as it has one: that is for changes of the configuration. Returns
  // kInvalidArgument naming the field, the value and the rule: an unknown policy, an id or a
  // demote_to that was not set before, that would close a circle or that is in other shards.
  absl::Status SetPool(PoolId pool, const PoolOptions& options) ABSL_LOCKS_EXCLUDED(pools_mu_);

  // The shards for pools that demote to each other: as few as ShardBitsFor wants for the smallest,
  // so that a small budget is not cut into parts that are too small to be fair, but so many that
  // the pools fill no shard by more than half; where least is budgeted for others. All shards when
  // one of them has no bound. `shards` of the options is not looked at.
  ShardRange ChooseShards(std::span<const PoolOptions> pools) const ABSL_LOCKS_EXCLUDED(pools_mu_);

  // What a pool holds; all zero for one that was never set.
  PoolUse UseOf(PoolId pool) const;

  // The id of a namespace, new or known; nullopt when it is new and there are kMaxNamespaces
  // already (callers answer RESOURCE_EXHAUSTED, TOO_MANY_NAMESPACES). Ids start at 1 and are never
  // taken back. Lock-free when known.
  static constexpr size_t kMaxNamespaces = 1000;
  std::optional<NamespaceId> InternNamespace(std::string_view name_space);

  // Where the namespace's keys live: in all shards, unless it was placed. REQUIRES for
  // PlaceNamespace: no other call has named the namespace yet; the range is one of ChooseShards or
  // ShardsOf.
  void PlaceNamespace(NamespaceId name_space, ShardRange shards);
  ShardRange ShardsOf(NamespaceId name_space) const;
  ShardRange all_shards() const { return {0, static_cast<uint8_t>(options_.shard_bits)}; }

  // The hash that EntryKey wants.
  uint64_t HashOf(NamespaceId name_space, std::string_view key) const;

  // Copies the live entry to `*entry` and counts a hit; or returns false and counts a miss.
  bool Get(const EntryKey& key, absl::Duration now, Entry* entry);

  // As Get of each of the keys, at most kMaxBatch, in any order: each shard is locked once, and
  // what memory holds of its keys is fetched ahead (docs/benchmarks.md). `answers` has an element a
  // key. For more keys, call it again.
  static constexpr size_t kMaxBatch = 64;
  void GetBatch(std::span<const EntryKey> keys, absl::Duration now, Lookup* answers,
                LookKind kind = LookKind::kRequest);

  // As Get, but changes neither recency nor statistics. For explain and for tests.
  bool Peek(const EntryKey& key, absl::Duration now, Entry* entry) const;

  // A walk through all of L1, a piece at a time: appends the keys that are visible now and whose
  // slot is set in `slots` (of kSlotCount), and moves `*place`, which begins as {}; false when that
  // was the last piece. A key that is there all the time comes at least once. Changes neither
  // recency nor statistics. Cost: at most `limit` buckets, each of about one entry, of one shard
  // under its lock.
  struct WalkPlace {
    size_t shard = 0;
    size_t bucket = 0;
  };
  bool Walk(WalkPlace* place, size_t limit, const std::vector<bool>& slots, absl::Duration now,
            std::vector<ResidentKey>* keys) const;

  // The names of the namespaces; that of id n is at n - 1.
  std::vector<std::string> NamespaceNames() const { return namespaces_.Names(); }

  // Stores an entry that the regional store has accepted (or that needs none), unless the same or a
  // newer version is there. Voids the fills of this key that are under way.
  PutOutcome Put(const EntryKey& key, Entry entry, absl::Duration now);

  // As Put, for a write that waited for the lower tier's answer: BeginFill before it was sent. When
  // something overtook it meanwhile, perhaps a newer write elsewhere that was dropped here and left
  // no trace, nothing is stored and what is older is removed: kOvertaken.
  PutOutcome PutWritten(const EntryKey& key, Entry entry, absl::Duration now, FillToken token);

  // A fill copies a value from a lower tier: BeginFill before reading there, PutFill after. When
  // this version is there already and would end sooner, it lives as long as the entry now:
  // kRenewed. Who reads it below although it is here has renewed it.
  FillToken BeginFill(const EntryKey& key) const;
  PutOutcome PutFill(const EntryKey& key, Entry entry, absl::Duration now, FillToken token);

  // The watch ends with the object. Tokens of the key that are made meanwhile are exact.
  KeyWatch Watch(const EntryKey& key) const;

  // Changes the resident entry of exactly this version: a later or an earlier expiry, another pool.
  // False when there is none. Changes neither recency nor statistics, unless the entry moves: to a
  // pool it comes as a new entry, and may have to leave. An entry that has expired but is not freed
  // yet is still resident, and visible again with a later expiry.
  bool Adjust(const EntryKey& key, Version version, const Adjustment& adjustment);

  // Removes the entry if its version is older than `version` or equal to it (an invalidation,
  // or a newer version elsewhere). Returns true when it removed one. Voids the fills of this key
  // that are under way, also when the key is absent.
  bool Erase(const EntryKey& key, Version version);

  // True when the key is absent or older than `version`: what a changelog entry asks before Erase.
  bool IsBehind(const EntryKey& key, Version version) const;

  // The caller has kept a value out that a miss had found elsewhere: of the misses that follow,
  // that is the cause.
  void NoteRefused(const EntryKey& key);

  // Makes every entry of a slot invisible, and voids its fills; memory comes back as Advance and
  // eviction reach the entries. O(1), but for every 16th drop of one slot, which frees all dropped
  // entries itself: an entry keeps 5 bits of its generation, and must not live to see them again.
  // For slots that changed their owner, and for gaps. A dropped entry no longer keeps older
  // versions of its key out.
  void DropSlot(uint32_t slot) ABSL_LOCKS_EXCLUDED(drop_mu_);

  // No fill that has begun puts anything in: for changes that nobody will be told of.
  void VoidFills();

  // What was invalidated many keys at once. A fence makes the entries that it covers invisible, and
  // keeps later ones that it covers out (kOvertaken); memory comes back as for DropSlot, within
  // about 10 s of calls of Advance.
  FenceTable& fences() { return fences_; }
  const FenceTable& fences() const { return fences_; }

  // The id of a source of warming, for Entry::warm_source. There are kMaxWarmSources; those that
  // come later share the last one, "other". Lock-free when known.
  WarmSourceId InternWarmSource(std::string_view source);
  // What warming brought in since the start, sorted by source and namespace: see WarmLedger.
  struct Warmed {
    std::string source;
    std::string name_space;
    WarmedCounts counts;
  };
  std::vector<Warmed> WarmedStats() const;

  // Removes everything and returns how many entries there were.
  size_t Clear();

  // Frees at most `limit` entries that expired, were fenced or whose slot was dropped; returns how
  // many. Looks at O(limit) entries, so it may return less although more is left. Call it often
  // (every 100 ms), with the number of entries that may expire in that time. A `now` that goes back
  // frees nothing.
  size_t Advance(absl::Duration now, size_t limit);

  // Sums over the shards, each locked in turn. Expired and dropped entries count until freed.
  size_t bytes() const;
  size_t entries() const;
  const EngineOptions& options() const { return options_; }

  // What the blocks of the entries take, the pages that they share included; larger values and the
  // tables (4 bytes an entry) are not in it.
  BlockArena::Use BlockMemory() const;

  // A snapshot by namespace; counters are exact once their callers have returned.
  std::vector<NamespaceEngineStats> Stats() const;

 private:
  explicit Engine(EngineOptions options);

  Shard& ShardOf(const EntryKey& key) const {
    const ShardRange shards = ranges_[key.name_space].load(std::memory_order_relaxed);
    // Two shifts: a shift by 64 is undefined.
    return *shards_[shards.first + (key.hash >> 1 >> (63 - shards.bits))];
  }

  // Of all of L1, by the scarcer of its bounds.
  double ShareOf(const PoolOptions& pool) const;

  // That no entry could be demoted for ever, if `pool` demoted to there.
  absl::Status CheckDemotion(PoolId pool, const PoolOptions& options) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(pools_mu_);

  const EngineOptions options_;
  std::array<std::atomic<ShardRange>, 1024>
      ranges_;  // By NamespaceId, which nodes keep in 10 bits.
  NamespaceTable namespaces_{kMaxNamespaces};
  NamespaceTable warm_sources_{kMaxWarmSources - 1};
  SlotGenerations generations_;
  FenceTable fences_;
  absl::Mutex drop_mu_;  // So that no drop overtakes one that frees; before the shards' locks.
  std::vector<std::unique_ptr<Shard>> shards_;
  mutable absl::Mutex pools_mu_;  // Held while shards are told; before their locks.
  std::array<std::optional<PoolOptions>, kMaxPools> pools_ ABSL_GUARDED_BY(pools_mu_);
  std::atomic<size_t> next_advance_{0};  // The shard that Advance begins with.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ENGINE_H_
