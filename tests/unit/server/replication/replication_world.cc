#include "tests/unit/server/replication/replication_world.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/base/hash.h"
#include "server/node/record.h"
#include "server/replication/write_refusal.h"

namespace meridian {
namespace {

// As the store's client says it.
constexpr char kOverloaded[] = "L2_OVERLOADED: 8192 requests to Redis are in flight";

}  // namespace

// --- StoreWire.

template <typename Send, typename Fail>
void StoreWire::Carry(absl::Time deadline, Send send, Fail fail) {
  switch (mode) {
    case Mode::kOpen:
      return executor_.PostAfter(delay, send);
    case Mode::kRefused:
      return executor_.Post([fail] { fail(absl::UnavailableError("refused")); });
    case Mode::kBreakerOpen:
      return executor_.Post(
          [fail] { fail(absl::UnavailableError("L2_CIRCUIT_OPEN: failed too often")); });
    case Mode::kSilent:
      return executor_.PostAfter(deadline - clock_.Now(),
                                 [fail] { fail(absl::DeadlineExceededError("silence")); });
  }
}

template <typename Items, typename SlotOfItem, typename Send, typename Fail>
void StoreWire::CarryTo(const Items& items, SlotOfItem slot_of, absl::Time deadline, Send send,
                        Fail fail) {
  for (const auto& item : items) {
    if (away.count(slot_of(item)) == 0) continue;
    return executor_.Post([fail] { fail(absl::UnavailableError("its server is away")); });
  }
  Carry(deadline, send, fail);
}

std::vector<uint32_t> StoreWire::AwaySlots() const {
  if (!away_is_known) return {};
  return {away.begin(), away.end()};
}

void StoreWire::Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) {
  FetchFromPrimary(keys, deadline, [this, keys, callback](std::vector<L2Record> records) {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (lags.count(keys[i].key) > 0) records[i] = {{}, {}, /*from_replica=*/true};
    }
    callback(std::move(records));
  });
}

void StoreWire::FetchFromPrimary(std::vector<L2Key> keys, absl::Time deadline,
                                 FetchCallback callback) {
  deadline = Theirs(deadline);
  if (overloaded_fetches > 0) {
    --overloaded_fetches;
    const L2Record busy{absl::ResourceExhaustedError(kOverloaded), {}};
    return executor_.Post([=] { callback(std::vector<L2Record>(keys.size(), busy)); });
  }
  if (fetched_bytes_per_second > 0) callback = Trickle(deadline, std::move(callback));
  // As of a cluster: each key has an answer of its own server.
  const auto answer = [this, keys, callback](std::vector<L2Record> records) {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (away.count(keys[i].slot) > 0) {
        records[i] = L2Record{absl::UnavailableError("its server is away"), {}};
      } else if (overloaded.count(keys[i].key) > 0) {
        records[i] = L2Record{absl::ResourceExhaustedError(kOverloaded), {}};
      } else if (evicted.count(keys[i].key) > 0) {
        records[i] = L2Record{};
      } else if (too_large.count(keys[i].key) > 0) {
        records[i] = L2Record{absl::ResourceExhaustedError("the reply of Redis is too large"), {}};
      }
    }
    callback(std::move(records));
  };
  Carry(
      deadline, [=, this] { store_->Fetch(keys, deadline, answer); },
      [=](const absl::Status& status) {
        callback(std::vector<L2Record>(keys.size(), L2Record{status, {}}));
      });
}

L2Store::FetchCallback StoreWire::Trickle(absl::Time deadline, FetchCallback callback) {
  return [=, this](const std::vector<L2Record>& records) {
    size_t bytes = 0;
    for (const L2Record& record : records) bytes += record.record.size();
    fetched_bytes_ += bytes;
    most_fetched_bytes = std::max(most_fetched_bytes, fetched_bytes_);
    const absl::Time now = clock_.Now();
    fetched_at_ =
        std::max(fetched_at_, now) +
        absl::Seconds(static_cast<double>(bytes) / static_cast<double>(fetched_bytes_per_second));
    const bool late = fetched_at_ > deadline;
    executor_.PostAfter(fetched_at_ - now, [=, this] {
      fetched_bytes_ -= bytes;
      if (!late) callback(records);
    });
    if (!late) return;
    const L2Record gone{absl::DeadlineExceededError("no answer in time"), {}};
    executor_.PostAfter(deadline - now,
                        [=] { callback(std::vector<L2Record>(records.size(), gone)); });
  };
}

absl::Status StoreWire::RefusalOf(const L2Write& write) const {
  const L2Key& key = write.key;
  if (!full.ok() && (full_slots.empty() || full_slots.count(key.slot) > 0)) return full;
  const auto found = refused.find(key.key);
  if (found == refused.end()) return absl::OkStatus();
  const absl::StatusOr<Record> record = ParseRecord(write.record);
  const bool is_drop = record.ok() && record->kind == RecordKind::kTombstone;
  if (is_drop && takes_drops) return absl::OkStatus();
  return is_drop && !drop_refusal.ok() ? drop_refusal : found->second;
}

