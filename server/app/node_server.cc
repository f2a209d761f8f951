#include "server/app/node_server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "common/base/executor.h"
#include "common/base/status_macros.h"
#include "common/rpc/server_settings.h"
#include "common/telemetry/metric_registry.h"
#include "common/telemetry/process_metrics.h"
#include "server/app/logging.h"
#include "server/app/node_metrics.h"
#include "server/app/ready_file.h"
#include "server/dashboard/metrics_http.h"
#include "server/l2/event_loop.h"
#include "server/l2/redis_store.h"
#include "server/membership/coordinator_client.h"
#include "server/membership/grpc_coordinator_transport.h"
#include "server/membership/static_topology.h"
#include "server/node/explain.h"
#include "server/node/namespace_what_if.h"
#include "server/node/no_l2.h"
#include "server/node/node_context.h"
#include "server/node/read_path.h"
#include "server/node/write_path.h"
#include "server/peer/grpc_peer_transport.h"
#include "server/policy/policy_store.h"
#include "server/replication/replication.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/cache_service.h"
#include "server/rpc/peer_service.h"
#include "server/rpc/rpc_metrics.h"
#include "server/rpc/topology_stream.h"

namespace meridian {
namespace {

constexpr absl::Duration kHousekeepingInterval = absl::Milliseconds(100);
constexpr absl::Duration kFitInterval = absl::Seconds(1);
constexpr size_t kHousekeepingEntries = 20'000;
constexpr absl::Duration kHeartbeatTtl = absl::Seconds(60);
constexpr absl::Duration kLeaveTimeout = absl::Seconds(2);

uint64_t RandomSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// Host that others use for an address that this node listens on.
absl::StatusOr<std::string> Advertised(const std::string& listen, int port,
                                       const std::string& advertise_host) {
  const std::string bound = BoundAddress(listen, port);
  if (!advertise_host.empty()) return absl::StrCat(advertise_host, ":", port);
  if (absl::StartsWith(bound, "0.0.0.0:") || absl::StartsWith(bound, "[::]:")) {
    return absl::InvalidArgumentError(
        absl::StrCat("listening on ", listen, " needs --advertise-host: a name or address by which "
                     "others reach this machine"));
  }
  return bound;
}

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

}  // namespace

// Everything that a node is, in the order in which it is made.
struct NodeServer::Parts {
  NodeConfig config;
  SystemClock clock;
  ClockGuard clock_guard{clock};
  std::unique_ptr<HintLog> hints;
  absl::Duration started = clock.Monotonic();
  MetricRegistry registry;
  std::unique_ptr<HybridClock> versions;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Namespaces> namespaces;
  std::unique_ptr<PolicyStore> policy_store;  // nullptr: no file.
  TopologyHolder topology;
  std::unique_ptr<L2Metrics> l2_metrics;
  std::unique_ptr<ReplicationMetrics> replication_metrics;
  std::unique_ptr<ThreadExecutor> housekeeping;
  std::unique_ptr<ThreadExecutor> background;  // What takes long and nobody waits for.
  std::unique_ptr<ThreadExecutor> inflater;
  std::unique_ptr<ThreadExecutor> replication_executor;
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<L2Store> l2;
  std::map<std::string, std::unique_ptr<RedisStore>> region_l2;
  std::unique_ptr<GrpcPeerTransport> peers;
  std::unique_ptr<NodeContext> context;
  std::unique_ptr<ReadPath> reads;
  std::unique_ptr<WritePath> writes;
  std::unique_ptr<Explainer> explainer;
  std::unique_ptr<RpcMetrics> rpc_metrics;
  std::unique_ptr<TopologyStreams> topology_streams;
  std::unique_ptr<CacheServiceHandlers> cache_service;
  std::unique_ptr<PeerServiceHandlers> peer_service;
  std::unique_ptr<AdminServiceHandlers> admin_service;
  std::unique_ptr<Replication> replication;
  std::unique_ptr<GrpcCoordinatorTransport> coordinator_transport;
  std::unique_ptr<CoordinatorClient> coordinator_client;
  std::unique_ptr<grpc::Server> data_server;
  std::unique_ptr<grpc::Server> peer_server;
  std::unique_ptr<grpc::Server> admin_server;
  std::unique_ptr<MetricsHttp> http;
  Member member;
  std::atomic<bool> stopping{false};
  absl::Notification servers_stopped;

