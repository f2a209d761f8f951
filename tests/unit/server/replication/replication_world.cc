#include "tests/unit/server/replication/replication_world.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/base/hash.h"
#include "server/node/record.h"

namespace meridian {
ReplicationWorld::ReplicationWorld(std::vector<std::string> names, int nodes_per_region) {
  for (const std::string& name : names) {
    auto region = std::make_unique<Region>();
    region->name = name;
    region->store = std::make_unique<FakeL2Store>(clock, executor);
    region->writer = std::make_unique<HybridClock>(clock, RegionId(name));
    regions.push_back(std::move(region));
  }
  for (const auto& region : regions) {
    std::vector<std::string> ids;
    for (int i = 0; i < nodes_per_region; ++i) {
      auto node = std::make_unique<Node>(clock);
      node->id = region->name + "-" + std::to_string(i);
      node->engine = *Engine::Create({.capacity_bytes = size_t{8} << 20, .shard_bits = 1});
      node->hybrid_clock = std::make_unique<HybridClock>(node->clock, RegionId(region->name));
      node->fences = std::make_unique<Fences>(*node->engine, *node->hybrid_clock, /*known=*/false);
      for (const auto& other : regions) {
        node->wires[other->name] =
            std::make_unique<StoreWire>(node->clock, clock, executor, other->store);
      }
      ids.push_back(node->id);
      region->nodes.push_back(std::move(node));
    }
    Publish(*region, ids);
  }
  options.heartbeat_interval = absl::ZeroDuration();
  options.staleness.one_in = 0;
}

ReplicationWorld::~ReplicationWorld() {
  for (const auto& region : regions) {
    for (const auto& node : region->nodes) node->replication.reset();
  }
}

void ReplicationWorld::Start() {
  for (const auto& region : regions) {
    for (const auto& node : region->nodes) {
      if (node->replication != nullptr) continue;
      ReplicationOptions node_options = options;
      node_options.own_region = region->name;
      node_options.node_id = node->id;
      std::map<std::string, L2Store*> others;
      for (const auto& [name, wire] : node->wires) {
        if (name != region->name) others[name] = wire.get();
      }
      Region* const home = region.get();
      node->peers = std::make_unique<WorldPeers>(*this, region->name);
      node->replication = *Replication::Create(
          node_options, {.own = *node->wires[region->name],
                         .others = others,
                         .engine = *node->engine,
                         .hybrid_clock = *node->hybrid_clock,
                         .topology = node->topology,
                         .executor = executor,
                         .clock = node->clock,
                         .observer = node->observer,
                         .clock_guard = node->clock_guard,
                         .hints = node->hints,
                         .fences = *node->fences,
                         .horizons = node->horizons,
                         .mode_of =
                             [this](std::string_view name_space) {
                               const auto found = modes.find(std::string(name_space));
                               return found == modes.end() ? ReplicationMode::kAsync
                                                           : found->second;
                             },
                         .write_heartbeat =
                             [this, home](std::string_view name_space, const std::string& key) {
                               Set(home->name, key, "beat", absl::Minutes(1), name_space);
                             },
                         .peers = *node->peers,
                         .watch = node->watch.get(),
                         .stored_until = nullptr,
                         .mirrors = &node->mirrors});
      node->replication->Start();
    }
  }
  executor.RunDue();
}

void ReplicationWorld::Publish(Region& region, const std::vector<std::string>& serving) {
  std::vector<Member> members;
  for (const std::string& id : serving) {
    Member member;
    member.id = id;
    members.push_back(member);
  }
  ++region.epoch;
  for (const auto& node : region.nodes) {
    node->topology.Offer(*Topology::Create(region.epoch, region.name, members));
  }
}

void ReplicationWorld::Wipe(Region& region) {
  region.store = std::make_unique<FakeL2Store>(clock, executor);
}

ReplicationWorld::Region& ReplicationWorld::region(std::string_view name) {
  for (const auto& region : regions) {
    if (region->name == name) return *region;
  }
  std::abort();
}

ReplicationWorld::Node& ReplicationWorld::node(std::string_view region_name, size_t index) {
  return *region(region_name).nodes.at(index);
}

LinkStatus ReplicationWorld::Link(std::string_view from, std::string_view to, size_t index) {
  for (const LinkStatus& link : node(from, index).replication->Links()) {
    if (link.to == to) return link;
  }
  std::abort();
}

L2Write MakeWrite(std::string_view name_space, std::string_view key,
                  std::optional<std::string_view> value, Version version, absl::Time now,
                  absl::Duration ttl) {
  L2Write write;
  write.key = {SlotOf(name_space, key), std::string(name_space), std::string(key)};
  write.version = version;
  write.expires_at = now + ttl;
  write.retention = ttl + absl::Seconds(10);
  AppendRecord({.version = version,
                .expires_at = write.expires_at,
                .kind = value ? RecordKind::kValue : RecordKind::kTombstone,
                .tags = {},
                .value = value.value_or("")},
               &write.record);
  return write;
}

void ReplicationWorld::Apply(std::string_view name, L2Write write) {
  region(name).store->Apply({std::move(write)}, clock.Now() + absl::Seconds(1),
                            [](const std::vector<L2WriteResult>&) {});
}

Version ReplicationWorld::Set(std::string_view name, std::string_view key, std::string_view value,
                              absl::Duration ttl, std::string_view name_space) {
  const Version version = region(name).writer->Next();
  Apply(name, MakeWrite(name_space, key, value, version, clock.Now(), ttl));
  return version;
}

Version ReplicationWorld::Delete(std::string_view name, std::string_view key,
                                 std::string_view name_space) {
  const Version version = region(name).writer->Next();
  Apply(name, MakeWrite(name_space, key, std::nullopt, version, clock.Now(), absl::Hours(24)));
  return version;
}

std::optional<std::string> ReplicationWorld::Get(std::string_view name, std::string_view key,
                                                 std::string_view name_space) {
  const std::optional<std::string> bytes = region(name).store->Peek(name_space, key);
  if (!bytes) return std::nullopt;
  const absl::StatusOr<Record> record = ParseRecord(*bytes);
  if (!record.ok() || record->kind == RecordKind::kTombstone || record->expires_at <= clock.Now()) {
    return std::nullopt;
  }
  return std::string(record->value);
}

Version ReplicationWorld::StoredVersion(std::string_view name, std::string_view key,
                                        std::string_view name_space) {
  const std::optional<std::string> bytes = region(name).store->Peek(name_space, key);
  return bytes ? ParseRecord(*bytes)->version : Version();
}

std::vector<LogEntry> ReplicationWorld::Log(std::string_view name, uint32_t slot) {
  std::vector<LogEntry> entries;
  region(name).store->ReadLogs({{slot, LogPosition{}}}, 1'000'000, absl::InfiniteFuture(),
                               [&entries](const absl::StatusOr<std::vector<LogSlice>>& slices) {
                                 if (!slices->empty()) entries = slices->front().entries;
                               });
  executor.RunDue();
  return entries;
}

int ReplicationWorld::DifferingKeys(const std::vector<std::string>& keys) {
  int differing = 0;
  for (const std::string& key : keys) {
    const std::optional<std::string> expected = Get(regions[0]->name, key);
    for (const auto& region : regions) {
      if (Get(region->name, key) != expected) {
        ++differing;
        break;
      }
    }
  }
  return differing;
}

namespace {

ReplicationWorld::Node* Find(ReplicationWorld& world, const std::string& region,
                             const Member& member) {
  for (const auto& node : world.region(region).nodes) {
    if (node->id == member.id) return node.get();
  }
  return nullptr;
}

}  // namespace

void WorldPeers::Explain(const Member& to, std::string_view name_space, std::string_view key,
                         Tiers tiers, absl::Time, ExplainReplyCallback callback) {
  ReplicationWorld::Node* const node = Find(world_, region_, to);
  if (node == nullptr) return callback(absl::NotFoundError("no such node"));
  if (tiers != Tiers::kMemory) return callback(absl::UnimplementedError("memory alone"));
  TierReport report;
  report.tier = Tier::kL1;
  const NamespaceId id = *node->engine->InternNamespace(name_space);
  Entry entry;
  if (node->engine->Peek({.name_space = id,
                          .slot = SlotOf(name_space, key),
                          .hash = node->engine->HashOf(id, key),
                          .key = key},
                         node->clock.Monotonic(), &entry)) {
    report.holding = Holding::kValue;
    report.version = entry.version;
  }
  std::vector<TierReport> reports = {report};
  if (node->mirrors.Peek(name_space, key, &entry)) {
    report.mirror = true;
    report.holding = Holding::kValue;
    report.version = entry.version;
    reports.push_back(report);
  }
  callback(std::move(reports));
}

void WorldPeers::GetFence(const Member& to, const Fence& fence, absl::Time,
                          ClockCallback callback) {
  ReplicationWorld::Node* const node = Find(world_, region_, to);
  if (node == nullptr) return callback(absl::NotFoundError("no such node"));
  callback(node->lost_fences ? 0 : node->fences->ClockOf(fence));
}

}  // namespace meridian
