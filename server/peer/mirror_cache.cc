#include "server/peer/mirror_cache.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/engine/tag_list.h"
#include "common/rpc/server_settings.h"
#include "common/rpc/topology_proto.h"

namespace meridian {
namespace {

constexpr absl::Duration kFollowInterval = absl::Seconds(1);
constexpr absl::Duration kGather = absl::Milliseconds(50);  // Of slots that become hot together.

}  // namespace

// A value on its way.
struct MirrorCache::Fetch {
  std::shared_ptr<Stub> stub;
  EntryKey key;
  NearCache::Token token;
  grpc::ClientContext context;
  cache::v1::GetRequest request;  // Holds the bytes of the key.
  cache::v1::GetResponse response;
};

absl::StatusOr<std::unique_ptr<MirrorCache>> MirrorCache::Create(MirrorOptions options,
                                                                 const Clock& clock,
                                                                 const TopologyHolder& topology) {
  NearCacheOptions near;
  near.capacity_bytes = options.capacity_bytes;
  std::random_device device;
  near.hash_seed = uint64_t{device()} << 32 | device();
  ASSIGN_OR_RETURN(std::unique_ptr<NearCache> cache, NearCache::Create(near));
  return std::unique_ptr<MirrorCache>(
      new MirrorCache(std::move(options), clock, topology, std::move(cache)));
}

MirrorCache::MirrorCache(MirrorOptions options, const Clock& clock, const TopologyHolder& topology,
                         std::unique_ptr<NearCache> cache)
    : options_(std::move(options)),
      clock_(clock),
      topology_(topology),
      cache_(std::move(cache)),
      hot_keys_(options_.hot),
      stubs_(options_.security),
      watch_({.thread_name = "mirror-watch"}, *cache_, clock),
      executor_("mirror") {
  executor_.Post([this] { Tick(); });
}

MirrorCache::~MirrorCache() {
  executor_.Stop();
  absl::MutexLock lock(&mu_);
  const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return fetches_ == 0; };
  mu_.Await(absl::Condition(&none));
}

bool MirrorCache::Read(std::string_view name_space, std::string_view key, const Member& owner,
                       ReadResult* result) {
  EntryKey located;
  if (!cache_->Locate(name_space, key, &located)) return false;
  const absl::Duration now = clock_.Monotonic();
  if (!hot_keys_.Count(located.hash, now)) return false;
  const int64_t now_ns = absl::ToInt64Nanoseconds(now);
  const int64_t before = wanted_ns_[located.slot].exchange(now_ns, std::memory_order_relaxed);
  Entry entry;
  if (cache_->Get(located, now, &entry)) {
    result->state = EntryState::kOk;
    result->tier = Tier::kL1;
    result->encoding = entry.encoding;
    result->raw_size = entry.raw_size;
    result->version = entry.version;
    result->ttl = entry.expires_at - now;
    result->age = std::max(clock_.Now() - entry.version.time(), absl::ZeroDuration());
    result->value = std::move(entry.value);
    result->tags = std::move(entry.tags);
    result->written = entry.written;
    return true;
  }
  if (before == 0 || now_ns - before > absl::ToInt64Nanoseconds(kKeep) / 2) FollowSoon();
  if (cache_->Serves(located.slot, now)) Ask(name_space, located, owner, now);
  return false;
}

bool MirrorCache::Peek(std::string_view name_space, std::string_view key, Entry* entry) const {
  EntryKey located;
  return cache_->Locate(name_space, key, &located) &&
         cache_->Peek(located, clock_.Monotonic(), entry);
}

void MirrorCache::Wrote(std::string_view name_space, std::string_view key, Version version) {
  EntryKey located;
  if (cache_->Locate(name_space, key, &located)) cache_->Wrote(located, version);
}

