#include "common/engine/shard.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "common/engine/shard_removed.h"

namespace meridian {
namespace {

// What warming brought and nobody has asked for is followed up to so many entries of a shard.
constexpr size_t kBytesAMark = 128;
constexpr size_t kLeastMarks = 64;
constexpr size_t kMostMarks = 16384;
constexpr size_t kVictims = 2048;  // That it drove out.

// Why an entry left is remembered of one for so many bytes of a shard.
constexpr size_t kBytesAGoneKey = 512;
constexpr size_t kLeastGoneKeys = 256;
constexpr size_t kMostGoneKeys = size_t{1} << 16;

// Two looks at one record tell its expiry apart by no more than this: by two clocks.
constexpr int64_t kSameExpiryNs = 10'000'000;

int64_t Nanos(absl::Duration time) { return absl::ToInt64Nanoseconds(time); }

// A load for nothing.
void CountVain(WarmedCounts* counts) {
  ++counts->warmed;
  ++counts->unused;
}

}  // namespace

Shard::Shard(PoolTable::Limits limits, ChargeMode charge, KeyHasher hasher,
             std::unique_ptr<EvictionPolicy> policy, const SlotGenerations& generations,
             const FenceTable& fences)
    : limits_(limits),
      charge_(charge),
      hasher_(hasher),
      generations_(generations),
      fences_(fences),
      table_(hasher),
      pools_(limits, std::move(policy)),
      gone_(std::clamp(std::bit_floor(limits.bytes / kBytesAGoneKey), kLeastGoneKeys,
                       kMostGoneKeys)) {}

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
  MissCause cause = gone_.Look(key.hash);
  if (const EntryNode* dead = table_.Find(key); dead != nullptr) {  // It is not freed yet.
    cause = IsCurrent(*dead) ? MissCause::kTtl : MissCause::kFence;
  }
  ++CountersOf(key.name_space).misses_by[static_cast<size_t>(cause)];
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
  if (warming.source != 0) {
    if (stays && due_ns != Nanos(absl::InfiniteDuration())) {
      Mark(*added, key, warming, due_ns);
    } else {  // There was no room for it, or what it replaced had no end: it lives no longer.
      CountVain(&Ledger().Of(key.name_space, warming.source));
    }
  }
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
    CountVain(&Ledger().Of(key.name_space, warming.source));  // It would have lived as long.
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
  UnlinkGone(node, MissCause::kErase, &removed);
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

void Shard::NoteRefused(const EntryKey& key) {
  absl::MutexLock lock(&mu_);
  gone_.Put(key.hash, MissCause::kAdmission);
}

size_t Shard::bytes() const {
  absl::MutexLock lock(&mu_);
  return pools_.used().bytes;
}

PoolUse Shard::UseOf(PoolId pool) const {
  absl::MutexLock lock(&mu_);
  return pools_.Resolve(pool) == pool ? pools_.use(pool) : PoolUse{};
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
