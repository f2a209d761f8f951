// NodeParts is everything that a node is, in the order in which it is made, and the steps that make
// it.
//
// Only node_server.cc says in which order the steps run; each step has its file: node_cache.cc (L1,
// the stores, policies), node_warmth.cc, node_replication.cc, node_listen.cc (services and ports),
// node_membership.cc (the topology: join, leave), node_status.cc (what a node says of itself:
// metrics, readiness, warnings). No step holds a rule of its own. Thread safety: made and taken
// apart by one thread; what says what the node is doing (the methods
//   that are const, and WriteHeartbeat) may be called by any once its parts are made.

#ifndef MERIDIAN_SERVER_APP_NODE_PARTS_H_
#define MERIDIAN_SERVER_APP_NODE_PARTS_H_

#include <grpcpp/server.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/base/executor.h"
#include "common/telemetry/metric_registry.h"
#include "server/app/certificate_expiry.h"
#include "server/app/health_listener.h"
#include "server/app/l2_metrics.h"
#include "server/app/node_metrics.h"
#include "server/app/origin_metrics.h"
#include "server/app/replication_metrics.h"
#include "server/dashboard/metrics_http.h"
#include "server/l2/event_loop.h"
#include "server/l2/redis_store.h"
#include "server/membership/coordinator_client.h"
#include "server/membership/grpc_coordinator_transport.h"
#include "server/membership/node_drain.h"
#include "server/membership/rollout_ticket.h"
#include "server/membership/slots_gone.h"
#include "server/membership/stored_policies.h"
#include "server/membership/update_reporter.h"
#include "server/node/explain.h"
#include "server/node/fence_path.h"
#include "server/node/fences.h"
#include "server/node/l2_usage.h"
#include "server/node/miss_path.h"
#include "server/node/namespace_what_if.h"
#include "server/node/node_context.h"
#include "server/node/read_path.h"
#include "server/node/update_log.h"
#include "server/node/write_path.h"
#include "server/origin/grpc_origin_transport.h"
#include "server/origin/origin_loader.h"
#include "server/peer/grpc_peer_transport.h"
#include "server/peer/mirror_cache.h"
#include "server/policy/node_config.h"
#include "server/policy/policy_follower.h"
#include "server/policy/policy_store.h"
#include "server/refill/refill.h"
#include "server/refill/warm_readiness.h"
#include "server/replication/replication.h"
#include "server/replication/sampled_store.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/cache_service.h"
#include "server/rpc/peer_service.h"
#include "server/rpc/rpc_metrics.h"
#include "server/rpc/topology_stream.h"
#include "server/rpc/watch_streams.h"