void MirrorCache::Ask(std::string_view name_space, const EntryKey& key, const Member& owner,
                      absl::Duration now) {
  if (!ask_times_.Begin(key.hash, now)) return;
  {
    absl::MutexLock lock(&mu_);
    ++fetches_;
  }
  auto fetch = std::make_shared<Fetch>();
  fetch->request.set_namespace_(name_space.data(), name_space.size());
  fetch->request.set_key(key.key.data(), key.key.size());
  fetch->request.mutable_options()->set_accept_encoded(true);
  fetch->request.mutable_options()->set_for_near_cache(true);
  fetch->key = key;
  fetch->key.key = fetch->request.key();
  fetch->context.set_deadline(std::chrono::system_clock::now() +
                              absl::ToChronoMilliseconds(kFetchTime));
  fetch->token = cache_->BeginFill(fetch->key);
  fetch->stub = stubs_.StubFor(owner.data_address);
  fetch->stub->async()->Get(
      &fetch->context, &fetch->request, &fetch->response,
      [this, fetch](const grpc::Status& status) mutable {
        ask_times_.End(fetch->key.hash, Take(status, *fetch), clock_.Monotonic());
        fetch.reset();  // With its hold on the channel, before the destructor may go on.
        absl::MutexLock lock(&mu_);
        --fetches_;
      });
}

AskOutcome MirrorCache::Take(const grpc::Status& status, Fetch& fetch) {
  if (!status.ok()) return AskOutcome::kFailed;
  const uint64_t incarnation = fetch.response.header().watch_incarnation();
  if (incarnation == 0) return AskOutcome::kRefused;
  const cache::v1::Entry& answer = fetch.response.entry();
  if (answer.status() != cache::v1::ENTRY_STATUS_OK || answer.stale()) return AskOutcome::kMissing;
  Entry entry;
  entry.value = Buffer::CopyOf(answer.value());
  entry.version = FromProto(answer.version());
  entry.written = answer.written();
  entry.raw_size = static_cast<uint32_t>(answer.raw_size());
  entry.encoding =
      answer.encoding() == cache::v1::ENCODING_ZLIB ? Encoding::kZlib : Encoding::kIdentity;
  if (answer.tags_size() > 0) {
    entry.tags = Buffer::CopyOf(EncodeTags({answer.tags().begin(), answer.tags().end()}));
  }
  switch (cache_->PutFill(fetch.key, std::move(entry), absl::Milliseconds(answer.ttl_ms()),
                          incarnation, clock_.Monotonic(), fetch.token)) {
    case PutOutcome::kStored:
    case PutOutcome::kRenewed:
      return AskOutcome::kKept;
    case PutOutcome::kTooLarge:
      return AskOutcome::kTooLarge;
    case PutOutcome::kStale:
    case PutOutcome::kOvertaken:
    case PutOutcome::kExpired:
      break;
  }
  return AskOutcome::kOvertaken;
}

void MirrorCache::FollowSoon() {
  if (follow_is_due_.exchange(true)) return;
  executor_.PostAfter(kGather, [this] {
    follow_is_due_.store(false);
    Follow();
  });
}

void MirrorCache::Follow() {
  const TopologyHolder::Snapshot topology = topology_.Get();
  const int64_t since = absl::ToInt64Nanoseconds(clock_.Monotonic() - kKeep);
  std::map<std::string, WatchClient::Node> nodes;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const int64_t wanted = wanted_ns_[slot].load(std::memory_order_relaxed);
    if (wanted == 0 || wanted < since) continue;
    const Member* owner = topology->OwnerOf(slot);
    if (owner == nullptr || owner->id == options_.node_id || owner->data_address.empty()) continue;
    WatchClient::Node& node = nodes[owner->data_address];
    if (node.stub == nullptr) node.stub = stubs_.StubFor(owner->data_address);
    node.slots.set(slot);
  }
  watch_.SetNodes(std::move(nodes));
  std::vector<std::string> addresses;
  for (const Member& member : topology->members()) addresses.push_back(member.data_address);
  stubs_.KeepOnly(addresses);
}

void MirrorCache::Tick() {
  Follow();  // Slots that are not wanted any more are given up.
  executor_.PostAfter(kFollowInterval, [this] { Tick(); });
}

MirrorStats MirrorCache::Stats() const {
  return {cache_->Stats(), hot_keys_.hot(), cache_->entries(), cache_->bytes(),
          ask_times_.counts()};
}

}  // namespace meridian