  absl::Status MakeStores();
  absl::Status MakeCache();
  void FollowPolicies();
  absl::Status MakeReplication();
  absl::Status Listen();
  absl::Status Join();
  void MakeMetrics();
  AdminSources MakeAdminSources();
  std::vector<RegionL2> L2States() const;
  std::vector<LinkStatus> Links() const;
  std::vector<std::string> Warnings() const;
  Readiness ReadinessNow() const;
  void WriteHeartbeat(std::string_view name_space, const std::string& key);
  void KeepHouse();
  void FitLogs();
  void Leave();
};

absl::Status NodeServer::Parts::MakeStores() {
  l2_metrics = std::make_unique<L2Metrics>(registry);
  ASSIGN_OR_RETURN(loop, EventLoop::Create("redis"));
  if (config.redis_url.empty()) {
    l2 = std::make_unique<NoL2>();
    spdlog::warn("no Redis is configured: values live in L1 only and do not replicate");
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(l2, CreateStore(*loop, config, config.redis_url, clock,
                                   &l2_metrics->For(config.region)));
  for (const auto& [region, url] : config.region_redis) {
    ASSIGN_OR_RETURN(region_l2[region],
                     CreateStore(*loop, config, url, clock, &l2_metrics->For(region)));
  }
  return absl::OkStatus();
}

absl::Status NodeServer::Parts::MakeCache() {
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
  peers = std::make_unique<GrpcPeerTransport>(config.id, *versions, clock, clock_guard);
  context = std::unique_ptr<NodeContext>(new NodeContext{
      config.id, config.redis_url.empty(), config.tombstone_ttl, clock, *versions, *engine,
      *namespaces, *l2, *peers, topology});
  context->inflater = inflater.get();
  context->clock_guard = &clock_guard;
  hints = std::make_unique<HintLog>(
      HintLogOptions{.max_bytes = config.hints_max_bytes, .max_age = config.hints_max_age});
  if (!config.redis_url.empty()) context->hints = hints.get();
  reads = std::make_unique<ReadPath>(*context);
  writes = std::make_unique<WritePath>(*context);
  explainer = std::make_unique<Explainer>(*context);
  // Whoever gets or gives a slot forgets what L1 held of it: while it was another's, it may have
  // changed.
  topology.AddListener([this](const TopologyHolder::Snapshot& previous,
                              const TopologyHolder::Snapshot& current) {
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      const Member* before = previous->OwnerOf(slot);
      const Member* after = current->OwnerOf(slot);
      const bool was_ours = before != nullptr && before->id == config.id;
      const bool is_ours = after != nullptr && after->id == config.id;
      if (was_ours != is_ours) engine->DropSlot(slot);
    }
    peers->Forget(*current);
    spdlog::info("epoch {}: {} members, {} slots here", current->epoch(),
                 current->members().size(), current->SlotsOf(config.id).size());
  });
  return absl::OkStatus();
}

void NodeServer::Parts::FollowPolicies() {
  if (config.policies_file.empty()) return;
  policy_store = std::make_unique<PolicyStore>(
      PolicyStoreOptions{config.policies_file, config.policies_kind, config.policies_text,
                         config.policies_poll},
      *housekeeping, clock,
      [this](std::shared_ptr<const PolicyTable> table) {
        namespaces->SetPolicies(std::move(table));
      },
      [this](const PolicyStoreStatus& status) {
        if (!status.problem.empty()) {
          spdlog::error("policies: {}; those of before stay in force", status.problem);
          return;
        }
        spdlog::info("policies of {} are in force", status.file);
        for (const std::string& problem : namespaces->Problems()) spdlog::warn("{}", problem);
      });
  AddPolicyMetrics(*policy_store, registry);
  policy_store->Start();
}

absl::Status NodeServer::Parts::MakeReplication() {
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
  options.link.repair.tombstone_ttl = config.tombstone_ttl;
  ASSIGN_OR_RETURN(
      replication,
      Replication::Create(
          std::move(options),
          ReplicationDeps{*l2, std::move(others), *engine, *versions, topology,
                          *replication_executor, clock, *replication_metrics, clock_guard, *hints,
                          [this](std::string_view name_space) {
                            return namespaces->policies()->Of(name_space).replication;
                          },
                          [this](std::string_view name_space, const std::string& key) {
                            WriteHeartbeat(name_space, key);
                          }}));
  if (!region_l2.empty()) context->sync = &replication->sync();
  replication_metrics->AddLinks(registry, [this] { return Links(); });
  replication->Start();
  return absl::OkStatus();
}

void NodeServer::Parts::WriteHeartbeat(std::string_view name_space, const std::string& key) {
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

std::vector<RegionL2> NodeServer::Parts::L2States() const {
  std::vector<RegionL2> states = {{config.region, l2->Health()}};
  for (const auto& [region, store] : region_l2) states.push_back({region, store->Health()});
  return states;
}

std::vector<LinkStatus> NodeServer::Parts::Links() const {
  return replication == nullptr ? std::vector<LinkStatus>() : replication->Links();
}

std::vector<std::string> NodeServer::Parts::Warnings() const {
  std::vector<std::string> warnings;
  for (const RegionL2& state : L2States()) {
    if (!state.health.problem.empty()) {
      warnings.push_back(absl::StrCat("Redis of ", state.region, ": ", state.health.problem));
    }
  }
  if (const absl::Status status = clock_guard.Check(); !status.ok()) {
    warnings.push_back(std::string(status.message()));
  }
  for (const ClockOffset& offset : clock_guard.Offsets()) {
    if (absl::AbsDuration(offset.ahead) <= ClockGuard::kMaxSkew || !clock_guard.ok()) continue;
    warnings.push_back(absl::StrCat("the clock of ", offset.reference, " is ",
                                    absl::FormatDuration(absl::AbsDuration(offset.ahead)),
                                    offset.ahead > absl::ZeroDuration() ? " behind" : " ahead",
                                    "; check NTP there"));
  }
  if (const HintStats stats = hints->Stats(clock.Monotonic()); stats.entries > 0) {
    warnings.push_back(absl::StrCat(
        stats.entries, " writes that were accepted without Redis wait for it, the oldest for ",
        absl::FormatDuration(absl::Trunc(stats.oldest, absl::Seconds(1))),
        "; they are lost if this process ends"));
  }
  for (const LinkStatus& link : Links()) {
    if (link.state != LinkState::kCut) continue;
    warnings.push_back(absl::StrCat("replication to ", link.to, " is ", link.problem,
                                    "; meridianctl region heal ", link.to));
  }
  if (config.insecure) {
    warnings.push_back("plaintext without authentication is reachable beyond this machine");
  }
  if (coordinator_client != nullptr && !coordinator_client->status().connected) {
    warnings.push_back(absl::StrCat("no coordinator answers, the last topology stays: ",
                                    coordinator_client->status().problem));
  }
  for (std::string& problem : namespaces->Problems()) warnings.push_back(std::move(problem));
  if (policy_store != nullptr && !policy_store->Status().problem.empty()) {
    warnings.push_back(absl::StrCat("policies: ", policy_store->Status().problem,
                                    "; those of before stay in force"));
  }
  return warnings;
}

Readiness NodeServer::Parts::ReadinessNow() const {
  if (stopping) return {false, "stopping"};
  const TopologyHolder::Snapshot now = topology.Get();
  const uint16_t index = now->IndexOf(config.id);
  if (index == Topology::kNoOwner) return {false, "not in the topology yet"};
  if (now->members()[index].state != MemberState::kServing) return {false, "not serving yet"};
  if (const absl::Status status = clock_guard.Check(); !status.ok()) {
    return {false, std::string(status.message())};
  }
  if (replication != nullptr) {
    const std::vector<std::string> waits = replication->WaitsForFences();
    if (!waits.empty()) {
      return {false, absl::StrCat("this region was away for longer than tombstones are kept; waits "
                                  "until ",
                                  absl::StrJoin(waits, ", "), " has said what was deleted")};
    }
  }
  return {true, absl::StrCat("serving in epoch ", now->epoch())};
}

AdminSources NodeServer::Parts::MakeAdminSources() {
  AdminSources sources;
  sources.region = config.region;
  sources.started = started;
  sources.l2 = [this] { return L2States(); };
  sources.links = [this] { return Links(); };
  sources.coordinator = [this]() -> std::string {
    if (coordinator_client == nullptr) return "";
    const CoordinatorClientStatus status = coordinator_client->status();
    return status.connected ? status.coordinator : "";
  };
  if (replication != nullptr) {
    sources.diff = [this](RegionDiffOptions options, RegionDiff::Done done) {
      replication->Diff(std::move(options), std::move(done));
    };
    if (!region_l2.empty()) {
      sources.set_cut = [this](const std::string& region, bool cut, std::string reason,
                               std::function<void(absl::Status)> done) {
        replication->SetCut(region, cut, std::move(reason), std::move(done));
      };
    }
  }
  sources.warnings = [this] { return Warnings(); };
  sources.policies = [this] {
    return policy_store == nullptr ? std::optional<PolicyStoreStatus>() : policy_store->Status();
  };
  sources.set_log_level = [](const std::string& level) { return SetLogLevel(level); };
  return sources;
}

void NodeServer::Parts::MakeMetrics() {
  AddProcessMetrics(registry);
  AddBuildInfo(registry);
  AddNodeMetrics(*context, registry);
  rpc_metrics = std::make_unique<RpcMetrics>(registry);
  if (config.redis_url.empty()) return;
  l2_metrics->AddStates(registry, [this] {
    std::vector<std::pair<std::string, L2Health>> states;
    for (RegionL2& state : L2States()) {
      states.emplace_back(std::move(state.region), std::move(state.health));
    }
    return states;
  });
}

absl::Status NodeServer::Parts::Listen() {
  topology_streams = std::make_unique<TopologyStreams>(topology);
  cache_service = std::make_unique<CacheServiceHandlers>(*context, *reads, *writes,
                                                         *topology_streams, *rpc_metrics);
  peer_service = std::make_unique<PeerServiceHandlers>(*context, *reads, *writes, *explainer);
  admin_service = std::make_unique<AdminServiceHandlers>(*context, *writes, *explainer,
                                                         *background, MakeAdminSources());
  const auto listen = [](const std::string& address, grpc::Service* service, int* port)
      -> absl::StatusOr<std::unique_ptr<grpc::Server>> {
    grpc::ServerBuilder builder;
    ApplyServerSettings(&builder);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), port);
    builder.RegisterService(service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr || *port == 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", address, "; is the port in use by another process?"));
    }
    return server;
  };
  int data_port = 0;
  int peer_port = 0;
  int admin_port = 0;
  ASSIGN_OR_RETURN(data_server, listen(config.data_address, cache_service.get(), &data_port));
  ASSIGN_OR_RETURN(peer_server, listen(config.peer_address, peer_service.get(), &peer_port));
  ASSIGN_OR_RETURN(admin_server, listen(config.admin_address, admin_service.get(), &admin_port));
  MetricsHttpOptions http_options;
  http_options.address = config.http_address;
  http_options.readiness = [this] { return ReadinessNow(); };
  ASSIGN_OR_RETURN(http, MetricsHttp::Start(std::move(http_options), registry));