namespace meridian {

struct NodeParts {
  NodeConfig config;
  SystemClock clock;
  ClockGuard clock_guard{clock};
  std::unique_ptr<HintLog> hints;
  std::unique_ptr<Fences> fences;
  SlotHorizons horizons;
  FollowedSlots followed;
  absl::Duration started = clock.Monotonic();
  const uint64_t incarnation = static_cast<uint64_t>(absl::ToUnixMicros(clock.Now()));
  MetricRegistry registry;
  std::unique_ptr<HybridClock> versions;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Namespaces> namespaces;
  std::unique_ptr<PolicyFollower> policy_follower;
  std::unique_ptr<PolicyStore> policy_store;  // nullptr: no file.
  TopologyHolder topology;
  std::unique_ptr<L2Metrics> l2_metrics;
  std::unique_ptr<ReplicationMetrics> replication_metrics;
  std::unique_ptr<ThreadExecutor> housekeeping;
  std::unique_ptr<ThreadExecutor> background;  // What takes long and nobody waits for.
  std::unique_ptr<ThreadExecutor> inflater;
  std::unique_ptr<ThreadExecutor> replication_executor;
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<SampledStore> l2;  // In front of:
  std::unique_ptr<L2Store> regional_store;
  std::unique_ptr<L2UsageWatch> l2_usage;  // nullptr: there is no Redis.
  std::map<std::string, std::unique_ptr<RedisStore>> region_l2;
  ChannelSecurity security;  // Of channels to nodes and coordinators.
  std::unique_ptr<GrpcPeerTransport> peers;
  std::unique_ptr<ThreadExecutor> timer_executor;
  std::unique_ptr<TimerQueue> timers;
  std::unique_ptr<OriginMetrics> origin_metrics;
  std::unique_ptr<GrpcOriginTransport> origin_transport;
  std::unique_ptr<OriginLoader> origins;
  std::unique_ptr<AccessSampler> accesses;  // nullptr: nobody is sampled.
  std::unique_ptr<UpdateLog> updates;       // nullptr: nobody is told.
  std::unique_ptr<NodeContext> context;
  std::unique_ptr<MissPath> misses;
  std::unique_ptr<MirrorCache> mirrors;  // nullptr: none.
  std::unique_ptr<ReadPath> reads;
  std::unique_ptr<WritePath> writes;
  std::unique_ptr<FencePath> fence_path;
  std::unique_ptr<Explainer> explainer;
  std::unique_ptr<CertificateExpiry> certificates;
  std::unique_ptr<RpcMetrics> rpc_metrics;
  std::unique_ptr<TopologyStreams> topology_streams;
  std::unique_ptr<WatchHub> watch_hub;
  std::unique_ptr<ThreadExecutor> watch_executor;
  std::unique_ptr<WatchStreams> watch_streams;
  std::unique_ptr<CacheServiceHandlers> cache_service;
  std::unique_ptr<PeerServiceHandlers> peer_service;
  std::unique_ptr<AdminServiceHandlers> admin_service;
  std::unique_ptr<ThreadExecutor> refill_executor;
  std::unique_ptr<Refill> refill;                 // Without a store: nullptr,
  std::unique_ptr<WarmReadiness> warm_readiness;  // and nothing to wait for.
  std::unique_ptr<Replication> replication;
  std::unique_ptr<GrpcCoordinatorTransport> coordinator_transport;
  std::unique_ptr<CoordinatorClient> coordinator_client;
  std::unique_ptr<LeaseStore> policy_memory;         // Until the policies that it has are known:
  std::unique_ptr<StoredPolicies> stored_policies;  // nullptr without coordinators or Redis.
  std::unique_ptr<SlotsGone> slots_gone;
  std::unique_ptr<RolloutTicket> ticket;  // These nullptr: without a coordinator.
  std::unique_ptr<NodeDrain> drain;
  std::unique_ptr<UpdateReporter> update_reporter;
  std::function<void()> end_process;
  std::unique_ptr<HealthListener> health_listener;  // nullptr: none.
  std::unique_ptr<grpc::Server> data_server;
  std::unique_ptr<grpc::Server> peer_server;
  std::unique_ptr<grpc::Server> admin_server;
  std::unique_ptr<MetricsHttp> http;
  Member member;
  std::atomic<bool> stopping{false};
  absl::Mutex health_mu;  // Held while servers are told how the node is; before `stopping` is set.
  std::optional<std::pair<bool, bool>> told_health ABSL_GUARDED_BY(health_mu);  // Serving, warm.
  absl::Notification servers_stopped;

  // node_cache.cc
  absl::Status MakeCache();
  absl::Status MakeStores();
  absl::Status MakeMirrors();
  void FollowPolicies();
  static uint64_t RandomSeed();

  // node_replication.cc
  absl::Status MakeReplication();
  void WriteHeartbeat(std::string_view name_space, const std::string& key);

  // node_warmth.cc
  void MakeRefill();
  double Warmth() const;
  bool IsWarmedUp() const;  // Or nobody shall wait for it any longer.
  std::string WhyCold() const;
  void FollowWarmth();
  void TellHealth(bool serving, bool warm) ABSL_LOCKS_EXCLUDED(health_mu);

  // node_listen.cc
  absl::Status Listen();
  grpc::Server* health_server() {
    return health_listener == nullptr ? nullptr : health_listener->server();
  }

  // node_membership.cc
  void MakeMembership();
  void ReportUpdates();
  absl::Status AskForStoredPolicies();
  absl::Status Join();
  void AwaitTicket(absl::Duration until);
  size_t Unstored() const;  // Acknowledged writes that nobody has but this node's memory.
  void AwaitStored(absl::Duration until);
  void SaveHeat();
  void Leave();
  void AwaitQuiet() const;
  std::function<void()> Drain(absl::Duration timeout, std::function<void(absl::Status)> done);

  // node_status.cc
  void MakeMetrics();
  void MakeCertificates();
  AdminSources MakeAdminSources();
  std::vector<RegionL2> L2States() const;
  std::vector<LinkStatus> Links() const;
  std::vector<std::string> Warnings() const;
  Readiness ReadinessNow() const;

  // node_server.cc
  void KeepHouse();
  void FitLogs();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_NODE_PARTS_H_
