#include "common/engine/shard.h"

#include <algorithm>
#include <utility>

namespace meridian {
namespace {

// What one lock hold of Advance frees and looks at, at most: readers do not wait for long.
constexpr size_t kAdvanceBatch = 64;
constexpr size_t kAdvanceLooks = 256;

// How often all entries are looked through for what fences have killed, at most: nobody sees those,
// and some services fence all the time.
constexpr int64_t kFenceWalkNs = 10'000'000'000;

// What warming brought and nobody has asked for is followed up to so many entries of a shard.
constexpr size_t kBytesAMark = 128;
constexpr size_t kLeastMarks = 64;
constexpr size_t kMostMarks = 16384;
constexpr size_t kVictims = 2048;  // That it drove out.

// Two looks at one record tell its expiry apart by no more than this: by two clocks.
constexpr int64_t kSameExpiryNs = 10'000'000;

int64_t Nanos(absl::Duration time) { return absl::ToInt64Nanoseconds(time); }

}  // namespace

class Shard::Removed {
 public:
  Removed() = default;
  Removed(const Removed&) = delete;
  Removed& operator=(const Removed&) = delete;
  ~Removed() {
    while (first_ != 0) {
      EntryNode* node = EntryNode::At(first_);
      first_ = node->chain;
      EntryNode::Destroy(node);
    }
  }
  void Push(EntryNode* node) { node->chain = std::exchange(first_, node->handle()); }