  member.id = config.id;
  member.weight = config.weight;
  member.state = MemberState::kJoining;
  member.incarnation = static_cast<uint64_t>(absl::ToUnixMicros(clock.Now()));
  ASSIGN_OR_RETURN(member.data_address,
                   Advertised(config.data_address, data_port, config.advertise_host));
  ASSIGN_OR_RETURN(member.peer_address,
                   Advertised(config.peer_address, peer_port, config.advertise_host));
  ASSIGN_OR_RETURN(member.admin_address,
                   Advertised(config.admin_address, admin_port, config.advertise_host));
  ASSIGN_OR_RETURN(member.http_address,
                   Advertised(http->address(), http->port(), config.advertise_host));
  return absl::OkStatus();
}

absl::Status NodeServer::Parts::Join() {
  if (config.coordinators.empty()) {
    std::vector<Member> members = config.static_peers;
    if (members.empty()) members = {member};
    for (Member& peer : members) {
      peer.state = MemberState::kServing;
      if (peer.id == config.id) {
        peer.admin_address = member.admin_address;
        peer.http_address = member.http_address;
      }
    }
    ASSIGN_OR_RETURN(Topology fixed, StaticTopology(config.region, std::move(members)));
    topology.Offer(std::move(fixed));
    return absl::OkStatus();
  }
  coordinator_transport = std::make_unique<GrpcCoordinatorTransport>();
  CoordinatorClientOptions options;
  options.coordinators = config.coordinators;
  options.region = config.region;
  options.member = member;
  options.random_seed = RandomSeed();
  coordinator_client = std::make_unique<CoordinatorClient>(
      std::move(options), clock, *housekeeping, *coordinator_transport, topology);
  coordinator_client->Start();
  return absl::OkStatus();
}

