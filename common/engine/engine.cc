#include "common/engine/engine.h"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/engine/eviction_policy.h"
#include "common/engine/shard.h"

namespace meridian {
namespace {

constexpr int kMaxShardBits = 10;
// Entries and buckets that Advance may look at for each entry that it may free.
constexpr size_t kLooksPerFree = 4;

// The part of `total` that shard `index` of `count` gets; the parts add up to `total`.
size_t PartOf(size_t total, size_t index, size_t count) {
  return total / count + (index < total % count ? 1 : 0);
}

// The same of a pool's budget, of which no shard gets nothing: 0 would be no bound.
size_t BudgetOf(size_t total, size_t index, size_t count) {
  return total == 0 ? 0 : std::max<size_t>(PartOf(total, index, count), 1);
}

}  // namespace

int EngineOptions::ShardBitsFor(size_t capacity_bytes, size_t capacity_entries, size_t threads) {
  constexpr size_t kShardsOfAThread = 4;
  constexpr int kMostBits = 5;
  constexpr size_t kLeastBytes = size_t{2} << 20;
  constexpr size_t kLeastEntries = 1024;
  int bits = 0;
  while (bits < kMostBits && size_t{1} << bits < kShardsOfAThread * std::max<size_t>(threads, 1) &&
         capacity_bytes >> (bits + 1) >= kLeastBytes &&
         (capacity_entries == 0 || capacity_entries >> (bits + 1) >= kLeastEntries)) {
    ++bits;
  }
  return bits;
}

absl::Status EngineOptions::Validate() const {
  if (shard_bits < 0 || shard_bits > kMaxShardBits) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard_bits is ", shard_bits, ", must be 0 to ", kMaxShardBits));
  }
  const size_t shards = size_t{1} << shard_bits;
  if (capacity_bytes < shards) {
    return absl::InvalidArgumentError(absl::StrCat("capacity_bytes is ", capacity_bytes,
                                                   ", must be at least the ", shards, " shards"));
  }
  if (capacity_entries != 0 && capacity_entries < shards) {
    return absl::InvalidArgumentError(absl::StrCat("capacity_entries is ", capacity_entries,
                                                   ", must be 0 or at least the ", shards,
                                                   " shards"));
  }
  absl::Status known_policy = CreateEvictionPolicies(policy, {PolicyLimits{}}, {}, 0).status();
  if (!known_policy.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("policy: ", known_policy.message()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(EngineOptions options) {
  RETURN_IF_ERROR(options.Validate());
  std::unique_ptr<Engine> engine(new Engine(std::move(options)));
  const EngineOptions& checked = engine->options_;
  const size_t count = size_t{1} << checked.shard_bits;
  const KeyHasher hasher = {checked.hash_seed};
  std::vector<PoolTable::Limits> limits;
  std::vector<PolicyLimits> policy_limits;
  for (size_t i = 0; i < count; ++i) {
    limits.push_back({.bytes = PartOf(checked.capacity_bytes, i, count),
                      .entries = PartOf(checked.capacity_entries, i, count)});
    policy_limits.push_back({limits[i].bytes, limits[i].entries, checked.charge});
  }
  ASSIGN_OR_RETURN(
      std::vector<std::unique_ptr<EvictionPolicy>> policies,
      CreateEvictionPolicies(checked.policy, policy_limits, hasher, checked.hash_seed));
  for (size_t i = 0; i < count; ++i) {
    engine->shards_.push_back(std::make_unique<Shard>(limits[i], checked.charge, hasher,
                                                      std::move(policies[i]), engine->generations_,
                                                      engine->fences_));
  }
  return engine;
}

Engine::Engine(EngineOptions options) : options_(std::move(options)) {
  for (std::atomic<ShardRange>& range : ranges_) range = all_shards();
  pools_[kSharedPool] = PoolOptions{.policy = options_.policy, .shards = all_shards()};
}

Engine::~Engine() = default;

absl::Status Engine::SetPool(PoolId pool, const PoolOptions& options) {
  if (pool >= kMaxPools) {
    return absl::InvalidArgumentError(
        absl::StrCat("pool is ", pool, ", must be below ", kMaxPools));
  }
  PoolOptions wanted = options;
  if (!wanted.shards.has_value()) wanted.shards = all_shards();
  const ShardRange shards = *wanted.shards;
  const size_t count = shards.count();
  absl::MutexLock lock(&pools_mu_);
  if (pools_[pool] == wanted) return absl::OkStatus();
  if (shards.first + count > shards_.size() || shards.first % count != 0 ||
      (pools_[pool].has_value() && pools_[pool]->shards != shards)) {
    return absl::InvalidArgumentError(absl::StrCat("shards are ", count, " from ", shards.first,
                                                   pools_[pool].has_value()
                                                       ? ", must be those that the pool has"
                                                       : ", must be a range of ChooseShards"));
  }
  RETURN_IF_ERROR(CheckDemotion(pool, wanted));
  const bool same_policy = pools_[pool].has_value() && pools_[pool]->policy == wanted.policy;
  std::vector<PoolTable::Limits> limits;
  std::vector<PolicyLimits> policy_limits;
  for (size_t i = 0; i < count; ++i) {
    limits.push_back(
        {BudgetOf(wanted.max_bytes, i, count), BudgetOf(wanted.max_entries, i, count)});
    policy_limits.push_back(shards_[shards.first + i]->PolicyLimitsOf(limits[i]));
  }
  ASSIGN_OR_RETURN(std::vector<std::unique_ptr<EvictionPolicy>> policies,
                   CreateEvictionPolicies(wanted.policy, policy_limits, {options_.hash_seed},
                                          options_.hash_seed + count * pool));
  for (size_t i = 0; i < count; ++i) {
    shards_[shards.first + i]->SetPool(pool, limits[i], wanted.demote_to, same_policy,
                                       std::move(policies[i]));
  }
  // The shards in turn, so that nobody waits for the same lock for long.
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < count; ++i) {
      more |= shards_[shards.first + i]->ShrinkPool(pool, limits[i]);
    }
  }
  pools_[pool] = std::move(wanted);
  return absl::OkStatus();
}

double Engine::ShareOf(const PoolOptions& pool) const {
  const auto share = [](size_t bound, size_t capacity) {
    return bound == 0 || capacity == 0
               ? 0.0
               : static_cast<double>(std::min(bound, capacity)) / static_cast<double>(capacity);
  };
  return std::max(share(pool.max_bytes, options_.capacity_bytes),
                  share(pool.max_entries, options_.capacity_entries));
}

ShardRange Engine::ChooseShards(std::span<const PoolOptions> pools) const {
  const int most_bits = options_.shard_bits;
  int bits = most_bits;
  double share = 0;
  for (const PoolOptions& pool : pools) {
    if (pool.max_bytes == 0 && pool.max_entries == 0) return all_shards();
    share += ShareOf(pool);
    bits = std::min(bits, EngineOptions::ShardBitsFor(
                              pool.max_bytes == 0 ? options_.capacity_bytes : pool.max_bytes,
                              pool.max_entries == 0 ? options_.capacity_entries : pool.max_entries,
                              shards_.size()));
  }
  const auto all = static_cast<double>(shards_.size());
  while (bits < most_bits && share * all / static_cast<double>(size_t{1} << bits) > 0.5) ++bits;
  std::vector<double> budgeted(shards_.size());  // Shares of each shard.
  {
    absl::MutexLock lock(&pools_mu_);
    for (const std::optional<PoolOptions>& pool : pools_) {
      if (!pool.has_value()) continue;
      const ShardRange shards = *pool->shards;
      const double part = ShareOf(*pool) * all / static_cast<double>(shards.count());
      for (size_t i = 0; i < shards.count(); ++i) budgeted[shards.first + i] += part;
    }
  }
  ShardRange best;
  double least = std::numeric_limits<double>::infinity();
  const size_t count = size_t{1} << bits;
  for (size_t first = 0; first < shards_.size(); first += count) {
    const auto begin = budgeted.begin() + static_cast<std::ptrdiff_t>(first);
    const double most = *std::max_element(begin, begin + static_cast<std::ptrdiff_t>(count));
    if (most >= least) continue;
    least = most;
    best = {static_cast<uint16_t>(first), static_cast<uint8_t>(bits)};
  }
  return best;
}

void Engine::PlaceNamespace(NamespaceId name_space, ShardRange shards) {
  ranges_[name_space].store(shards, std::memory_order_relaxed);
}

ShardRange Engine::ShardsOf(NamespaceId name_space) const {
  return ranges_[name_space].load(std::memory_order_relaxed);
}

absl::Status Engine::CheckDemotion(PoolId pool, const PoolOptions& options) const {
  const std::optional<PoolId> demote_to = options.demote_to;
  if (!demote_to.has_value()) return absl::OkStatus();
  if (*demote_to >= kMaxPools) {
    return absl::InvalidArgumentError(
        absl::StrCat("demote_to is ", *demote_to, ", must be below ", kMaxPools));
  }
  if (!pools_[*demote_to].has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("demote_to is ", *demote_to, ", must be a pool that was set before"));
  }
  if (pools_[*demote_to]->shards != options.shards) {
    return absl::InvalidArgumentError(
        absl::StrCat("demote_to is ", *demote_to, ", must be a pool in the same shards"));
  }
  for (std::optional<PoolId> next = demote_to; next.has_value();) {
    if (*next == pool) {
      return absl::InvalidArgumentError(absl::StrCat(
          "demote_to is ", *demote_to, ", which leads back to pool ", pool, ": entries must end"));
    }
    next = pools_[*next].has_value() ? pools_[*next]->demote_to : std::nullopt;
  }
  return absl::OkStatus();
}

