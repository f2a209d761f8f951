#include <spdlog/spdlog.h>

#include <random>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/app/node_parts.h"
#include "server/node/no_l2.h"

namespace meridian {
namespace {

absl::StatusOr<std::unique_ptr<RedisStore>> CreateStore(EventLoop& loop, const NodeConfig& config,
                                                        const std::string& url, const Clock& clock,
                                                        L2Observer* observer) {
  RedisStoreOptions options;
  ASSIGN_OR_RETURN(options.client.url, ParseRedisUrl(url));
  options.client.read_connections = static_cast<int>(config.l2_connections - 1);
  options.client.connection.command_timeout = config.l2_timeout;
  // Several round trips under TLS, between continents for other regions.
  if (options.client.url.tls || url != config.redis_url) {
    options.client.connection.connect_timeout = config.l2_timeout;
  }
  options.max_log_length = config.changelog_max_entries;
  return RedisStore::Create(loop, std::move(options), clock, observer);
}

WatchHub::FenceKind KindOf(FenceScope scope) {
  switch (scope) {
    case FenceScope::kPrefix:
      return WatchHub::FenceKind::kPrefix;
    case FenceScope::kTag:
      return WatchHub::FenceKind::kTag;
    case FenceScope::kNamespace:
      break;
  }
  return WatchHub::FenceKind::kNamespace;
}

}  // namespace

absl::Status NodeParts::MakeStores() {
  l2_metrics = std::make_unique<L2Metrics>(registry);
  ASSIGN_OR_RETURN(loop, EventLoop::Create("redis"));
  if (config.redis_url.empty()) {
    regional_store = std::make_unique<NoL2>();
    l2 = std::make_unique<SampledStore>(*regional_store, /*one_in=*/0, clock);
    spdlog::warn("no Redis is configured: values live in L1 only and do not replicate");
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      std::unique_ptr<RedisStore> store,
      CreateStore(*loop, config, config.redis_url, clock, &l2_metrics->For(config.region)));
  l2_usage = std::make_unique<L2UsageWatch>(*store, *housekeeping, clock);
  l2_usage->Start();
  regional_store = std::move(store);
  l2 = std::make_unique<SampledStore>(*regional_store, config.staleness_one_in, clock);
  for (const auto& [region, url] : config.region_redis) {
    ASSIGN_OR_RETURN(region_l2[region],
                     CreateStore(*loop, config, url, clock, &l2_metrics->For(region)));
  }
  return absl::OkStatus();
}

absl::Status NodeParts::MakeCache() {
  versions = std::make_unique<HybridClock>(clock, RegionId(config.region));
  EngineOptions options;
  options.capacity_bytes = config.l1_max_bytes;
  options.capacity_entries = config.l1_max_entries;
  options.policy = config.l1_policy;
  options.shard_bits = EngineOptions::ShardBitsFor(config.l1_max_bytes, config.l1_max_entries,
                                                   std::thread::hardware_concurrency());
  options.hash_seed = RandomSeed();
  ASSIGN_OR_RETURN(engine, Engine::Create(options));
  namespaces = std::make_unique<Namespaces>(*engine, config.policies);
  RETURN_IF_ERROR(MakeStores());
  peers = std::make_unique<GrpcPeerTransport>(config.id, *versions, clock, clock_guard, security);
  timer_executor = std::make_unique<ThreadExecutor>("timers");
  timers = std::make_unique<TimerQueue>(clock, *timer_executor);
  context = std::unique_ptr<NodeContext>(
      new NodeContext{config.id, config.redis_url.empty(), config.tombstone_ttl, clock, *versions,
                      *engine, *namespaces, *l2, *peers, topology, *timers});
  context->inflater = inflater.get();
  context->clock_guard = &clock_guard;
  hints = std::make_unique<HintLog>(
      HintLogOptions{.max_bytes = config.hints_max_bytes, .max_age = config.hints_max_age});
  if (!config.redis_url.empty()) context->hints = hints.get();
  watch_hub = std::make_unique<WatchHub>(
      WatchHubOptions{.incarnation = RandomSeed() | 1, .own_writes_only = config.redis_url.empty()},
      clock);
  watch_executor = std::make_unique<ThreadExecutor>("watch");
  watch_streams = std::make_unique<WatchStreams>(WatchStreamsOptions{.node_id = config.id},
                                                 *watch_hub, topology, *watch_executor);
  AddWatchMetrics(*watch_hub, *watch_streams, registry);
  context->watch = watch_hub.get();
  if (config.sample_callers > 0) {
    accesses = std::make_unique<AccessSampler>(config.sample_callers);
    context->accesses = accesses.get();
  }
  if (!config.redis_url.empty()) context->followed = &followed;
  fences = std::make_unique<Fences>(*engine, *versions, /*known=*/config.redis_url.empty());
  fences->AddListener([this](const Fence& fence) {
    watch_hub->Fenced(fence.name_space, KindOf(fence.scope), fence.name, fence.version);
  });
  context->fences = fences.get();
  context->horizons = &horizons;
  origin_metrics = std::make_unique<OriginMetrics>(registry);
  origin_transport = std::make_unique<GrpcOriginTransport>();
  origins = std::make_unique<OriginLoader>(*origin_transport, clock, *timers, origin_metrics.get());
  context->origins = origins.get();
  misses = std::make_unique<MissPath>(*context);
  reads = std::make_unique<ReadPath>(*context, *misses);
  writes = std::make_unique<WritePath>(*context, *misses);
  if (config.report_updates && !config.coordinators.empty()) {
    updates = std::make_unique<UpdateLog>();
    writes->SetUpdates(updates.get());
  }
  fence_path = std::make_unique<FencePath>(*context);
  RETURN_IF_ERROR(MakeMirrors());
  explainer = std::make_unique<Explainer>(*context);
  explainer->SetMirrors(mirrors.get());
  // Whoever gets or gives a slot forgets what L1 held of it: while it was another's, it may have
  // changed.
  topology.AddListener(
      [this](const TopologyHolder::Snapshot& previous, const TopologyHolder::Snapshot& current) {
        for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
          const Member* before = previous->OwnerOf(slot);
          const Member* after = current->OwnerOf(slot);
          const bool was_ours = before != nullptr && before->id == config.id;
          const bool is_ours = after != nullptr && after->id == config.id;
          if (was_ours == is_ours) continue;
          engine->DropSlot(slot);
          // Where there is a changelog, its tail says what is followed.
          if (config.redis_url.empty() && is_ours) watch_hub->SlotFollowed(slot);
          if (config.redis_url.empty() && was_ours) {
            watch_hub->SlotLost(slot);
            // Nobody fills here what is waited for.
            if (misses->HasLeases()) misses->OnSlotInDoubt(slot, /*lost=*/true);
          }
        }
        if (mirrors != nullptr) mirrors->TopologyChanged();
        peers->Forget(*current);
        spdlog::info("epoch {}: {} members, {} slots here", current->epoch(),
                     current->members().size(), current->SlotsOf(config.id).size());
      });
  return absl::OkStatus();
}

