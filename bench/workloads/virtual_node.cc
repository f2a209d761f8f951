#include "bench/workloads/virtual_node.h"

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/base/timer_queue.h"
#include "common/base/version.h"
#include "common/cluster/topology.h"
#include "common/engine/engine.h"
#include "server/node/miss_path.h"
#include "server/node/namespaces.h"
#include "server/node/node_context.h"
#include "server/node/peer_transport.h"
#include "server/node/read_path.h"
#include "server/node/write_path.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_l2_store.h"

namespace meridian {
namespace {

constexpr absl::Duration kHousekeepingInterval = absl::Milliseconds(100);
constexpr size_t kHousekeepingEntries = 20'000;
constexpr absl::Duration kDeadline = absl::Seconds(1);

[[noreturn]] void Fail(const Error* error) {
  std::fprintf(stderr, "the node failed a call: %s\n",
               error == nullptr ? "an unexpected state" : error->message.c_str());
  std::exit(1);
}

}  // namespace

struct VirtualNode::Parts {
  explicit Parts(const NodeConfig& config, std::unique_ptr<Engine> made)
      : versions(clock, RegionId("bench")),
        engine(std::move(made)),
        namespaces(*engine, config.policies),
        store(clock, executor),
        context{"n0",       false, absl::Hours(24), clock,    versions, *engine,
                namespaces, store, peers,           topology, timers},
        misses(context),
        reads(context, misses),
        writes(context, misses) {}

  FakeClock clock;
  const absl::Duration started = clock.Monotonic();
  FakeExecutor executor{clock};
  TimerQueue timers{clock, executor};
  HybridClock versions;
  std::unique_ptr<Engine> engine;
  Namespaces namespaces;
  FakeL2Store store;
  NoPeers peers;
  TopologyHolder topology;
  NodeContext context;
  MissPath misses;
  ReadPath reads;
  WritePath writes;
  absl::Duration next_housekeeping = clock.Monotonic();
};

absl::StatusOr<std::unique_ptr<VirtualNode>> VirtualNode::Create(const NodeConfig& config) {
  ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                   Engine::Create({.capacity_bytes = config.l1_max_bytes,
                                   .capacity_entries = config.l1_max_entries,
                                   .shard_bits = 0,
                                   .policy = config.l1_policy}));
  auto parts = std::make_unique<Parts>(config, std::move(engine));
  Member member;
  member.id = "n0";
  ASSIGN_OR_RETURN(Topology topology, Topology::Create(1, "bench", {member}));
  parts->topology.Offer(std::move(topology));
  return std::unique_ptr<VirtualNode>(new VirtualNode(std::move(parts)));
}

VirtualNode::VirtualNode(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

VirtualNode::~VirtualNode() = default;

void VirtualNode::AdvanceTo(absl::Duration since_start) {
  const absl::Duration end = parts_->started + since_start;
  while (parts_->next_housekeeping <= end) {
    parts_->executor.RunFor(parts_->next_housekeeping - parts_->clock.Monotonic());
    parts_->engine->Advance(parts_->clock.Monotonic(), kHousekeepingEntries);
    parts_->next_housekeeping += kHousekeepingInterval;
  }
  if (end > parts_->clock.Monotonic()) parts_->executor.RunFor(end - parts_->clock.Monotonic());
}

Tier VirtualNode::Get(std::string_view name_space, std::string_view key) {
  ReadRequest request;
  request.name_space = name_space;
  request.keys = {key};
  request.deadline = parts_->clock.Now() + kDeadline;
  std::vector<ReadResult> results;
  parts_->reads.Read(request,
                     [&results](std::vector<ReadResult> answer) { results = std::move(answer); });
  parts_->executor.RunDue();
  if (results.size() != 1) Fail(nullptr);
  if (results[0].state == EntryState::kMiss) return Tier::kNone;
  if (results[0].state != EntryState::kOk) Fail(results[0].error.get());
  return results[0].tier;
}

void VirtualNode::Set(std::string_view name_space, std::string_view key, std::string_view value,
                      absl::Duration ttl) {
  WriteRequest request;
  request.name_space = name_space;
  WriteItem item;
  item.key = key;
  item.value = value;
  item.ttl = ttl;
  request.items.push_back(std::move(item));
  request.deadline = parts_->clock.Now() + kDeadline;
  std::vector<WriteResult> results;
  parts_->writes.Write(
      request, [&results](std::vector<WriteResult> answer) { results = std::move(answer); });
  parts_->executor.RunDue();
  if (results.size() != 1 || results[0].state != EntryState::kOk) {
    Fail(results.empty() ? nullptr : results[0].error.get());
  }
}

EngineCounters VirtualNode::L1() const {
  EngineCounters sum;
  for (const NamespaceEngineStats& stats : parts_->engine->Stats()) sum += stats.counters;
  return sum;
}

}  // namespace meridian