PoolUse Engine::UseOf(PoolId pool) const {
  PoolUse sum;
  for (const auto& shard : shards_) {
    const PoolUse use = shard->UseOf(pool);
    sum.bytes += use.bytes;
    sum.entries += use.entries;
  }
  return sum;
}

std::optional<NamespaceId> Engine::InternNamespace(std::string_view name_space) {
  return namespaces_.Intern(name_space);
}

uint64_t Engine::HashOf(NamespaceId name_space, std::string_view key) const {
  return KeyHasher{options_.hash_seed}.Of(name_space, key);
}

bool Engine::Get(const EntryKey& key, absl::Duration now, Entry* entry) {
  return ShardOf(key).Get(key, now, entry);
}

void Engine::GetBatch(std::span<const EntryKey> keys, absl::Duration now, Lookup* answers,
                      LookKind kind) {
  std::array<Shard*, kMaxBatch> shards;
  std::array<uint8_t, kMaxBatch> of_shard;
  for (size_t i = 0; i < keys.size(); ++i) shards[i] = &ShardOf(keys[i]);
  for (size_t first = 0; first < keys.size(); ++first) {
    Shard* const shard = shards[first];
    if (shard == nullptr) continue;  // Done with an earlier key.
    size_t count = 0;
    for (size_t i = first; i < keys.size(); ++i) {
      if (shards[i] != shard) continue;
      of_shard[count++] = static_cast<uint8_t>(i);
      shards[i] = nullptr;
    }
    shard->GetBatch(keys, {of_shard.data(), count}, now, answers, kind);
  }
}