void NodeServer::Parts::KeepHouse() {
  engine->Advance(clock.Monotonic(), kHousekeepingEntries);
  housekeeping->PostAfter(kHousekeepingInterval, [this] { KeepHouse(); });
}

void NodeServer::Parts::FitLogs() {
  FitTrafficLogs(*context);
  housekeeping->PostAfter(kFitInterval, [this] { FitLogs(); });
}

void NodeServer::Parts::Leave() {
  if (coordinator_client == nullptr) return;
  if (coordinator_client->status().connected && !topology.Get()->SlotsOf(config.id).empty()) {
    // The listener stays with the holder after this function: what it tells must live as long.
    auto left = std::make_shared<absl::Notification>();
    topology.AddListener([left, id = config.id](const TopologyHolder::Snapshot&,
                                                const TopologyHolder::Snapshot& current) {
      if (current->SlotsOf(id).empty() && !left->HasBeenNotified()) left->Notify();
    });
    coordinator_client->SetState(MemberState::kDraining);
    left->WaitForNotificationWithTimeout(kLeaveTimeout);
  }
  auto stopped = std::make_shared<absl::Notification>();
  coordinator_client->Stop([stopped] { stopped->Notify(); });
  stopped->WaitForNotificationWithTimeout(kLeaveTimeout);
}

