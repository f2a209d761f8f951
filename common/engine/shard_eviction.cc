// How entries leave a Shard: evicted for room, expired, or dropped and fenced.

#include <algorithm>
#include <array>
#include <utility>

#include "common/engine/shard.h"
#include "common/engine/shard_removed.h"

namespace meridian {
namespace {

// What one lock hold of Advance frees and looks at, at most: readers do not wait for long.
constexpr size_t kAdvanceBatch = 64;
constexpr size_t kAdvanceLooks = 256;

// How often all entries are looked through for what fences have killed, at most: nobody sees those,
// and some services fence all the time.
constexpr int64_t kFenceWalkNs = 10'000'000'000;

}  // namespace

bool Shard::EvictUntilFits(const EntryNode* newcomer, Warming warming, Removed* removed) {
  bool stays = true;
  // Ends: demotions make no circle, so a node leaves after as many as there are pools at most.
  while (const std::optional<PoolId> over = pools_.Over()) {
    EvictionPolicy& policy = pools_.policy(*over);
    EntryNode& victim = policy.Victim();
    policy.OnEvict(victim);
    EngineCounters& counters = CountersOf(victim.name_space());
    if (const std::optional<PoolId> lower = pools_.demote_to(*over)) {
      ++counters.demotions;
      MoveTo(*lower, victim);
      continue;
    }
    const EvictionCause cause =
        &victim == newcomer ? EvictionCause::kAdmission : EvictionCause::kSize;
    ++counters.evictions[static_cast<size_t>(cause)];
    if (cause == EvictionCause::kAdmission) {
      stays = false;
    } else if (warming.source != 0) {
      Ledger().AddVictim(hasher_.Of(victim.name_space(), victim.key()), warming.source,
                         warming.now_ns);
    }
    UnlinkGone(&victim, MissCauseOf(cause), removed);
  }
  return stays;
}

void Shard::Compact(Removed* removed) {
  std::array<EntryNode*, BlockArena::kMaxBlocksPerPage> nodes;
  size_t count = 0;
  const bool found = arena_->TakeSparsePage([&](void* block) {
    EntryNode* node = static_cast<EntryNode*>(block);
    // What is in no wheel was removed, and only waits for its last reader.
    if (node->wheel_links.next != 0 && !node->is_shared()) nodes[count++] = node;
  });
  if (!found) return;
  for (size_t i = 0; i < count; ++i) {
    EntryNode* old = nodes[i];
    EntryNode* node = old->CopyToNewBlock(*arena_);
    if (node == nullptr) break;
    PolicyOf(*node).OnMove(*old, *node);
    table_.TakePlace(old, node);
    wheel_.TakePlace(*node);
    old->LeaveToCopy();
    removed->Push(old);
  }
  arena_->ReopenPage();
}

void Shard::MoveTo(PoolId pool, EntryNode& node) {
  const size_t charge = node.charge(charge_);
  pools_.Subtract(node.pool(), charge);
  node.set_pool(pool);
  node.policy_bits = 0;
  pools_.Add(pool, charge);
  PolicyOf(node).OnInsert(node);
}

void Shard::Evict(EntryNode* node, EvictionCause cause, Removed* removed) {
  ++CountersOf(node->name_space()).evictions[static_cast<size_t>(cause)];
  PolicyOf(*node).OnRemove(*node);
  UnlinkGone(node, MissCauseOf(cause), removed);
}

void Shard::UnlinkGone(EntryNode* node, MissCause cause, Removed* removed) {
  gone_.Put(hasher_.Of(node->name_space(), node->key()), cause);
  Unlink(node, removed);
}

void Shard::Unlink(EntryNode* node, Removed* removed) {
  if (node->is_marked()) EndMark(*node);
  const size_t charge = node->charge(charge_);
  pools_.Subtract(node->pool(), charge);
  EngineCounters& counters = CountersOf(node->name_space());
  --counters.entries;
  counters.bytes -= charge;
  wheel_.Remove(*node);
  table_.Remove(node);
  removed->Push(node);
}

PolicyLimits Shard::PolicyLimitsOf(PoolTable::Limits pool_limits) const {
  const auto bound = [](size_t cap, size_t total) {
    return cap == 0 ? total : total == 0 ? cap : std::min(cap, total);
  };
  return {bound(pool_limits.bytes, limits_.bytes), bound(pool_limits.entries, limits_.entries),
          charge_};
}

void Shard::SetPool(PoolId pool, PoolTable::Limits limits, std::optional<PoolId> demote_to,
                    bool same_policy, std::unique_ptr<EvictionPolicy> policy) {
  Removed removed;
  absl::MutexLock lock(&mu_);
  if (same_policy && pools_.policy(pool).Resize(PolicyLimitsOf(limits))) policy = nullptr;
  pools_.Configure(pool, pools_.StepTowards(pool, limits), demote_to, std::move(policy));
  EvictUntilFits(nullptr, {}, &removed);
}

bool Shard::ShrinkPool(PoolId pool, PoolTable::Limits limits) {
  Removed removed;
  absl::MutexLock lock(&mu_);
  if (pools_.limits(pool) == limits) return false;
  pools_.Configure(pool, pools_.StepTowards(pool, limits), pools_.demote_to(pool), nullptr);
  EvictUntilFits(nullptr, {}, &removed);
  return true;
}

size_t Shard::Clear() {
  Removed removed;
  absl::MutexLock lock(&mu_);
  for (uint32_t& writes : writes_) ++writes;
  watches_->AllChanged();
  const size_t count = table_.size();
  for (size_t i = 0; i < table_.bucket_count(); ++i) {
    while (EntryNode* node = table_.BucketHead(i)) Evict(node, EvictionCause::kFence, &removed);
  }
  return count;
}

void Shard::FreeAllDropped() {
  Removed removed;
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < table_.bucket_count(); ++i) {
    EntryNode* node = table_.BucketHead(i);
    while (node != nullptr) {
      EntryNode* next = EntryTable::NextOf(*node);
      if (!IsCurrent(*node)) Evict(node, EvictionCause::kFence, &removed);
      node = next;
    }
  }
}