 private:
  NodeHandle first_ = 0;
};

Shard::Shard(PoolTable::Limits limits, ChargeMode charge, KeyHasher hasher,
             std::unique_ptr<EvictionPolicy> policy, const SlotGenerations& generations,
             const FenceTable& fences)
    : limits_(limits),
      charge_(charge),
      hasher_(hasher),
      generations_(generations),
      fences_(fences),
      table_(hasher),
      pools_(limits, std::move(policy)) {}

Shard::~Shard() { Clear(); }

EntryNode* Shard::FindVisible(const EntryKey& key, absl::Duration now) const {
  EntryNode* node = table_.Find(key);
  if (node == nullptr || node->expires_ns() <= Nanos(now) || !IsCurrent(*node)) return nullptr;
  return node;
}

EngineCounters& Shard::CountersOf(NamespaceId name_space) {
  if (name_space >= namespaces_.size()) namespaces_.resize(name_space + size_t{1});
  return namespaces_[name_space];
}

bool Shard::Get(const EntryKey& key, absl::Duration now, Entry* entry) {
  absl::MutexLock lock(&mu_);
  return GetLocked(key, now, entry);
}

void Shard::GetBatch(std::span<const EntryKey> keys, std::span<const uint8_t> indexes,
                     absl::Duration now, Lookup* answers, LookKind kind) {
  absl::MutexLock lock(&mu_);
  // The misses of the processor's caches overlap: first the buckets', then the nodes'.
  for (const uint8_t i : indexes) table_.Prefetch(keys[i].hash);
  for (const uint8_t i : indexes) table_.PrefetchHead(keys[i].hash);
  for (const uint8_t i : indexes) table_.PrefetchNext(keys[i]);
  for (const uint8_t i : indexes) {
    Lookup& answer = answers[i];
    if (kind == LookKind::kRequest) {
      answer.found = GetLocked(keys[i], now, &answer.entry);
    } else if (EntryNode* node = FindVisible(keys[i], now); node != nullptr) {
      answer.found = true;
      node->CopyTo(&answer.entry);
    } else {
      answer.found = false;
    }
    if (!answer.found) answer.token = TokenOf(keys[i]);
  }
}

bool Shard::GetLocked(const EntryKey& key, absl::Duration now, Entry* entry) {
  EntryNode* node = FindVisible(key, now);
  if (node == nullptr) {
    CountMiss(key, now);
    return false;
  }
  ++CountersOf(key.name_space).hits;
  if (node->is_marked()) UseMark(*node, key, now);
  node->CountHit();
  PolicyOf(*node).OnHit(*node);
  node->CopyTo(entry);
  return true;
}

void Shard::CountMiss(const EntryKey& key, absl::Duration now) {
  ++CountersOf(key.name_space).misses;
  if (warmed_ == nullptr || !warmed_->has_victims()) return;
  const WarmSourceId source = warmed_->TakeVictim(key.hash, Nanos(now));
  if (source != 0) ++warmed_->Of(key.name_space, source).displaced;
}

WarmLedger& Shard::Ledger() {
  if (warmed_ == nullptr) {
    const size_t marks = std::clamp(limits_.bytes / kBytesAMark, kLeastMarks, kMostMarks);
    warmed_ = std::make_unique<WarmLedger>(marks, kVictims);
  }
  return *warmed_;
}

void Shard::Mark(EntryNode& node, const EntryKey& key, Warming warming, int64_t due_ns) {
  ++Ledger().Of(key.name_space, warming.source).warmed;
  node.set_marked(Ledger().Mark(key.hash, warming.source, due_ns, warming.now_ns));
}

void Shard::UseMark(EntryNode& node, const EntryKey& key, absl::Duration now) {
  if (!warmed_->IsDue(key.hash, Nanos(now))) return;
  node.set_marked(false);
  const WarmSourceId source = warmed_->TakeMark(key.hash);
  if (source != 0) ++warmed_->Of(key.name_space, source).used;
}

void Shard::EndMark(EntryNode& node) {
  node.set_marked(false);
  const WarmSourceId source = warmed_->TakeMark(hasher_.Of(node.name_space(), node.key()));
  if (source != 0) ++warmed_->Of(node.name_space(), source).unused;
}

bool Shard::Peek(const EntryKey& key, absl::Duration now, Entry* entry) const {
  absl::MutexLock lock(&mu_);
  EntryNode* node = FindVisible(key, now);
  if (node == nullptr) return false;
  node->CopyTo(entry);
  return true;
}

std::optional<size_t> Shard::Walk(size_t bucket, size_t limit, const std::vector<bool>& slots,
                                  absl::Duration now, std::vector<ResidentKey>* keys) const {
  absl::MutexLock lock(&mu_);
  const size_t end = std::min(table_.bucket_count(), bucket + limit);
  for (; bucket < end; ++bucket) {
    for (const EntryNode* node = table_.BucketHead(bucket); node != nullptr;
         node = EntryTable::NextOf(*node)) {
      if (!slots[node->slot()] || node->expires_ns() <= Nanos(now) || !IsCurrent(*node)) continue;
      keys->push_back({node->name_space(), node->slot(), std::string(node->key())});
    }
  }
  return bucket < table_.bucket_count() ? std::optional<size_t>(bucket) : std::nullopt;
}

FillToken Shard::TokenOf(const EntryKey& key) const {
  return {writes_[(key.hash >> 32) % kFillCounters], generations_.Of(key.slot),
          watches_->ChangeOf(key.hash)};
}

bool Shard::IsVoid(const EntryKey& key, PutKind kind, FillToken token, Version version) const {
  if (kind == PutKind::kPut) return false;
  const FillToken now = TokenOf(key);
  if (token.generation != now.generation) return true;
  if (token.change == 0 || now.change == 0) return token.writes != now.writes;
  // An old change may come late, from a changelog; but a write may itself be what is late.
  return kind == PutKind::kFill ? watches_->IsVoid(key.hash, token.change, version)
                                : token.change != now.change;
}

void Shard::VoidFillsOf(const EntryKey& key, Version version) {
  ++writes_[(key.hash >> 32) % kFillCounters];
  watches_->Changed(key.hash, version);
}

void Shard::VoidFills() {
  absl::MutexLock lock(&mu_);
  for (uint32_t& writes : writes_) ++writes;
  watches_->AllChanged();
}

FillToken Shard::BeginFill(const EntryKey& key) const {
  absl::MutexLock lock(&mu_);
  return TokenOf(key);
}

PutOutcome Shard::Put(const EntryKey& key, Entry entry, absl::Duration now, PutKind kind,
                      FillToken token) {
  const Version version = entry.version;
  const absl::Duration expires_at = entry.expires_at;
  Warming warming{kind == PutKind::kFill ? entry.warm_source : WarmSourceId{0}, Nanos(now)};
  const bool expired = absl::Floor(entry.expires_at, kExpiryUnit) <= now;
  const size_t charge = EntryCharge(key.key.size(), entry, charge_);
  bool too_large = charge > limits_.bytes || key.key.size() > EntryNode::kMaxKeySize;
  EntryNode::Owner node;
  Removed removed;  // Freed after the lock is.
  bool grew = false;

  absl::MutexLock lock(&mu_);
  const bool overtaken =
      IsVoid(key, kind, token, version) ||
      fences_.Covers(key.name_space, key.key, entry.tags.view(), entry.written_hlc());
  if (kind != PutKind::kFill) VoidFillsOf(key, version);
  entry.pool = pools_.Resolve(entry.pool);
  too_large = too_large || charge > pools_.max_bytes(entry.pool);
  if (!expired && !too_large) {
    node = EntryNode::Create(*arena_, key, std::move(entry), &grew);
    too_large = node == nullptr;  // The process has no room for small blocks left.
  }
  if (overtaken) {
    if (kind != PutKind::kFill) MakeWay(key, version, Nanos(now), nullptr, nullptr, &removed);
    return PutOutcome::kOvertaken;
  }
  // What lives on by itself is a hit until it ends, whoever loads it anew before.
  const EntryNode* const live = warming.source != 0 ? FindVisible(key, now) : nullptr;
  const int64_t due_ns = live != nullptr ? live->expires_ns() : 0;
  bool placed = false;
  if (!MakeWay(key, version, Nanos(now), node.get(), &placed, &removed)) {
    return kind == PutKind::kFill ? Renew(key, version, expires_at, warming) : PutOutcome::kStale;
  }
  if (too_large || expired) return too_large ? PutOutcome::kTooLarge : PutOutcome::kExpired;
  EngineCounters& counters = CountersOf(key.name_space);
  ++(kind == PutKind::kFill ? counters.fills : counters.puts);
  EntryNode* const added = node.release();
  const bool stays = Insert(added, placed, warming, &removed);
  if (stays && warming.source != 0) Mark(*added, key, warming, due_ns);
  if (grew) Compact(&removed);
  return PutOutcome::kStored;
}

bool Shard::MakeWay(const EntryKey& key, Version version, int64_t now_ns, EntryNode* successor,
                    bool* placed, Removed* removed) {
  EntryNode* old = table_.Find(key);
  if (old == nullptr) return true;
  if (!IsCurrent(*old)) {
    // What a fence has killed still guards against what it had replaced.
    if (IsOfGeneration(*old) && old->version() > version) return false;
    Evict(old, EvictionCause::kFence, removed);
    return true;
  }
  // An expired entry still guards against older versions, but the same one may come back with a
  // later expiry: from a lower tier that keeps it longer.
  const bool expired = old->expires_ns() <= now_ns;
  if (old->version() > version || (old->version() == version && !expired)) return false;
  if (expired || successor == nullptr || successor->pool() != old->pool()) {
    Evict(old, expired ? EvictionCause::kTtl : EvictionCause::kReplaced, removed);
    return true;
  }
  ++CountersOf(old->name_space()).evictions[static_cast<size_t>(EvictionCause::kReplaced)];
  PolicyOf(*old).OnReplace(*old, *successor);
  *placed = true;
  Unlink(old, removed);
  return true;
}

PutOutcome Shard::Renew(const EntryKey& key, Version version, absl::Duration expires_at,
                        Warming warming) {
  EntryNode* const node = table_.Find(key);
  if (!IsCurrent(*node) || node->version() != version) return PutOutcome::kStale;
  const int64_t before_ns = node->expires_ns();
  const int64_t after_ns = Nanos(expires_at);
  const bool longer = after_ns > before_ns && after_ns - before_ns > kSameExpiryNs;
  if (longer) SetExpiry(*node, expires_at);
  if (longer && warming.source != 0) {
    if (node->is_marked()) EndMark(*node);
    Mark(*node, key, warming, before_ns);
  } else if (warming.source != 0) {
    // Loaded anew for nothing: it would have lived as long.
    WarmedCounts& counts = Ledger().Of(key.name_space, warming.source);
    ++counts.warmed;
    ++counts.unused;
  }
  return longer ? PutOutcome::kRenewed : PutOutcome::kStale;
}

void Shard::SetExpiry(EntryNode& node, absl::Duration at) {
  wheel_.Remove(node);
  node.set_expires_at(at);
  wheel_.Add(node);
}

bool Shard::Insert(EntryNode* node, bool placed, Warming warming, Removed* removed) {
  node->set_generation(generations_.Of(node->slot()));
  table_.Insert(node);
  if (!placed) PolicyOf(*node).OnInsert(*node);
  wheel_.Add(*node);
  const size_t charge = node->charge(charge_);
  pools_.Add(node->pool(), charge);
  EngineCounters& counters = CountersOf(node->name_space());
  ++counters.entries;
  counters.bytes += charge;
  return EvictUntilFits(node, warming, removed);
}

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
    Unlink(&victim, removed);
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

bool Shard::Erase(const EntryKey& key, Version version) {
  Removed removed;
  absl::MutexLock lock(&mu_);
  VoidFillsOf(key, version);
  EntryNode* node = table_.Find(key);
  if (node == nullptr) return false;
  if (!IsCurrent(*node)) {
    Evict(node, EvictionCause::kFence, &removed);
    return false;
  }
  if (node->version() > version) return false;
  ++CountersOf(key.name_space).erases;
  PolicyOf(*node).OnRemove(*node);
  Unlink(node, &removed);
  return true;
}

bool Shard::Adjust(const EntryKey& key, Version version, const Adjustment& adjustment) {
  Removed removed;
  absl::MutexLock lock(&mu_);
  EntryNode* node = table_.Find(key);
  if (node == nullptr || !IsCurrent(*node) || node->version() != version) return false;
  if (adjustment.expires_at.has_value()) SetExpiry(*node, *adjustment.expires_at);
  if (!adjustment.pool.has_value()) return true;
  const PoolId pool = pools_.Resolve(*adjustment.pool);
  if (pool == node->pool()) return true;
  PolicyOf(*node).OnRemove(*node);
  MoveTo(pool, *node);
  EvictUntilFits(node, {}, &removed);
  return true;
}

bool Shard::IsBehind(const EntryKey& key, Version version) const {
  absl::MutexLock lock(&mu_);
  const EntryNode* node = table_.Find(key);
  return node == nullptr || !IsCurrent(*node) || node->version() < version;
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

size_t Shard::Advance(absl::Duration now, size_t limit, size_t* looks) {
  size_t freed = 0;
  while (freed<limit&& * looks> 0) {
    Removed removed;
    absl::MutexLock lock(&mu_);
    const size_t batch = std::min(limit - freed, kAdvanceBatch);
    const size_t batch_looks = std::min(*looks, kAdvanceLooks);
    size_t looks_left = batch_looks;
    size_t freed_now = FreeExpired(Nanos(now), batch, &looks_left, &removed);
    freed_now += FreeDropped(Nanos(now), batch - freed_now, &looks_left, &removed);
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

size_t Shard::bytes() const {
  absl::MutexLock lock(&mu_);
  return pools_.used().bytes;
}

PoolUse Shard::UseOf(PoolId pool) const {
  absl::MutexLock lock(&mu_);
  return pools_.Resolve(pool) == pool ? pools_.use(pool) : PoolUse{};
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

size_t Shard::entries() const {
  absl::MutexLock lock(&mu_);
  return table_.size();
}

void Shard::AddWarmed(WarmLedger::Books* books) const {
  absl::MutexLock lock(&mu_);
  if (warmed_ != nullptr) warmed_->AddTo(books);
}

void Shard::AddCounters(std::vector<EngineCounters>* counters) const {
  absl::MutexLock lock(&mu_);
  for (size_t id = 1; id < namespaces_.size() && id <= counters->size(); ++id) {
    (*counters)[id - 1] += namespaces_[id];
  }
}

}  // namespace meridian
