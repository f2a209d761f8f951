#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "server/app/node_parts.h"

namespace meridian {
namespace {

constexpr absl::Duration kHeartbeatTtl = absl::Seconds(60);

}  // namespace

absl::Status NodeParts::MakeReplication() {
  if (config.redis_url.empty()) return absl::OkStatus();
  std::vector<std::string> regions = {config.region};
  std::map<std::string, L2Store*> others;
  for (const auto& [region, store] : region_l2) {
    regions.push_back(region);
    others[region] = store.get();
  }
  replication_metrics = std::make_unique<ReplicationMetrics>(registry, config.region, regions);
  replication_executor = std::make_unique<ThreadExecutor>("replication");
  ReplicationOptions options;
  options.own_region = config.region;
  options.node_id = config.id;
  options.tail.log_entries = std::min(config.changelog_max_entries, StoreUpkeep::kFewestEntries);
  options.upkeep.changelog_max_bytes = config.changelog_max_bytes;
  options.upkeep.tombstone_max_bytes = config.tombstone_max_bytes;
  options.link.repair.tombstone_ttl = config.tombstone_ttl;
  options.staleness.one_in = config.staleness_one_in;
  ASSIGN_OR_RETURN(
      replication,
      Replication::Create(
          std::move(options),
          ReplicationDeps{*l2, std::move(others), *engine, *versions, topology,
                          *replication_executor, clock, *replication_metrics, clock_guard, *hints,
                          *fences, horizons,
                          [this](std::string_view name_space) {
                            return namespaces->policies()->Of(name_space).replication;
                          },
                          [this](std::string_view name_space, const std::string& key) {
                            WriteHeartbeat(name_space, key);
                          },
                          *peers, watch_hub.get(),
                          [this](uint64_t hash) {
                            return context->activity->Look(hash, clock.Monotonic()).stored_until;
                          },
                          mirrors.get(), misses.get(), refill.get(), &followed}));
  l2->SetListener(replication->CarriedOutListener());
  if (!region_l2.empty()) context->sync = &replication->sync();
  replication_metrics->AddLinks(registry, [this] { return Links(); });
  AddHorizonMetrics(registry, horizons);
  AddStoreUseMetrics(registry, [this] { return replication->Use(); });
  AddStalenessMetrics(registry, [this] { return replication->Staleness(); });
  replication->Start();
  return absl::OkStatus();
}

void NodeParts::WriteHeartbeat(std::string_view name_space, const std::string& key) {
  struct Beat {
    std::string name_space;
    std::string key;
    WriteRequest request;
  };
  auto beat = std::make_shared<Beat>();
  beat->name_space = std::string(name_space);
  beat->key = key;
  beat->request.name_space = beat->name_space;
  WriteItem item;
  item.key = beat->key;
  item.value = "1";
  item.ttl = kHeartbeatTtl;
  beat->request.items.push_back(std::move(item));
  beat->request.deadline = clock.Now() + absl::Seconds(1);
  beat->request.caller = Caller::kPeer;  // Ours, or not at all.
  writes->Write(beat->request, [beat](std::vector<WriteResult>) {});
}

}  // namespace meridian
