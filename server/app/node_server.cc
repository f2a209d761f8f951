#include "server/app/node_server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <utility>

#include "common/base/status_macros.h"
#include "server/app/node_parts.h"
#include "server/app/ready_file.h"

namespace meridian {
namespace {

constexpr absl::Duration kHousekeepingInterval = absl::Milliseconds(100);
constexpr absl::Duration kFitInterval = absl::Seconds(1);
constexpr size_t kHousekeepingEntries = 20'000;
// For Redis to take what was accepted without it, at least.
constexpr absl::Duration kStoredWait = absl::Seconds(5);

}  // namespace

void NodeParts::KeepHouse() {
  engine->Advance(clock.Monotonic(), kHousekeepingEntries);
  housekeeping->PostAfter(kHousekeepingInterval, [this] { KeepHouse(); });
}

void NodeParts::FitLogs() {
  FitTrafficLogs(*context);
  housekeeping->PostAfter(kFitInterval, [this] { FitLogs(); });
}

NodeServer::NodeServer() : parts_(std::make_unique<NodeParts>()) {}

absl::StatusOr<std::unique_ptr<NodeServer>> NodeServer::Start(NodeConfig config,
                                                              std::function<void()> end_process) {
  grpc::EnableDefaultHealthCheckService(true);
  std::unique_ptr<NodeServer> server(new NodeServer());
  NodeParts& parts = *server->parts_;
  parts.config = std::move(config);
  parts.security = ChannelSecurityOf(parts.config.tls.files);
  if (!parts.config.tls.health_address.empty()) {
    ASSIGN_OR_RETURN(parts.health_listener, HealthListener::Start(parts.config.tls.health_address));
  }
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::channelz::experimental::InitChannelzService();
  parts.end_process = std::move(end_process);
  parts.housekeeping = std::make_unique<ThreadExecutor>("housekeeping");
  parts.background = std::make_unique<ThreadExecutor>("background");
  parts.inflater = std::make_unique<ThreadExecutor>("inflater");
  RETURN_IF_ERROR(parts.MakeCache());
  parts.MakeMetrics();
  parts.FollowPolicies();
  parts.MakeRefill();
  RETURN_IF_ERROR(parts.MakeReplication());
  parts.MakeMembership();
  RETURN_IF_ERROR(parts.Listen());
  RETURN_IF_ERROR(parts.Join());
  parts.KeepHouse();
  parts.FitLogs();
  parts.FollowWarmth();
  RETURN_IF_ERROR(WriteReadyFile(parts.config.ready_file, {{"name", parts.member.id},
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
  NodeParts& parts = *parts_;
  if (parts.stopping) return;
  const absl::Duration stored_until =
      parts.clock.Monotonic() + std::max(parts.config.rollout_wait, kStoredWait);
  // It serves meanwhile. First the store: a ticket that is not used soon goes to the next node.
  parts.AwaitStored(stored_until);
  parts.AwaitTicket(stored_until);
  parts.TellHealth(/*serving=*/false, /*warm=*/false);
  {
    absl::MutexLock lock(&parts.health_mu);
    parts.stopping = true;
  }
  if (parts.drain != nullptr) parts.drain->Abort();
  if (parts.hints != nullptr) parts.hints->Close();
  parts.AwaitStored(stored_until);
  parts.Leave();
  parts.AwaitQuiet();
  if (parts.topology_streams != nullptr) parts.topology_streams->Shutdown();
  if (parts.watch_streams != nullptr) parts.watch_streams->Shutdown();
  // New calls are refused from here on. Those under way may wait for a peer that does not answer:
  // they have the grace, then their calls to peers are cancelled and they go around or fail.
  const auto deadline = absl::ToChronoTime(parts.clock.Now() + grace);
  std::thread cancel([&parts, grace, done = &parts.servers_stopped]() mutable {
    while (!done->WaitForNotificationWithTimeout(grace)) {
      parts.peers->CancelAll();
      parts.origin_transport->CancelAll();
      if (parts.replication != nullptr) parts.replication->AnswerSyncWaits();
      grace = absl::Milliseconds(100);
    }
  });
  for (grpc::Server* server : {parts.data_server.get(), parts.peer_server.get(),
                               parts.admin_server.get(), parts.health_server()}) {
    if (server != nullptr) server->Shutdown(deadline);
  }
  parts.servers_stopped.Notify();
  cancel.join();
  const size_t lost = parts.hints == nullptr ? 0 : parts.hints->Lose();
  if (lost > 0) {
    spdlog::error("{} writes that were accepted without Redis are lost: it did not come back",
                  lost);
  }
}

NodeServer::~NodeServer() {
  Stop(absl::Seconds(2));
  NodeParts& parts = *parts_;
  parts.http.reset();
  parts.data_server.reset();
  parts.health_listener.reset();
  parts.admin_server.reset();
  parts.peer_server.reset();
  if (parts.replication != nullptr) parts.replication->Stop();
  if (parts.refill != nullptr) parts.refill->Stop();
  if (parts.watch_executor != nullptr) parts.watch_executor->Stop();
  if (parts.housekeeping != nullptr) parts.housekeeping->Stop();
  if (parts.background != nullptr) parts.background->Stop();
  parts.coordinator_client.reset();
  parts.coordinator_transport.reset();  // Waits for its callbacks, which still find those below.
  parts.ticket.reset();
  parts.drain.reset();
  parts.peers.reset();
  // Nobody waits any more. What timers would begin needs the stores.
  if (parts.origin_transport != nullptr) parts.origin_transport->Shutdown();
  if (parts.timer_executor != nullptr) parts.timer_executor->Stop();
  // The stores answer what is pending; those callbacks still find the cache and the executor.
  parts.policy_memory.reset();
  parts.region_l2.clear();
  parts.regional_store.reset();
  parts.l2.reset();
  parts.loop.reset();
  if (parts.inflater != nullptr) parts.inflater->Stop();
  if (parts.replication_executor != nullptr) parts.replication_executor->Stop();
  if (parts.refill_executor != nullptr) parts.refill_executor->Stop();
}

}  // namespace meridian