bool Engine::Peek(const EntryKey& key, absl::Duration now, Entry* entry) const {
  return ShardOf(key).Peek(key, now, entry);
}

PutOutcome Engine::Put(const EntryKey& key, Entry entry, absl::Duration now) {
  return ShardOf(key).Put(key, std::move(entry), now, PutKind::kPut, FillToken());
}

PutOutcome Engine::PutWritten(const EntryKey& key, Entry entry, absl::Duration now,
                              FillToken token) {
  return ShardOf(key).Put(key, std::move(entry), now, PutKind::kWritten, token);
}

FillToken Engine::BeginFill(const EntryKey& key) const { return ShardOf(key).BeginFill(key); }

PutOutcome Engine::PutFill(const EntryKey& key, Entry entry, absl::Duration now, FillToken token) {
  return ShardOf(key).Put(key, std::move(entry), now, PutKind::kFill, token);
}

KeyWatch Engine::Watch(const EntryKey& key) const { return ShardOf(key).Watch(key); }

bool Engine::Adjust(const EntryKey& key, Version version, const Adjustment& adjustment) {
  return ShardOf(key).Adjust(key, version, adjustment);
}

bool Engine::Erase(const EntryKey& key, Version version) {
  return ShardOf(key).Erase(key, version);
}

bool Engine::IsBehind(const EntryKey& key, Version version) const {
  return ShardOf(key).IsBehind(key, version);
}

