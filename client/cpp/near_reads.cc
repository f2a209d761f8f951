#include "client/cpp/near_reads.h"

#include <time.h>

#include <algorithm>
#include <map>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/base/status_macros.h"
#include "common/engine/tag_list.h"

namespace meridian {
namespace {

// The clocks as of the last tick of the kernel, at most some milliseconds ago, in a fraction of the
// time: enough for an age, and for lives and a bound of silence that are at least that long.
absl::Time RoughNow() {
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return absl::TimeFromTimespec(now);
}
absl::Duration RoughMonotonic() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return absl::DurationFromTimespec(now);
}

// Whether a namespace's policy may give keys that begin so another beginning (docs/wire.md, "Keys
// in another form"): it trims spaces and makes letters small; a prefix ends before what is hashed.
bool MayBeFormed(std::string_view prefix) {
  return std::any_of(prefix.begin(), prefix.end(),
                     [](char c) { return absl::ascii_isspace(c) || absl::ascii_isupper(c); });
}

// What owners' clocks and this one may be apart at the end of a stream's life (docs/adr/0017).
constexpr absl::Duration kClocksApart = absl::Milliseconds(31);

// Whether the call was wrong in itself, so that nothing has come of it.
bool WasRefused(const ResultError& error) {
  switch (error.code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<NearReads>> NearReads::Create(const ClientOptions& options) {
  if (options.near_cache_bytes == 0) return nullptr;
  NearCacheOptions near;
  near.capacity_bytes = options.near_cache_bytes;
  near.max_ttl = options.near_cache_ttl;
  std::random_device device;
  near.hash_seed = uint64_t{device()} << 32 | device();
  ASSIGN_OR_RETURN(std::unique_ptr<NearCache> cache, NearCache::Create(near));
  return std::unique_ptr<NearReads>(new NearReads(options.near_cache_namespaces, std::move(cache)));
}

bool NearReads::IsNamed(std::string_view name_space) const {
  return std::find(names_.begin(), names_.end(), name_space) != names_.end();
}

void NearReads::SetView(const ClusterView& view) {
  std::map<std::string, WatchClient::Node> nodes;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const uint16_t owner = view.table.OwnerOf(slot);
    if (owner == RoutingTable::kAnyNode) continue;
    const std::shared_ptr<const NodeChannel>& channel = view.nodes[owner];
    WatchClient::Node& node = nodes[channel->address];
    // The stub as part of the channel, which it keeps.
    node.stub = std::shared_ptr<WatchClient::Stub>(channel, channel->stub.get());
    node.slots.set(slot);
  }
  watch_.SetNodes(std::move(nodes));
}

bool NearReads::Get(std::string_view name_space, std::string_view key, const GetOptions& options,
                    GetResult* result) {
  EntryKey located;
  if (!cache_->Locate(name_space, key, &located)) return false;
  const absl::Duration now = RoughMonotonic();  // As SystemClock::Monotonic, but rougher.
  Entry entry;
  if (!cache_->Get(located, now, &entry)) return false;
  result->status = ResultStatus::kOk;
  result->source = ResultSource::kNear;
  result->version = entry.version;
  result->ttl = entry.expires_at - now;
  result->age = std::max(RoughNow() - entry.version.time(), absl::ZeroDuration());
  if (!options.omit_value) result->value.assign(entry.value.view());
  return true;
}

NearReads::Token NearReads::Begin(std::string_view name_space, std::string_view key) const {
  EntryKey located;
  if (!cache_->Locate(name_space, key, &located)) return {};
  return cache_->BeginFill(located);
}

void NearReads::Keep(std::string_view name_space, std::string_view key, Token token,
                     const cache::v1::ResponseHeader& header, const cache::v1::Entry& answer,
                     const GetResult& result) {
  if (header.watch_incarnation() == 0 || !result.hit() || result.stale) return;
  EntryKey located;
  if (!cache_->Locate(name_space, key, &located)) return;
  Entry entry;
  entry.value = Buffer::CopyOf(result.value);
  entry.version = result.version;
  entry.raw_size = static_cast<uint32_t>(result.value.size());
  if (answer.tags_size() > 0) {
    entry.tags = Buffer::CopyOf(EncodeTags({answer.tags().begin(), answer.tags().end()}));
  }
  entry.written = answer.written();
  cache_->Fill(located, std::move(entry), result.ttl, header.watch_incarnation(),
               clock_.Monotonic(), token);
}

void NearReads::Wrote(std::string_view name_space, std::string_view key,
                      const WriteResult& result) {
  EntryKey located;
  if (!cache_->Locate(name_space, key, &located)) return;
  cache_->Wrote(located, result.ok() ? result.version : Version());
}

void NearReads::Fenced(const cache::v1::InvalidateRequest& request, const WriteResult& result) {
  const std::string& name_space = request.namespace_();
  if (request.has_key()) Wrote(name_space, request.key(), result);
  if (!result.ok() && WasRefused(*result.error)) return;
  // What depends on a key has the key in its tags as the namespace forms it, perhaps hashed; and
  // who knows what has come of a call that failed.
  if (!result.ok() || request.has_key() ||
      (request.has_prefix() && MayBeFormed(request.prefix()))) {
    return cache_->Hold(name_space, clock_.Monotonic() + kClocksApart);
  }
  if (request.has_tag()) {
    cache_->Fenced(name_space, FenceScope::kTag, request.tag(), result.version);
  } else if (request.has_prefix()) {
    cache_->Fenced(name_space, FenceScope::kPrefix, request.prefix(), result.version);
  } else {
    cache_->Fenced(name_space, FenceScope::kNamespace, {}, result.version);
  }
}

NearStats NearReads::stats() const {
  const NearCacheStats cache = cache_->Stats();
  const WatchClient::Stats watch = watch_.stats();
  NearStats stats;
  stats.entries = cache_->entries();
  stats.bytes = cache_->bytes();
  stats.hits = cache.hits;
  stats.fills = cache.fills;
  stats.changes = cache.changes;
  stats.dropped_slots = cache.slot_drops;
  stats.followed_slots = cache.attached;
  stats.streams = watch.streams;
  stats.resumed_streams = watch.resumes;
  return stats;
}

}  // namespace meridian
