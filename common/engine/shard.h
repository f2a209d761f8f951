// Shard is one lock's worth of L1: a table, the pools' eviction policies and a TTL wheel that share
// one mutex. Engine owns 2^k of them and picks one by the key's hash.
//
// Invariants: a pool's use is the sum of the charges of its nodes; every node is in table_, in the
//   policy of its pool and in wheel_ exactly once; every pool and their sum are within the limits
//   whenever mu_ is free.
// Time: an expired entry is invisible at once and freed by Advance(); no thread of its own. Until
//   then it still keeps older versions of its key out.
// Cost: no malloc and no free under the lock, but for the table's growth by 4 KiB; an entry's
//   block comes from the shard's own arena, and small values are copied into it under the lock.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_ENGINE_SHARD_H_
#define MERIDIAN_COMMON_ENGINE_SHARD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/block_arena.h"
#include "common/engine/engine_stats.h"
#include "common/engine/entry.h"
#include "common/engine/entry_node.h"
#include "common/engine/entry_table.h"
#include "common/engine/eviction_policy.h"
#include "common/engine/fence_table.h"
#include "common/engine/fill_token.h"
#include "common/engine/gone_keys.h"
#include "common/engine/key_hasher.h"
#include "common/engine/key_watch.h"
#include "common/engine/lookup.h"
#include "common/engine/pool_table.h"
#include "common/engine/put_outcome.h"
#include "common/engine/slot_generations.h"
#include "common/engine/ttl_wheel.h"
#include "common/engine/warm_ledger.h"

namespace meridian {

class alignas(64) Shard {
 public:
  // `policy` is that of the shared pool. `generations` and `fences` are not owned and outlive this.
  Shard(PoolTable::Limits limits, ChargeMode charge, KeyHasher hasher,
        std::unique_ptr<EvictionPolicy> policy, const SlotGenerations& generations,
        const FenceTable& fences);
  ~Shard();

  // What a policy of a pool with these limits may hold.
  PolicyLimits PolicyLimitsOf(PoolTable::Limits pool_limits) const;
  // `policy` is used unless it is the same one as before and the old one can follow. A pool does
  // not get much smaller at once: call ShrinkPool with the same limits until it returns false.
  // Another policy takes all entries over at once.
  void SetPool(PoolId pool, PoolTable::Limits limits, std::optional<PoolId> demote_to,
               bool same_policy, std::unique_ptr<EvictionPolicy> policy) ABSL_LOCKS_EXCLUDED(mu_);
  bool ShrinkPool(PoolId pool, PoolTable::Limits limits) ABSL_LOCKS_EXCLUDED(mu_);
  PoolUse UseOf(PoolId pool) const ABSL_LOCKS_EXCLUDED(mu_);

  // These are the methods of Engine, for the keys of this shard.
  bool Get(const EntryKey& key, absl::Duration now, Entry* entry) ABSL_LOCKS_EXCLUDED(mu_);
  // Of those keys[i] whose indexes are given.
  void GetBatch(std::span<const EntryKey> keys, std::span<const uint8_t> indexes,
                absl::Duration now, Lookup* answers, LookKind kind) ABSL_LOCKS_EXCLUDED(mu_);
  bool Peek(const EntryKey& key, absl::Duration now, Entry* entry) const ABSL_LOCKS_EXCLUDED(mu_);
  // As Engine::Walk, from `bucket` on; returns the bucket to go on with, nullopt at the end.
  std::optional<size_t> Walk(size_t bucket, size_t limit, const std::vector<bool>& slots,
                             absl::Duration now, std::vector<ResidentKey>* keys) const
      ABSL_LOCKS_EXCLUDED(mu_);
  FillToken BeginFill(const EntryKey& key) const ABSL_LOCKS_EXCLUDED(mu_);
  KeyWatch Watch(const EntryKey& key) const { return {watches_, key.hash}; }
  // `token` is not looked at for kPut.
  PutOutcome Put(const EntryKey& key, Entry entry, absl::Duration now, PutKind kind,
                 FillToken token) ABSL_LOCKS_EXCLUDED(mu_);
  bool Adjust(const EntryKey& key, Version version, const Adjustment& adjustment)
      ABSL_LOCKS_EXCLUDED(mu_);
  bool Erase(const EntryKey& key, Version version) ABSL_LOCKS_EXCLUDED(mu_);
  bool IsBehind(const EntryKey& key, Version version) const ABSL_LOCKS_EXCLUDED(mu_);
  void NoteRefused(const EntryKey& key) ABSL_LOCKS_EXCLUDED(mu_);
  size_t Clear() ABSL_LOCKS_EXCLUDED(mu_);
  void VoidFills() ABSL_LOCKS_EXCLUDED(mu_);
  // Also stops when `*looks`, the number of entries and buckets it may look at, is used up.
  size_t Advance(absl::Duration now, size_t limit, size_t* looks) ABSL_LOCKS_EXCLUDED(mu_);

  size_t bytes() const ABSL_LOCKS_EXCLUDED(mu_);
  size_t entries() const ABSL_LOCKS_EXCLUDED(mu_);

  // Frees every entry whose slot was dropped, and what is fenced.
  void FreeAllDropped() ABSL_LOCKS_EXCLUDED(mu_);

