#include "common/near/near_cache.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace meridian {
namespace {

constexpr size_t kMinBytes = size_t{1} << 20;
// A shard keeps nothing that is larger than itself; what is put into a cache is at most 8 MiB.
constexpr size_t kLargestEntry = size_t{9} << 20;
constexpr size_t kAdvanceEntries = 1000;
constexpr Version kNewest{std::numeric_limits<uint64_t>::max(),
                          std::numeric_limits<uint16_t>::max()};

}  // namespace

absl::Status NearCacheOptions::Validate() const {
  if (capacity_bytes < kMinBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("capacity_bytes is ", capacity_bytes, ", must be at least ", kMinBytes));
  }
  if (max_ttl < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_ttl is ", absl::FormatDuration(max_ttl), ", must be at least 1ms"));
  }
  if (silence < absl::Milliseconds(1) || silence > absl::Minutes(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("silence is ", absl::FormatDuration(silence), ", must be from 1ms to 1m"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<NearCache>> NearCache::Create(NearCacheOptions options) {
  RETURN_IF_ERROR(options.Validate());
  EngineOptions engine_options;
  engine_options.capacity_bytes = options.capacity_bytes;
  int bits =
      EngineOptions::ShardBitsFor(options.capacity_bytes, 0, std::thread::hardware_concurrency());
  const size_t least = std::min(options.capacity_bytes / 4, kLargestEntry);
  while (bits > 0 && (options.capacity_bytes >> bits) < least) --bits;
  engine_options.shard_bits = bits;
  engine_options.hash_seed = options.hash_seed;
  ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, Engine::Create(engine_options));
  return std::unique_ptr<NearCache>(new NearCache(options, std::move(engine)));
}

bool NearCache::Locate(std::string_view name_space, std::string_view key, EntryKey* located) {
  const std::optional<NamespaceId> id = engine_->InternNamespace(name_space);
  if (!id) return false;
  located->name_space = *id;
  located->slot = SlotOf(name_space, key);
  located->hash = engine_->HashOf(*id, key);
  located->key = key;
  return true;
}

bool NearCache::Serves(uint32_t slot, absl::Duration now) const {
  const Source source = source_of_[slot].load(std::memory_order_acquire);
  return source != kNoSource && absl::ToInt64Nanoseconds(now) - sources_[source].complete_ns.load(
                                                                    std::memory_order_acquire) <=
                                    silence_ns_;
}

bool NearCache::ServesKey(const EntryKey& key, absl::Duration now) const {
  const Source source = source_of_[key.slot].load(std::memory_order_acquire);
  if (source == kNoSource) return false;
  const int64_t complete = sources_[source].complete_ns.load(std::memory_order_acquire);
  return absl::ToInt64Nanoseconds(now) - complete <= silence_ns_ &&
         complete >= held_ns_[key.name_space].load(std::memory_order_relaxed);
}

void NearCache::Hold(std::string_view name_space, absl::Duration now) {
  const std::optional<NamespaceId> id = engine_->InternNamespace(name_space);
  if (!id) return;
  const int64_t now_ns = absl::ToInt64Nanoseconds(now);
  int64_t held = held_ns_[*id].load(std::memory_order_relaxed);
  while (held < now_ns &&
         !held_ns_[*id].compare_exchange_weak(held, now_ns, std::memory_order_relaxed)) {
  }
}

bool NearCache::Get(const EntryKey& key, absl::Duration now, Entry* entry) {
  if (!ServesKey(key, now)) {
    if (source_of_[key.slot].load(std::memory_order_relaxed) != kNoSource) {
      silent_.Add();
    }
    return false;
  }
  if (!engine_->Get(key, now, entry)) return false;
  hits_.Add();
  return true;
}

bool NearCache::Peek(const EntryKey& key, absl::Duration now, Entry* entry) const {
  return ServesKey(key, now) && engine_->Peek(key, now, entry);
}

NearCache::Token NearCache::BeginFill(const EntryKey& key) const {
  // The source first: when the slot is dropped in between, the fill sees the drop.
  const Source source = source_of_[key.slot].load(std::memory_order_acquire);
  return {engine_->BeginFill(key), source};
}

PutOutcome NearCache::PutFill(const EntryKey& key, Entry entry, absl::Duration ttl,
                              uint64_t incarnation, absl::Duration now, Token token) {
  const absl::Duration life = std::min(ttl, options_.max_ttl);
  // Between this and the engine's own check the slot may be dropped: then that check fails.
  const bool followed =
      token.source != kNoSource && incarnation != 0 &&
      source_of_[key.slot].load(std::memory_order_acquire) == token.source &&
      sources_[token.source].incarnation.load(std::memory_order_acquire) == incarnation;
  if (!followed || life <= absl::ZeroDuration()) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return PutOutcome::kOvertaken;
  }
  entry.expires_at = now + life;
  const PutOutcome outcome = engine_->PutFill(key, std::move(entry), now, token.fill);
  const bool kept = outcome == PutOutcome::kStored;
  (kept ? fills_ : refused_).fetch_add(1, std::memory_order_relaxed);
  return outcome;
}

void NearCache::Wrote(const EntryKey& key, Version version) {
  engine_->Erase(key, version.is_set() ? version : kNewest);
}

NearCache::Source NearCache::NewSource() {
  const uint32_t source = next_source_.fetch_add(1, std::memory_order_relaxed);
  return source < kMaxSources ? static_cast<Source>(source) : kNoSource;
}

void NearCache::Drop(uint32_t slot) {
  engine_->DropSlot(slot);
  slot_drops_.fetch_add(1, std::memory_order_relaxed);
}

void NearCache::Attach(uint32_t slot, Source source) {
  // A fill whose request was sent while there was no source is refused, so nothing need be dropped.
  if (source_of_[slot].exchange(kNoSource) != kNoSource) Drop(slot);
  source_of_[slot].store(source, std::memory_order_release);
}

void NearCache::Detach(uint32_t slot, Source source) {
  if (!source_of_[slot].compare_exchange_strong(source, kNoSource)) return;
  Drop(slot);
}

void NearCache::Gap(uint32_t slot) { Drop(slot); }

void NearCache::Heard(Source source, uint64_t incarnation, absl::Duration complete) {
  SourceState& state = sources_[source];
  state.incarnation.store(incarnation, std::memory_order_release);
  state.complete_ns.store(absl::ToInt64Nanoseconds(complete), std::memory_order_release);
}

void NearCache::Changed(uint32_t slot, std::string_view name_space, std::string_view key,
                        Version version) {
  changes_.fetch_add(1, std::memory_order_relaxed);
  const std::optional<NamespaceId> id = engine_->InternNamespace(name_space);
  if (!id) return;  // Nothing of it is kept.
  const EntryKey located{*id, slot, engine_->HashOf(*id, key), key};
  // An absent key is erased, too: a fill that was answered before the change may be under way.
  if (engine_->IsBehind(located, version)) engine_->Erase(located, version);
}

void NearCache::Fenced(std::string_view name_space, FenceScope scope, std::string_view name,
                       Version version) {
  changes_.fetch_add(1, std::memory_order_relaxed);
  const std::optional<NamespaceId> id = engine_->InternNamespace(name_space);
  if (!id) return;
  // What this build cannot fence exactly it fences wholly.
  if (scope == FenceScope::kPrefix && FenceTable::PrefixDepth(name) == 0) {
    scope = FenceScope::kNamespace;
    name = {};
  }
  engine_->fences().Add(*id, scope, name, version.hlc);
}

void NearCache::Advance(absl::Duration now) { engine_->Advance(now, kAdvanceEntries); }

NearCacheStats NearCache::Stats() const {
  NearCacheStats stats;
  stats.hits = hits_.value();
  stats.silent = silent_.value();
  stats.fills = fills_.load(std::memory_order_relaxed);
  stats.refused = refused_.load(std::memory_order_relaxed);
  stats.changes = changes_.load(std::memory_order_relaxed);
  stats.slot_drops = slot_drops_.load(std::memory_order_relaxed);
  for (const auto& source : source_of_) {
    if (source.load(std::memory_order_relaxed) != kNoSource) ++stats.attached;
  }
  return stats;
}

}  // namespace meridian