NodeServer::NodeServer() : parts_(std::make_unique<Parts>()) {}

absl::StatusOr<std::unique_ptr<NodeServer>> NodeServer::Start(NodeConfig config) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::channelz::experimental::InitChannelzService();
  std::unique_ptr<NodeServer> server(new NodeServer());
  Parts& parts = *server->parts_;
  parts.config = std::move(config);
  parts.housekeeping = std::make_unique<ThreadExecutor>("housekeeping");
  parts.background = std::make_unique<ThreadExecutor>("background");
  parts.inflater = std::make_unique<ThreadExecutor>("inflater");
  RETURN_IF_ERROR(parts.MakeCache());
  parts.MakeMetrics();
  parts.FollowPolicies();
  RETURN_IF_ERROR(parts.MakeReplication());
  RETURN_IF_ERROR(parts.Listen());
  RETURN_IF_ERROR(parts.Join());
  parts.KeepHouse();
  parts.FitLogs();
  RETURN_IF_ERROR(WriteReadyFile(parts.config.ready_file,
                                 {{"name", parts.member.id},
                                  {"region", parts.config.region},
                                  {"data", parts.member.data_address},
                                  {"peer", parts.member.peer_address},
                                  {"admin", parts.member.admin_address},
                                  {"http", parts.member.http_address}}));
  spdlog::info("node {} of region {} listens: data {}, peer {}, admin {}, http {}", parts.member.id,
               parts.config.region, parts.member.data_address, parts.member.peer_address,
               parts.member.admin_address, parts.member.http_address);
  return server;
}

void NodeServer::ReloadPolicies() {
  if (parts_->policy_store == nullptr) {
    spdlog::warn("no file of policies to read again: give --policies, or policies in --config");
    return;
  }
  parts_->policy_store->Reload();
}

void NodeServer::Stop(absl::Duration grace) {
  Parts& parts = *parts_;
  if (parts.stopping.exchange(true)) return;
  for (grpc::Server* server : {parts.data_server.get(), parts.admin_server.get()}) {
    if (server != nullptr) server->GetHealthCheckService()->SetServingStatus(false);
  }
  parts.Leave();
  if (parts.topology_streams != nullptr) parts.topology_streams->Shutdown();
  // New calls are refused from here on. Those under way may wait for a peer that does not answer: they
  // have the grace, then their calls to peers are cancelled and they go around or fail.
  const auto deadline = absl::ToChronoTime(parts.clock.Now() + grace);
  std::thread cancel([&parts, grace, done = &parts.servers_stopped]() mutable {
    while (!done->WaitForNotificationWithTimeout(grace)) {
      parts.peers->CancelAll();
      if (parts.replication != nullptr) parts.replication->AnswerSyncWaits();
      grace = absl::Milliseconds(100);
    }
  });
  for (grpc::Server* server :
       {parts.data_server.get(), parts.peer_server.get(), parts.admin_server.get()}) {
    if (server != nullptr) server->Shutdown(deadline);
  }
  parts.servers_stopped.Notify();
  cancel.join();
}

NodeServer::~NodeServer() {
  Stop(absl::Seconds(2));
  Parts& parts = *parts_;
  parts.http.reset();
  parts.data_server.reset();
  parts.admin_server.reset();
  parts.peer_server.reset();
  if (parts.replication != nullptr) parts.replication->Stop();
  if (parts.hints != nullptr && !parts.hints->empty()) {
    spdlog::error("{} writes that were accepted without Redis are lost: it did not come back",
                  parts.hints->Stats(parts.clock.Monotonic()).entries);
  }
  if (parts.housekeeping != nullptr) parts.housekeeping->Stop();
  if (parts.background != nullptr) parts.background->Stop();
  parts.coordinator_client.reset();
  parts.coordinator_transport.reset();
  parts.peers.reset();
  // The stores answer what is pending; those callbacks still find the cache and the executor.
  parts.region_l2.clear();
  parts.l2.reset();
  parts.loop.reset();
  if (parts.inflater != nullptr) parts.inflater->Stop();
  if (parts.replication_executor != nullptr) parts.replication_executor->Stop();
}

}  // namespace meridian