  // What the blocks of the entries take.
  BlockArena::Use memory() const { return arena_->use(); }

  // Adds the counters of namespace n to (*counters)[n - 1], which is there for every namespace.
  void AddCounters(std::vector<EngineCounters>* counters) const ABSL_LOCKS_EXCLUDED(mu_);
  // The same of what warming brought.
  void AddWarmed(WarmLedger::Books* books) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Removed;  // shard_removed.h
  static constexpr size_t kFillCounters = 256;

  bool IsOfGeneration(const EntryNode& node) const {
    return node.generation() == generations_.Of(node.slot()) % EntryNode::kGenerations;
  }
  bool IsCurrent(const EntryNode& node) const {
    return IsOfGeneration(node) &&
           !fences_.Covers(node.name_space(), node.key(), node.tags(), node.written_hlc());
  }
  bool GetLocked(const EntryKey& key, absl::Duration now, Entry* entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  EntryNode* FindVisible(const EntryKey& key, absl::Duration now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FillToken TokenOf(const EntryKey& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether something has overtaken what is put with the token.
  bool IsVoid(const EntryKey& key, PutKind kind, FillToken token, Version version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void VoidFillsOf(const EntryKey& key, Version version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether `version` may take the place of what is there; removes that if so. A live entry hands
  // its place in the policy to `successor`, when there is one, and `*placed` becomes true.
  bool MakeWay(const EntryKey& key, Version version, int64_t now_ns, EntryNode* successor,
               bool* placed, Removed* removed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // For whom room is made, when that is warming.
  struct Warming {
    WarmSourceId source = 0;
    int64_t now_ns = 0;
  };
  // A fill found a newer version, or this one, that lives on: as long as the fill's entry from now
  // on, if that is longer.
  PutOutcome Renew(const EntryKey& key, Version version, absl::Duration expires_at, Warming warming)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetExpiry(EntryNode& node, absl::Duration at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // `placed`: the policy knows the node already. False: it was not admitted.
  bool Insert(EntryNode* node, bool placed, Warming warming, Removed* removed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // `newcomer` was just added; it may be nullptr. False: it had to leave again.
  bool EvictUntilFits(const EntryNode* newcomer, Warming warming, Removed* removed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  WarmLedger& Ledger() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What warming has brought, or loaded anew: `due_ns` as for WarmLedger::Mark.
  void Mark(EntryNode& node, const EntryKey& key, Warming warming, int64_t due_ns)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A marked node is hit.
  void UseMark(EntryNode& node, const EntryKey& key, absl::Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A marked node leaves, or is loaded anew.
  void EndMark(EntryNode& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CountMiss(const EntryKey& key, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Moves the entries of a sparse page to others, when there is one.
  void Compact(Removed* removed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Of a node that its pool's policy knows no more.
  void MoveTo(PoolId pool, EntryNode& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  EvictionPolicy& PolicyOf(const EntryNode& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return pools_.policy(node.pool());
  }
  void Evict(EntryNode* node, EvictionCause cause, Removed* removed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes a node, of which the policy knows no more, out of everything else.
  void Unlink(EntryNode* node, Removed* removed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The same of one whose key is not there any more then.
  void UnlinkGone(EntryNode* node, MissCause cause, Removed* removed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t FreeExpired(int64_t now_ns, size_t limit, size_t* looks, Removed* removed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t FreeDropped(int64_t now_ns, size_t limit, size_t* looks, Removed* removed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  EngineCounters& CountersOf(NamespaceId name_space) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const PoolTable::Limits limits_;
  const ChargeMode charge_;
  const KeyHasher hasher_;
  const SlotGenerations& generations_;
  const FenceTable& fences_;

  const BlockArena::Owner arena_ = BlockArena::Create();
  const std::shared_ptr<WatchTable> watches_ = std::make_shared<WatchTable>();

  mutable absl::Mutex mu_;
  EntryTable table_ ABSL_GUARDED_BY(mu_);
  PoolTable pools_ ABSL_GUARDED_BY(mu_);
  TtlWheel wheel_ ABSL_GUARDED_BY(mu_);
  std::vector<EngineCounters> namespaces_ ABSL_GUARDED_BY(mu_);  // By NamespaceId; grows on use.
  std::unique_ptr<WarmLedger> warmed_ ABSL_GUARDED_BY(mu_);      // nullptr: nothing was warmed.
  GoneKeys gone_ ABSL_GUARDED_BY(mu_);
  // How many writes there were of the keys that share a counter: a fill that began before is void.
  std::array<uint32_t, kFillCounters> writes_ ABSL_GUARDED_BY(mu_) = {};
  // The walk through the table that frees entries that were dropped or fenced.
  uint64_t drops_seen_ ABSL_GUARDED_BY(mu_) = 0;   // generations_.drops() when the walk began.
  uint64_t fences_seen_ ABSL_GUARDED_BY(mu_) = 0;  // The same of fences_.changes().
  int64_t next_fence_walk_ns_ ABSL_GUARDED_BY(mu_) = 0;  // Not before, for fences alone.
  size_t walk_bucket_ ABSL_GUARDED_BY(mu_) = 0;
  bool walking_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_SHARD_H_