size_t Shard::Advance(absl::Duration now, size_t limit, size_t* looks) {
  const int64_t now_ns = absl::ToInt64Nanoseconds(now);
  size_t freed = 0;
  while (*looks > 0 && freed < limit) {
    Removed removed;
    absl::MutexLock lock(&mu_);
    const size_t batch = std::min(limit - freed, kAdvanceBatch);
    const size_t batch_looks = std::min(*looks, kAdvanceLooks);
    size_t looks_left = batch_looks;
    size_t freed_now = FreeExpired(now_ns, batch, &looks_left, &removed);
    freed_now += FreeDropped(now_ns, batch - freed_now, &looks_left, &removed);
    freed += freed_now;
    *looks -= batch_looks - looks_left;
    if (freed_now < batch && looks_left > 0) break;  // Nothing is left to do.
  }
  return freed;
}

size_t Shard::FreeExpired(int64_t now_ns, size_t limit, size_t* looks, Removed* removed) {
  size_t freed = 0;
  for (; freed < limit; ++freed) {
    EntryNode* node = wheel_.NextExpired(now_ns, looks);
    if (node == nullptr) break;
    Evict(node, EvictionCause::kTtl, removed);
  }
  return freed;
}

size_t Shard::FreeDropped(int64_t now_ns, size_t limit, size_t* looks, Removed* removed) {
  if (!walking_) {
    const uint64_t drops = generations_.drops();
    const uint64_t fences = fences_.changes();
    const bool fenced = fences != fences_seen_ && now_ns >= next_fence_walk_ns_;
    if (drops == drops_seen_ && !fenced) return 0;
    drops_seen_ = drops;
    fences_seen_ = fences;
    next_fence_walk_ns_ = now_ns + kFenceWalkNs;
    walk_bucket_ = 0;
    walking_ = true;
  }
  size_t freed = 0;
  while (*looks > 0 && freed < limit) {
    if (walk_bucket_ >= table_.bucket_count()) {
      walking_ = false;
      break;
    }
    --*looks;
    EntryNode* node = table_.BucketHead(walk_bucket_);
    while (node != nullptr && freed < limit) {
      EntryNode* next = EntryTable::NextOf(*node);
      if (!IsCurrent(*node)) {
        Evict(node, EvictionCause::kFence, removed);
        ++freed;
      }
      node = next;
    }
    if (node == nullptr) ++walk_bucket_;
  }
  return freed;
}

}  // namespace meridian