absl::Status NodeParts::MakeMirrors() {
  if (config.mirror_max_bytes == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(mirrors, MirrorCache::Create({.node_id = config.id,
                                                 .capacity_bytes = config.mirror_max_bytes,
                                                 .security = security},
                                                clock, topology));
  reads->SetMirrors(mirrors.get());
  writes->SetMirrors(mirrors.get());
  AddMirrorMetrics(*mirrors, registry);
  return absl::OkStatus();
}

void NodeParts::FollowPolicies() {
  policy_follower = std::make_unique<PolicyFollower>(namespaces->policies(), [this](PolicySet set) {
    const std::shared_ptr<const PolicyTable> before = namespaces->policies();
    spdlog::info("policies: version {} is in force{}", set.base_version,
                 set.trial_percent == 0 ? ""
                                        : absl::StrCat(", version ", set.trial_version, " in ",
                                                       set.trial_percent, " % of the slots"));
    namespaces->SetPolicies(std::move(set));
    // Keys may be cached under other names from now on.
    if (*namespaces->policies() != *before) watch_hub->AllGap();
    for (const std::string& problem : namespaces->Problems()) spdlog::warn("{}", problem);
  });
  if (config.policies_file.empty()) return;
  policy_store = std::make_unique<PolicyStore>(
      PolicyStoreOptions{config.policies_file, config.policies_kind, config.policies_text,
                         config.policies_poll},
      *housekeeping, clock,
      [this](std::shared_ptr<const PolicyTable> table) {
        policy_follower->SetOwn(std::move(table));
      },
      [this](const PolicyStoreStatus& status) {
        if (!status.problem.empty()) {
          spdlog::error("policies: {}; those of before stay in force", status.problem);
          return;
        }
        spdlog::info("policies of {} were read{}", status.file,
                     policy_follower->Status().base_version == 0
                         ? ""
                         : "; those of the coordinator stay in force");
      });
  AddPolicyMetrics(*policy_store, registry);
  policy_store->Start();
}

uint64_t NodeParts::RandomSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace meridian
