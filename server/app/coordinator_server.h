// CoordinatorServer is a whole meridian-coordinator: the one place that connects its parts.
//
// Start order: executor, lease store, coordinator, warming, hot keys, gRPC, HTTP, then the lease is
// asked for. Stop is the reverse: the lease is given back first, so that a standby need not wait
// for its end. Thread safety: Start, Stop and the destructor by one thread.

#ifndef MERIDIAN_SERVER_APP_COORDINATOR_SERVER_H_
#define MERIDIAN_SERVER_APP_COORDINATOR_SERVER_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/rpc/tls.h"
#include "common/telemetry/metric_registry.h"
#include "server/app/certificate_expiry.h"
#include "server/app/coordinator_config.h"
#include "server/app/health_listener.h"
#include "server/coordinator/alert_lead.h"
#include "server/coordinator/cluster_analytics.h"
#include "server/coordinator/cluster_http.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/hot_key_lead.h"
#include "server/coordinator/leader_forward.h"
#include "server/coordinator/prediction_lead.h"
#include "server/coordinator/presence_lead.h"
#include "server/coordinator/rollout_lead.h"
#include "server/coordinator/ticket_lead.h"
#include "server/coordinator/warming_lead.h"
#include "server/dashboard/metrics_http.h"
#include "server/figures/advisor.h"
#include "server/figures/alert_keeper.h"
#include "server/figures/alert_webhook.h"
#include "server/figures/figure_collector.h"
#include "server/figures/http_sender.h"
#include "server/figures/other_regions.h"
#include "server/l2/event_loop.h"
#include "server/node/lease_store.h"
#include "server/policy/file_follower.h"
#include "server/warming/warmer.h"

namespace grpc {
class Server;
}

namespace meridian {

class CoordinatorServiceHandler;

class CoordinatorServer {
 public:
  // Listens, and begins to ask for the lease.
  // Returns kUnavailable, with the address and the reason, when it cannot listen.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(const CoordinatorConfig& config);
  ~CoordinatorServer();

  // Gives the lease back, ends the streams, stops listening. Takes 3 s at most.
  void Stop();

  // Reads the settings of warming once more, soon.
  void ReloadWarming();

  // Where it really listens.
  const std::string& grpc_address() const { return grpc_address_; }
  const std::string& http_address() const { return http_->address(); }

 private:
  explicit CoordinatorServer(const CoordinatorConfig& config);

  absl::Status OpenStore();
  void MakeWarmer();
  void FollowWarmSettings();
  void MakeRollouts();
  void MakeFigures();
  // Where others reach this coordinator.
  const std::string& AdvertisedGrpc() const;
  std::string ExternalUrl() const;
  absl::Status MakeHttpClient();
  void MakeWebhook();
  void MakeCertificates();
  void AddMetrics();
  absl::Status Listen();
  Readiness GetReadiness() const;

  const CoordinatorConfig config_;
  const ChannelSecurity security_;  // Of channels to nodes.
  SystemClock clock_;
  MetricRegistry metrics_;
  // The store's callbacks post to the executor and its connections live on the loop, so both
  // outlive it; and what the executor's tasks use is there until Stop has stopped it.
  ThreadExecutor executor_{"coordinator"};
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<LeaseStore> store_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<WarmReader> warm_reader_;
  std::unique_ptr<WarmMetrics> warm_metrics_;
  std::unique_ptr<Warmer> warmer_;
  std::unique_ptr<WarmingLead> warming_lead_;
  std::unique_ptr<FileFollower> warm_settings_;  // nullptr: there is no file.
  std::unique_ptr<HotKeyLead> hot_keys_;
  std::unique_ptr<PredictionLead> prediction_;
  std::unique_ptr<RolloutLead> rollouts_;
  std::unique_ptr<TicketLead> tickets_;
  // The transport posts to the executor, too.
  std::unique_ptr<FigureTransport> figure_transport_;
  std::unique_ptr<FigureCollector> figures_;
  std::unique_ptr<AlertKeeper> alerts_;
  std::unique_ptr<AlertLead> alert_lead_;
  std::unique_ptr<PresenceLead> presence_;
  std::unique_ptr<Advisor> advisor_;
  // Its calls post to the executor, too. nullptr: nobody is to be asked.
  std::unique_ptr<HttpSender> http_client_;
  std::unique_ptr<OtherRegions> other_regions_;  // These nullptr: there are none.
  std::unique_ptr<LeaderForward> leader_forward_;
  std::unique_ptr<AlertWebhook> webhook_;
  std::unique_ptr<CertificateExpiry> certificates_;
  std::unique_ptr<ClusterAnalytics> analytics_;
  std::unique_ptr<ClusterHttp> cluster_http_;
  std::unique_ptr<CoordinatorServiceHandler> service_;
  std::unique_ptr<HealthListener> health_;  // nullptr: none.
  std::unique_ptr<grpc::Server> grpc_;
  std::unique_ptr<MetricsHttp> http_;
  std::string grpc_address_;
  std::atomic<bool> stopping_{false};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_COORDINATOR_SERVER_H_