void Engine::NoteRefused(const EntryKey& key) { ShardOf(key).NoteRefused(key); }

void Engine::DropSlot(uint32_t slot) {
  absl::MutexLock lock(&drop_mu_);
  if (generations_.Drop(slot) % (EntryNode::kGenerations / 2) != 0) return;
  for (const auto& shard : shards_) shard->FreeAllDropped();
}

void Engine::VoidFills() {
  for (const auto& shard : shards_) shard->VoidFills();
}

size_t Engine::Clear() {
  size_t cleared = 0;
  for (const auto& shard : shards_) cleared += shard->Clear();
  return cleared;
}

bool Engine::Walk(WalkPlace* place, size_t limit, const std::vector<bool>& slots,
                  absl::Duration now, std::vector<ResidentKey>* keys) const {
  const std::optional<size_t> next =
      shards_[place->shard]->Walk(place->bucket, limit, slots, now, keys);
  place->bucket = next.value_or(0);
  if (!next) ++place->shard;
  return place->shard < shards_.size();
}

size_t Engine::Advance(absl::Duration now, size_t limit) {
  size_t looks = limit * kLooksPerFree;
  size_t freed = 0;
  // Where the last call stopped for want of looks, so that every shard has its turn.
  const size_t first = next_advance_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < shards_.size(); ++i) {
    const size_t index = (first + i) % shards_.size();
    if (freed >= limit || looks == 0) {
      next_advance_.store(index, std::memory_order_relaxed);
      break;
    }
    freed += shards_[index]->Advance(now, limit - freed, &looks);
  }
  return freed;
}

size_t Engine::bytes() const {
  size_t bytes = 0;
  for (const auto& shard : shards_) bytes += shard->bytes();
  return bytes;
}

BlockArena::Use Engine::BlockMemory() const {
  BlockArena::Use sum;
  for (const auto& shard : shards_) {
    const BlockArena::Use use = shard->memory();
    sum.page_bytes += use.page_bytes;
    sum.block_bytes += use.block_bytes;
  }
  return sum;
}

size_t Engine::entries() const {
  size_t entries = 0;
  for (const auto& shard : shards_) entries += shard->entries();
  return entries;
}

WarmSourceId Engine::InternWarmSource(std::string_view source) {
  return static_cast<WarmSourceId>(warm_sources_.Intern(source).value_or(kMaxWarmSources));
}

std::vector<Engine::Warmed> Engine::WarmedStats() const {
  WarmLedger::Books books;
  for (const auto& shard : shards_) shard->AddWarmed(&books);
  // Afterwards, so that whatever was counted has a name.
  const std::vector<std::string> names = namespaces_.Names();
  const std::vector<std::string> sources = warm_sources_.Names();
  std::vector<Warmed> stats;
  for (const auto& [of, counts] : books) {
    const size_t source = of.second;
    stats.push_back({source > sources.size() ? "other" : sources[source - 1],
                     names[of.first - size_t{1}], counts});
  }
  std::sort(stats.begin(), stats.end(), [](const Warmed& a, const Warmed& b) {
    return std::tie(a.source, a.name_space) < std::tie(b.source, b.name_space);
  });
  return stats;
}

std::vector<NamespaceEngineStats> Engine::Stats() const {
  // The names first: who counts in a namespace has interned it before, or is counted next time.
  std::vector<std::string> names = namespaces_.Names();
  std::vector<EngineCounters> counters(names.size());
  for (const auto& shard : shards_) shard->AddCounters(&counters);
  std::vector<NamespaceEngineStats> stats;
  stats.reserve(names.size());
  for (size_t i = 0; i < names.size(); ++i) stats.push_back({std::move(names[i]), counters[i]});
  return stats;
}

}  // namespace meridian