L2Store::ApplyCallback StoreWire::Refuse(std::vector<L2Write>* writes,
                                         ApplyCallback callback) const {
  std::vector<absl::Status> refusals;
  absl::Status any;
  for (const L2Write& write : *writes) {
    refusals.push_back(RefusalOf(write));
    any.Update(refusals.back());
  }
  if (any.ok()) return callback;
  if (refuses_calls) refusals.assign(writes->size(), any);
  std::vector<L2Write> rest;
  for (size_t i = 0; i < refusals.size(); ++i) {
    if (refusals[i].ok()) rest.push_back(std::move((*writes)[i]));
  }
  *writes = std::move(rest);
  return [refusals, callback = std::move(callback)](const std::vector<L2WriteResult>& results) {
    std::vector<L2WriteResult> all(refusals.size());
    auto next = results.begin();
    for (size_t i = 0; i < refusals.size(); ++i) {
      if (refusals[i].ok()) {
        all[i] = *next++;
      } else {
        all[i].status = refusals[i];
      }
    }
    callback(std::move(all));
  };
}

void StoreWire::Apply(std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) {
  deadline = Theirs(deadline);
  callback = Refuse(&writes, std::move(callback));
  Carry(
      deadline, [=, this] { store_->Apply(writes, deadline, callback); },
      [=](const absl::Status& status) {
        L2WriteResult failed;
        failed.status = status;
        callback(std::vector<L2WriteResult>(writes.size(), failed));
      });
}

void StoreWire::ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                         LogCallback callback) {
  deadline = Theirs(deadline);
  if (limit > largest_read) {
    return executor_.Post([=] { callback(absl::OutOfRangeError("a reply of too many elements")); });
  }
  CarryTo(
      reads, [](const LogRead& read) { return read.slot; }, deadline,
      [=, this] { store_->ReadLogs(reads, limit, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::ChangeCount(absl::Time deadline, CountCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->ChangeCount(deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
                        PositionsCallback callback) {
  deadline = Theirs(deadline);
  CarryTo(
      slots, [](uint32_t slot) { return slot; }, deadline,
      [=, this] { store_->LogEnds(slots, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::FetchCursors(std::string source_region, std::vector<uint32_t> slots,
                             absl::Time deadline, PositionsCallback callback) {
  deadline = Theirs(deadline);
  CarryTo(
      slots, [](uint32_t slot) { return slot; }, deadline,
      [=, this] { store_->FetchCursors(source_region, slots, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

// One after the other. What is given up at its deadline crosses and is carried out all the same,
// unless it is lost.
void StoreWire::Crawl(std::string source_region, uint32_t slot, LogPosition cursor,
                      std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) {
  size_t bytes = 0;
  for (const L2Write& write : writes) bytes += write.record.size();
  bytes_sent += bytes;
  const absl::Time now = clock_.Now();
  free_at_ = std::max(free_at_, now) +
             absl::Seconds(static_cast<double>(bytes) / static_cast<double>(bytes_per_second));
  if (free_at_ > deadline) {
    L2WriteResult late;
    late.status = absl::DeadlineExceededError("no answer in time");
    executor_.PostAfter(deadline - now,
                        [callback, results = std::vector<L2WriteResult>(writes.size(), late)] {
                          callback(results);
                        });
    if (late_is_lost) {
      free_at_ = deadline;
      return;
    }
    callback = [](const std::vector<L2WriteResult>&) {};
  }
  executor_.PostAfter(free_at_ - now, [=, this] {
    store_->ApplyReplicated(source_region, slot, cursor, writes, absl::InfiniteFuture(), callback);
  });
}

void StoreWire::ApplyReplicated(std::string source_region, uint32_t slot, LogPosition cursor,
                                std::vector<L2Write> writes, absl::Time deadline,
                                ApplyCallback callback) {
  deadline = Theirs(deadline);
  for (const L2Write& write : writes) {
    sent.insert(write.key.key);
    if (recovers_when_probed && write.key.key.starts_with("repair-probe:")) {
      full = absl::OkStatus();
      refused.clear();
    }
    // As the script does: the cursor passes nothing that may be taken the next time.
    const absl::Status refusal = RefusalOf(write);
    if (!refusal.ok() && !IsAboutTheWrite(refusal)) cursor = LogPosition{};
  }
  callback = Refuse(&writes, std::move(callback));
  if (bytes_per_second > 0) {
    return Crawl(std::move(source_region), slot, cursor, std::move(writes), deadline,
                 std::move(callback));
  }
  CarryTo(
      std::vector<uint32_t>{slot}, [](uint32_t one) { return one; }, deadline,
      [=, this] {
        store_->ApplyReplicated(source_region, slot, cursor, writes, deadline, callback);
      },
      [=](const absl::Status& status) {
        L2WriteResult failed;
        failed.status = status;
        callback(std::vector<L2WriteResult>(writes.size(), failed));
      });
}

void StoreWire::Scan(std::string from, size_t count, absl::Time deadline, ScanCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->Scan(from, count, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                              VersionsCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->FetchVersions(keys, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::ListFences(uint32_t slot, absl::Time deadline, FencesCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->ListFences(slot, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::ForgetFences(uint32_t slot, std::vector<LogEntry> fences, absl::Time deadline,
                             StatusCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->ForgetFences(slot, fences, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::MeasureLogs(std::vector<uint32_t> slots, absl::Time deadline,
                            LogSizesCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->MeasureLogs(slots, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::TrimLogs(std::vector<LogTrim> trims, absl::Time deadline, StatusCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->TrimLogs(trims, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::SweepTombstones(std::vector<L2Key> keys, absl::Duration evictable_after,
                                absl::Time deadline, TombstonesCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->SweepTombstones(keys, evictable_after, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::ServerTime(absl::Time deadline, TimeCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->ServerTime(deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

L2Health StoreWire::Health() const {
  L2Health health = store_->Health();
  if (mode == Mode::kRefused) {
    health.connected = false;
    health.problem = "refused";
  }
  return health;
}

// --- ReplicationWorld.

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
