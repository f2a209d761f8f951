#include "server/replication/replication.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/status_macros.h"
#include "server/node/heat_namespace.h"
#include "server/replication/carried_out_queue.h"
#include "server/replication/clock_watch.h"
#include "server/replication/engine_coherence.h"
#include "server/replication/fence_follower.h"
#include "server/replication/fence_wait.h"
#include "server/replication/hearing.h"
#include "server/replication/hint_replay.h"
#include "server/replication/lease_waker.h"
#include "server/replication/region_cuts.h"
#include "server/replication/replicated_write.h"
#include "server/replication/replicator.h"
#include "server/replication/slot_fencer.h"
#include "server/replication/sync_waits.h"
#include "server/replication/task_gate.h"
#include "server/replication/watch_feed.h"

namespace meridian {
namespace {

// How often L1 of a fenced slot begins anew in the life of a tombstone.
constexpr int kFenceSteps = 24;

absl::Status Positive(const char* field, absl::Duration value) {
  if (value > absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("replication: ", field, " is ", absl::FormatDuration(value), ", must be > 0"));
}

absl::Status Positive(const char* field, size_t value) {
  if (value > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("replication: ", field, " is 0, must be > 0"));
}

ReplicationLinkOptions LinkOptions(const ReplicationOptions& options) {
  ReplicationLinkOptions link = options.link;
  link.own_region = options.own_region;
  link.seed = Hash64(options.node_id);
  return link;
}

ReplicationLink::ModeOf WithInternal(ReplicationLink::ModeOf mode_of) {
  return [mode_of = std::move(mode_of)](std::string_view name_space) {
    if (name_space == kLocalFenceNamespace || name_space == kHeatNamespace) {
      return ReplicationMode::kLocal;
    }
    return IsInternalNamespace(name_space) ? ReplicationMode::kAsync : mode_of(name_space);
  };
}

StoreRecovery::StoredUntil OrUnknown(StoreRecovery::StoredUntil stored_until) {
  if (stored_until != nullptr) return stored_until;
  return [](uint64_t) { return absl::ZeroDuration(); };
}

std::vector<std::string> NamesOf(const std::map<std::string, L2Store*>& stores) {
  std::vector<std::string> names;
  for (const auto& [region, store] : stores) names.push_back(region);
  return names;
}

StalenessOptions SamplerOptions(const ReplicationOptions& options) {
  StalenessOptions sampler = options.staleness;
  sampler.own_region = options.own_region;
  sampler.node_id = options.node_id;
  return sampler;
}

StoreUpkeepOptions UpkeepOptions(const ReplicationOptions& options) {
  StoreUpkeepOptions upkeep = options.upkeep;
  upkeep.tombstone_ttl = options.link.repair.tombstone_ttl;
  return upkeep;
}

std::map<std::string, L2Store*> AllStores(const ReplicationOptions& options,
                                          const ReplicationDeps& deps) {
  std::map<std::string, L2Store*> stores = deps.others;
  stores[options.own_region] = &deps.own;
  return stores;
}

std::vector<ChangeSink*> SinksAnd(ChangeSink* follower, std::vector<ChangeSink*> sinks) {
  if (follower != nullptr) sinks.push_back(follower);
  return sinks;
}

absl::Status CheckRegions(const std::string& own, const std::map<std::string, L2Store*>& others) {
  std::map<uint16_t, std::string> by_id = {{RegionId(own), own}};
  for (const auto& [region, store] : others) {
    if (region == own) {
      return absl::InvalidArgumentError(
          absl::StrCat("replication: own region '", own, "' is among the others"));
    }
    const auto [it, is_new] = by_id.emplace(RegionId(region), region);
    if (is_new) continue;
    return absl::InvalidArgumentError(absl::StrCat("replication: regions '", it->second, "' and '",
                                                   region, "' have the same id ", it->first,
                                                   "; rename one"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReplicationOptions::Validate() const {
  if (own_region.empty()) return absl::InvalidArgumentError("replication: own_region is empty");
  if (node_id.empty()) return absl::InvalidArgumentError("replication: node_id is empty");
  if (heartbeat_interval < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("replication: heartbeat_interval is negative");
  }
  RETURN_IF_ERROR(Positive("tail.active_interval", tail.active_interval));
  RETURN_IF_ERROR(Positive("tail.idle_interval", tail.idle_interval));
  RETURN_IF_ERROR(Positive("tail.timeout", tail.timeout));
  RETURN_IF_ERROR(Positive("tail.stall", tail.stall));
  RETURN_IF_ERROR(Positive("tail.read_limit", tail.read_limit));
  RETURN_IF_ERROR(Positive("link.queue_capacity", link.queue_capacity));
  RETURN_IF_ERROR(Positive("link.batch_changes", link.batch_changes));
  RETURN_IF_ERROR(Positive("link.batch_bytes", link.batch_bytes));
  RETURN_IF_ERROR(Positive("link.max_fetches", link.max_fetches));
  RETURN_IF_ERROR(Positive("link.max_slots", link.max_slots));
  RETURN_IF_ERROR(Positive("link.read_entries", link.read_entries));
  RETURN_IF_ERROR(Positive("link.read_slots", link.read_slots));
  RETURN_IF_ERROR(Positive("link.tick", link.tick));
  RETURN_IF_ERROR(Positive("link.repair.page_keys", link.repair.page_keys));
  RETURN_IF_ERROR(Positive("link.repair.fetch_keys", link.repair.fetch_keys));
  RETURN_IF_ERROR(Positive("link.repair.timeout", link.repair.timeout));
  RETURN_IF_ERROR(Positive("link.repair.tombstone_ttl", link.repair.tombstone_ttl));
  if (!(link.repair.keys_per_second > 0)) {
    return absl::InvalidArgumentError("replication: link.repair.keys_per_second must be > 0");
  }
  return Positive("link.timeout", link.timeout);
}

struct Replication::Parts {
  Parts(ReplicationOptions opts, ReplicationDeps d)
      : options(std::move(opts)),
        deps(std::move(d)),
        gate(deps.executor),
        coherence(deps.engine, deps.hybrid_clock, deps.clock, deps.observer, deps.followed),
        hearing(options.link.repair.hearing, deps.own, deps.others, gate, deps.clock),
        sync_waits(gate, deps.clock, [this] { tail.Nudge(); }),
        replicator(LinkOptions(options), deps.own, deps.others, gate, hearing, deps.clock,
                   deps.clock_guard, deps.observer, WithInternal(deps.mode_of), sync_waits),
        cuts(options.own_region, NamesOf(deps.others), deps.own, deps.hybrid_clock, gate,
             deps.clock,
             [this](const std::string& region, const std::optional<RegionCut>& cut) {
               replicator.SetCut(region, cut);
             }),
        clock_watch(AllStores(options, deps), deps.clock_guard, gate, deps.clock, deps.observer),
        fencer(options.link.repair.tombstone_ttl / kFenceSteps, deps.horizons, deps.engine,
               deps.watch),
        fence_wait(
            {.own_region = options.own_region, .tombstone_ttl = options.link.repair.tombstone_ttl},
            deps.own, deps.others, gate, deps.clock,
            [this](const std::map<uint32_t, absl::Time>& fenced) { fencer.Set(fenced); }),
        hint_replay(deps.hints, deps.own, gate, deps.clock),
        recovery(
            {.tombstone_ttl = options.link.repair.tombstone_ttl}, deps.own, deps.engine,
            OrUnknown(deps.stored_until),
            [this](const L2Key& key, Version newest) {
              if (deps.watch == nullptr) return;
              deps.watch->Changed(key.slot, key.name_space, key.key, newest);
            },
            gate, deps.clock, deps.observer),
        fence_follower({.node_id = options.node_id, .log_entries = options.tail.log_entries},
                       deps.own, deps.fences, deps.topology, gate, deps.clock, deps.observer),
        upkeep(UpkeepOptions(options), deps.own, gate, deps.clock),
        lease_waker(deps.engine, deps.misses),
        watch_feed(deps.watch, fence_follower, recovery),
        staleness(SamplerOptions(options), deps.own, deps.others, deps.engine, deps.fences,
                  deps.mirrors, deps.peers, deps.topology, gate, deps.clock, deps.mode_of,
                  [this](const std::string& region) { return replicator.StateOf(region); }),
        carried_out(gate, [this](const CarriedOut& change) { staleness.OnCarriedOut(change); }),
        // L1 first: what a slot held is gone before anybody hears that it is followed.
        tail(options.tail, deps.own, gate, deps.clock, deps.observer,
             SinksAnd(deps.follower, {&coherence, &recovery, &lease_waker, &watch_feed, &replicator,
                                      &staleness, &fence_wait})),
        heartbeat(options.own_region, options.heartbeat_interval, gate, deps.write_heartbeat) {}

  void FollowTopology() {
    const std::vector<uint32_t> slots = deps.topology.Get()->SlotsOf(options.node_id);
    tail.SetOwned(slots);
    heartbeat.SetOwned(slots);
    fence_wait.SetOwned(slots);
    upkeep.SetOwned(slots);
  }

  const ReplicationOptions options;
  const ReplicationDeps deps;
  const TaskGate gate;
  EngineCoherence coherence;
  Hearing hearing;
  SyncWaits sync_waits;
  Replicator replicator;
  RegionCuts cuts;
  ClockWatch clock_watch;
  SlotFencer fencer;
  FenceWait fence_wait;
  HintReplay hint_replay;
  StoreRecovery recovery;
  FenceFollower fence_follower;
  StoreUpkeep upkeep;
  LeaseWaker lease_waker;
  WatchFeed watch_feed;
  StalenessSampler staleness;
  const CarriedOutQueue carried_out;  // To the sampler.
  ChangelogTail tail;
  Heartbeat heartbeat;
};

absl::StatusOr<std::unique_ptr<Replication>> Replication::Create(ReplicationOptions options,
                                                                 ReplicationDeps deps) {
  RETURN_IF_ERROR(options.Validate());
  RETURN_IF_ERROR(CheckRegions(options.own_region, deps.others));
  return std::unique_ptr<Replication>(new Replication(std::move(options), std::move(deps)));
}

Replication::Replication(ReplicationOptions options, ReplicationDeps deps)
    : parts_(std::make_unique<Parts>(std::move(options), std::move(deps))) {}

Replication::~Replication() { Stop(); }

void Replication::Start() {
  Parts* const parts = parts_.get();
  // The listener may outlive this: then the gate is closed and the task is dropped.
  parts->deps.topology.AddListener([gate = parts->gate, parts](const TopologyHolder::Snapshot&,
                                                               const TopologyHolder::Snapshot&) {
    gate.Post([parts] { parts->FollowTopology(); });
  });
  parts->gate.Post([parts] {
    parts->FollowTopology();
    parts->tail.Start();
    parts->replicator.Start();
    parts->cuts.Start();
    parts->clock_watch.Start();
    parts->hint_replay.Start();
    parts->fence_follower.Start();
    parts->upkeep.Start();
    if (parts->options.heartbeat_interval > absl::ZeroDuration()) parts->heartbeat.Start();
  });
}

void Replication::Stop() { parts_->gate.Close(); }

std::vector<LinkStatus> Replication::Links() const {
  return parts_->gate.Locked([this] { return parts_->replicator.Links(); });
}

SampledStore::Listener Replication::CarriedOutListener() { return parts_->carried_out.Listener(); }

StalenessReport Replication::Staleness() const {
  StalenessReport report = parts_->gate.Locked([this] { return parts_->staleness.Report(); });
  const CarriedOutQueue::Dropped dropped = parts_->carried_out.dropped();
  report.dropped_changes_total = dropped.changes;
  report.dropped_fences_total = dropped.fences;
  return report;
}

void Replication::Diff(RegionDiffOptions options, RegionDiff::Done done) {
  Parts* const parts = parts_.get();
  const std::map<std::string, L2Store*> known = AllStores(parts->options, parts->deps);
  RegionDiff::Stores stores;
  for (const std::string& region : options.regions) {
    if (known.count(region) == 0) {
      RegionDiffResult unknown;
      unknown.status = absl::NotFoundError(
          absl::StrCat("UNKNOWN_REGION: region '", region, "' is not known here"));
      return done(std::move(unknown));
    }
  }
  for (const auto& [region, store] : known) {
    const bool named =
        std::find(options.regions.begin(), options.regions.end(), region) != options.regions.end();
    if (options.regions.empty() || named) stores.emplace_back(region, store);
  }
  if (stores.size() < 2) {
    RegionDiffResult alone;
    alone.status = absl::FailedPreconditionError(
        "NO_OTHER_REGION: one region alone has nothing to be compared with");
    return done(std::move(alone));
  }
  options.tombstone_ttl = parts->options.link.repair.tombstone_ttl;
  // Heartbeats are left out: they move all the time; and heat is each region's own. Where no values
  // are sent, regions differ.
  auto wanted = [parts](std::string_view name_space) {
    if (IsInternalNamespace(name_space)) return name_space == kFenceNamespace;
    const ReplicationMode mode = parts->deps.mode_of(name_space);
    return mode == ReplicationMode::kAsync || mode == ReplicationMode::kSync;
  };
  struct Start {
    RegionDiffOptions options;
    RegionDiff::Stores stores;
    RegionDiff::Done done;
    ~Start() {  // The gate was closed before it began.
      if (done == nullptr) return;
      RegionDiffResult closed;
      closed.status = absl::CancelledError("the node stops");
      done(std::move(closed));
    }
  };
  auto start = std::make_shared<Start>();
  start->options = std::move(options);
  start->stores = std::move(stores);
  start->done = std::move(done);
  parts->gate.Post([parts, start, wanted] {
    for (const auto& [region, store] : start->stores) {
      if (!start->options.repair || !parts->cuts.IsCut(region)) continue;
      RegionDiffResult refused;
      refused.status = absl::FailedPreconditionError(absl::StrCat(
          "REGION_CUT: replication to '", region, "' is cut; heal it, or compare without repair"));
      return std::exchange(start->done, nullptr)(std::move(refused));
    }
    RegionDiff::Run(std::move(start->options), std::move(start->stores), parts->gate,
                    parts->deps.clock, wanted, std::exchange(start->done, nullptr));
  });
}

void Replication::SetCut(const std::string& region, bool cut, std::string reason,
                         std::function<void(absl::Status)> done) {
  Parts* const parts = parts_.get();
  if (parts->deps.others.count(region) == 0) {
    return done(absl::NotFoundError(
        absl::StrCat("UNKNOWN_REGION: '", region, "' is no other region that this node knows")));
  }
  if (const absl::Status clock = parts->deps.clock_guard.Check(); !clock.ok()) return done(clock);
  struct Call {
    std::function<void(absl::Status)> done;
    ~Call() {  // The gate was closed before it began.
      if (done != nullptr) done(absl::CancelledError("the node stops"));
    }
  };
  auto call = std::make_shared<Call>();
  call->done = std::move(done);
  parts->gate.Post([parts, call, region, cut, reason = std::move(reason)]() mutable {
    parts->cuts.Set(region, cut, std::move(reason), std::exchange(call->done, nullptr));
  });
}

std::vector<std::string> Replication::WaitsForFences() const {
  return parts_->fence_wait.WaitsFor();
}

StoreUse Replication::Use() const { return parts_->upkeep.Use(); }

SyncReplication& Replication::sync() { return parts_->sync_waits; }

void Replication::AnswerSyncWaits() { parts_->sync_waits.AnswerAll(); }

size_t Replication::followed_slots() const {
  return parts_->gate.Locked([this] { return parts_->tail.followed(); });
}

}  // namespace meridian
