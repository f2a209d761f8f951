#include "server/app/coordinator_server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <optional>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/status_macros.h"
#include "common/rpc/server_settings.h"
#include "common/telemetry/process_metrics.h"
#include "server/app/clock_metrics.h"
#include "server/app/rollout_metrics.h"
#include "server/app/warming_metrics.h"
#include "server/coordinator/coordinator_presence.h"
#include "server/coordinator/coordinator_service.h"
#include "server/coordinator/rollout_figures.h"
#include "server/coordinator/warm_figures.h"
#include "server/dashboard/page_http.h"
#include "server/figures/alert_rules.h"
#include "server/figures/grpc_figure_transport.h"
#include "server/http_client/http_client.h"
#include "server/l2/redis_lease_store.h"
#include "server/node/keeping_lease_store.h"
#include "server/node/local_lease_store.h"
#include "server/policy/redis_url.h"
#include "server/warming/grpc_warm_reader.h"

namespace meridian {
namespace {

// Registrations and topologies of some hundred nodes; nothing larger belongs here.
constexpr int kMaxRequestBytes = 1 << 20;
// Some browsers, each with a few connections, and who reads /metrics.
constexpr int kHttpThreads = 32;
// Together below the 3 s of Stop.
constexpr absl::Duration kReleaseTimeout = absl::Seconds(1);
constexpr absl::Duration kDrainTimeout = absl::Seconds(1);
constexpr size_t kHotKeysToJudge = 10;

CoordinatorOptions OptionsOf(const CoordinatorConfig& config, absl::Time now) {
  CoordinatorOptions options;
  options.id = config.id;
  options.membership.region = config.region;
  options.membership.heartbeat_interval = config.heartbeat_interval;
  options.membership.failure_timeout = config.failure_timeout;
  options.membership.hand_off = config.hand_off_timeout;
  options.membership.takeover_grace = 2 * config.failure_timeout + absl::Seconds(1);
  options.lease.holder = CoordinatorPresence::MakeHolder(config.id, getpid(), now);
  options.lease.ttl = config.lease_duration;
  options.lease.margin = config.lease_duration / 6;
  return options;
}

}  // namespace

CoordinatorServer::CoordinatorServer(const CoordinatorConfig& config)
    : config_(config), security_(ChannelSecurityOf(config.tls.files)) {}

CoordinatorServer::~CoordinatorServer() { Stop(); }

absl::StatusOr<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(
    const CoordinatorConfig& config) {
  auto server = std::unique_ptr<CoordinatorServer>(new CoordinatorServer(config));
  RETURN_IF_ERROR(server->OpenStore());
  server->coordinator_ = std::make_unique<Coordinator>(
      OptionsOf(config, server->clock_.Now()), server->clock_, server->executor_, *server->store_);
  server->MakeWarmer();
  server->hot_keys_ = std::make_unique<HotKeyLead>(*server->coordinator_, *server->store_);
  server->warmer_->SetHotKeys(*server->hot_keys_);
  server->prediction_ =
      std::make_unique<PredictionLead>(config.prediction, *server->coordinator_, *server->store_,
                                       server->hot_keys_->history(), *server->warmer_);
  server->MakeRollouts();
  server->MakeFigures();
  server->AddMetrics();
  RETURN_IF_ERROR(server->MakeHttpClient());
  RETURN_IF_ERROR(server->Listen());
  server->MakeWebhook();
  server->figures_->Start();
  const std::string& address = server->AdvertisedGrpc();
  server->coordinator_->Start(address, ReachableHttp(server->http_address(), address));
  return server;
}

absl::Status CoordinatorServer::OpenStore() {
  if (config_.redis_url.empty()) {
    spdlog::warn("no --redis: this must be the only coordinator of region {}", config_.region);
    store_ = std::make_unique<LocalLeaseStore>(clock_, executor_);
    return absl::OkStatus();
  }
  RedisClientOptions options;
  ASSIGN_OR_RETURN(options.url, ParseRedisUrl(config_.redis_url));
  ASSIGN_OR_RETURN(loop_, EventLoop::Create("redis"));
  ASSIGN_OR_RETURN(std::unique_ptr<LeaseStore> redis,
                   RedisLeaseStore::Create(*loop_, std::move(options), clock_, nullptr));
  // What prediction has learnt is large, and stored anew every minute.
  auto store = std::make_unique<KeepingLeaseStore>(
      KeepingLeaseStoreOptions{.not_kept = {"warm/prediction"}}, std::move(redis));
  const KeepingLeaseStore& keeping = *store;
  metrics_.AddCallbackCounters(
      {"meridian_coordinator_store_losses_total",
       "Times that Redis had lost its data, and what this coordinator knew was written again."},
      [&keeping]() -> std::vector<MetricSample> {
        return {{{}, static_cast<double>(keeping.losses())}};
      });
  store_ = std::move(store);
  return absl::OkStatus();
}

void CoordinatorServer::MakeWarmer() {
  warm_reader_ = std::make_unique<GrpcWarmReader>(security_);
  warm_metrics_ = std::make_unique<WarmMetrics>(metrics_);
  WarmerOptions options = config_.warmer;
  options.lease = coordinator_->options().lease.name;
  options.runner.random_seed = static_cast<uint64_t>(absl::ToUnixMicros(clock_.Now()));
  const Coordinator& coordinator = *coordinator_;
  warmer_ = std::make_unique<Warmer>(options, config_.warming, clock_, executor_, *store_,
                                     *warm_reader_, *warm_metrics_,
                                     [&coordinator] { return coordinator.leader().leading; });
  warming_lead_ = std::make_unique<WarmingLead>(*coordinator_, *warmer_);
}

void CoordinatorServer::FollowWarmSettings() {
  if (config_.warming_files.empty()) return;
  warm_settings_ = std::make_unique<FileFollower>(
      FileFollowerOptions{.files = config_.warming_files,
                          .texts = config_.warming_texts,
                          .nothing = config_.warming_nothing,
                          .poll = config_.warming_poll},
      executor_, clock_,
      [this](const std::vector<std::string>&) {
        bool of_warming = false;
        absl::StatusOr<WarmSettings> settings = config_.read_warming(&of_warming);
        if (settings.ok()) {
          warmer_->SetSettings(std::make_shared<const WarmSettings>(*std::move(settings)));
        }
        if (settings.ok() || of_warming) return settings.status();
        return absl::InvalidArgumentError(
            absl::StrCat(settings.status().message(),
                         " (this is not about warming, which is read again when it is right; a "
                         "coordinator that starts now would refuse it)"));
      },
      [this](const FileFollowerStatus& status) {
        warmer_->SetSettingsProblem(status.problem);
        if (!status.problem.empty()) {
          spdlog::error("settings: {}; those of before stay in force", status.problem);
        } else {
          spdlog::info("warming: {} schedules, {} rules and {} startups were read",
                       warmer_->settings()->schedules.size(), warmer_->settings()->rules.size(),
                       warmer_->settings()->startup.size());
        }
      });
  AddWarmSettingsMetrics(*warm_settings_, metrics_);
  warm_settings_->Start();
}

void CoordinatorServer::ReloadWarming() {
  if (warm_settings_ == nullptr) {
    spdlog::warn("no settings of warming to read again: give --warm-file, or warming in --config");
    return;
  }
  warm_settings_->Reload();
}

void CoordinatorServer::MakeRollouts() {
  rollouts_ = std::make_unique<RolloutLead>(config_.rollouts, *coordinator_, *store_, [this] {
    return figures_->leading() ? FiguresByVersion(figures_->figures(), clock_.Monotonic())
                               : std::nullopt;
  });
  tickets_ = std::make_unique<TicketLead>(config_.restart_absence, *coordinator_, *store_);
}

void CoordinatorServer::MakeFigures() {
  figure_transport_ = std::make_unique<GrpcFigureTransport>(security_);
  const Coordinator& coordinator = *coordinator_;
  figures_ = std::make_unique<FigureCollector>(
      FigureCollectorOptions(), clock_, executor_, *figure_transport_,
      [&coordinator](bool* leading) {
        *leading = coordinator.leader().leading;
        std::vector<FollowedNode> nodes;
        for (NodeView& view : coordinator.Nodes()) {
          nodes.push_back({std::move(view.member), view.heartbeat_age, view.epoch, view.warmth});
        }
        return nodes;
      });
  figures_->AddObserver([this] {
    ReportWarmFigures(figures_->figures(), clock_.Monotonic(),
                      [this](const std::string& node, const WarmFigures& figures) {
                        warmer_->ReportFigures(node, figures);
                      });
  });
  alerts_ = std::make_unique<AlertKeeper>(
      *figures_, clock_,
      [this] { return WarmCountsOf(*warm_metrics_, warmer_->counters().sources); },
      [this]() -> CoordinatorView {
        const LeaderView leader = coordinator_->leader();
        return {config_.id,
                leader.leading || !leader.address.empty(),
                leader.problem,
                leader.clock_problem,
                certificates_->First(),
                presence_->Missed()};
      });
  alert_lead_ = std::make_unique<AlertLead>(*coordinator_, *store_, *alerts_);
  presence_ = std::make_unique<PresenceLead>(*coordinator_, *store_);
  figures_->AddObserver([this] {
    alert_lead_->Look();
    presence_->Look();
  });
  advisor_ = std::make_unique<Advisor>(*figures_, clock_, executor_, *figure_transport_,
                                       [this] { return hot_keys_->Now({}, kHotKeysToJudge); });
  analytics_ = std::make_unique<ClusterAnalytics>(*coordinator_, *figures_, *figure_transport_,
                                                  config_.costs);
  cluster_http_ = std::make_unique<ClusterHttp>(
      ClusterHttp::Parts{*coordinator_, *warmer_, *hot_keys_, *rollouts_, *figures_, *analytics_,
                         alerts_->book(), *advisor_});
  cluster_http_->SetPresence(presence_.get());
}

void CoordinatorServer::AddMetrics() {
  AddProcessMetrics(metrics_);
  const Coordinator& coordinator = *coordinator_;
  metrics_.AddGauge("meridian_coordinator_leader", "1 while this coordinator leads its region.",
                    [&coordinator] { return coordinator.counters().leader ? 1.0 : 0.0; });
  AddClockMetrics([&coordinator] { return !coordinator.leader().clock_problem.empty(); },
                  [&coordinator] { return coordinator.ClockOffsets(); }, metrics_);
  metrics_.AddGauge("meridian_ring_epoch", "Epoch of the topology that was published last.",
                    [&coordinator] { return static_cast<double>(coordinator.counters().epoch); });
  metrics_.AddGauges(
      {"meridian_ring_nodes", "Nodes that the leading coordinator knows, by state.", {"state"}},
      [&coordinator]() -> std::vector<MetricSample> {
        const CoordinatorCounters counters = coordinator.counters();
        return {{{"joining"}, static_cast<double>(counters.nodes_joining)},
                {{"serving"}, static_cast<double>(counters.nodes_serving)},
                {{"draining"}, static_cast<double>(counters.nodes_draining)}};
      });
  metrics_.AddCallbackCounters(
      {"meridian_coordinator_heartbeats_total", "Registrations and heartbeats taken."},
      [&coordinator]() -> std::vector<MetricSample> {
        return {{{}, static_cast<double>(coordinator.counters().heartbeats)}};
      });
  metrics_.AddCallbackCounters(
      {"meridian_coordinator_hand_offs_total",
       "Topologies that waited for a hand-off; late: some node did not end it in time.",
       {"outcome"}},
      [&coordinator]() -> std::vector<MetricSample> {
        const CoordinatorCounters counters = coordinator.counters();
        return {{{"complete"}, static_cast<double>(counters.hand_offs - counters.late_hand_offs)},
                {{"late"}, static_cast<double>(counters.late_hand_offs)}};
      });
  metrics_.AddGauges(
      {"meridian_coordinators",
       "Coordinators of the region that the leading one knows, by state; down: gone without a "
       "goodbye.",
       {"state"}},
      [this]() -> std::vector<MetricSample> {
        const PresenceLead::Counts counts = presence_->counts();
        return {{{"up"}, static_cast<double>(counts.up)},
                {{"down"}, static_cast<double>(counts.down)}};
      });
  AddWarmingMetrics(*warmer_, metrics_);
  FollowWarmSettings();
  AddPredictionMetrics(*prediction_, metrics_);
  AddRolloutMetrics(rollouts_->rollouts(), metrics_);
  MakeCertificates();
}

void CoordinatorServer::MakeCertificates() {
  std::vector<CertificateFile> files = CertificateFilesOf(config_.tls.files);
  if (!config_.redis_url.empty()) {
    const absl::StatusOr<RedisUrl> url = ParseRedisUrl(config_.redis_url);
    if (url.ok()) {
      for (CertificateFile& file : CertificateFilesOf(*url)) files.push_back(std::move(file));
    }
  }
  if (!config_.http_ca.empty()) files.push_back({config_.http_ca, /*authorities=*/true});
  certificates_ = std::make_unique<CertificateExpiry>([files] { return files; }, clock_);
  certificates_->AddMetrics(metrics_);
}

absl::Status CoordinatorServer::MakeHttpClient() {
  if (!config_.alert_webhook.has_value() && config_.other_coordinators.empty() &&
      config_.redis_url.empty()) {
    return absl::OkStatus();
  }
  if (loop_ == nullptr) {
    ASSIGN_OR_RETURN(loop_, EventLoop::Create("http"));
  }
  absl::StatusOr<std::unique_ptr<HttpClient>> client = HttpClient::Create(*loop_, config_.http_ca);
  if (!client.ok()) {
    return absl::Status(client.status().code(),
                        absl::StrCat("--http-ca: ", client.status().message()));
  }
  http_client_ = *std::move(client);
  if (!config_.other_coordinators.empty()) {
    other_regions_ = std::make_unique<OtherRegions>(config_.other_coordinators, clock_, executor_,
                                                    *http_client_);
    cluster_http_->SetOtherRegions(other_regions_.get());
    analytics_->SetOtherRegions(other_regions_.get());
  }
  if (!config_.redis_url.empty()) {  // It may be one of several.
    leader_forward_ = std::make_unique<LeaderForward>(clock_, executor_, *http_client_);
    cluster_http_->SetForward(leader_forward_.get());
  }
  return absl::OkStatus();
}

const std::string& CoordinatorServer::AdvertisedGrpc() const {
  return config_.advertise_address.empty() ? grpc_address_ : config_.advertise_address;
}

// Where people see more.
std::string CoordinatorServer::ExternalUrl() const {
  if (!config_.external_url.empty()) return config_.external_url;
  const std::string reachable = ReachableHttp(http_address(), AdvertisedGrpc());
  return absl::StrCat("http://", reachable.empty() ? http_address() : reachable, "/");
}

void CoordinatorServer::MakeWebhook() {
  if (!config_.alert_webhook.has_value()) return;
  AlertWebhookOptions options;
  options.url = *config_.alert_webhook;
  options.region = config_.region;
  options.external_url = ExternalUrl();
  webhook_ = std::make_unique<AlertWebhook>(
      options, clock_, executor_, *http_client_, metrics_,
      [random = std::minstd_rand(std::random_device()())]() mutable {
        return std::uniform_real_distribution<double>(0.0, 1.0)(random);
      },
      [name = options.url.authority()](std::string_view problem) {
        if (problem.empty()) {
          spdlog::info("alerts: {} takes them", name);
        } else {
          spdlog::warn("alerts: {} does not take them: {}", name, problem);
        }
      });
  AlertBook& book = alerts_->book();
  book.SetListener([this](const coordinator::v1::Alert& alert) { webhook_->Tell(alert); });
  webhook_->SetOnTaken(
      [this, &book](const coordinator::v1::Alert& alert) { book.NoteTold(alert, clock_.Now()); });
  figures_->AddObserver([this, led = false]() mutable {
    if (std::exchange(led, figures_->leading()) && !led) webhook_->KeepOnly(IsOfCoordinator);
  });
}

absl::Status CoordinatorServer::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  if (!config_.tls.health_address.empty()) {
    ASSIGN_OR_RETURN(health_, HealthListener::Start(config_.tls.health_address));
    health_->server()->GetHealthCheckService()->SetServingStatus("", true);
  }
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::channelz::experimental::InitChannelzService();
  service_ = std::make_unique<CoordinatorServiceHandler>(*coordinator_, *warmer_, *hot_keys_,
                                                         *prediction_, *rollouts_, alerts_->book(),
                                                         *advisor_, *tickets_, *analytics_);
  grpc::ServerBuilder builder;
  ApplyServerSettings(&builder);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.RegisterService(service_.get());
  int port = 0;
  builder.AddListeningPort(config_.grpc_address,
                           ServerCredentialsOf(config_.tls.files, /*client_certificates=*/true),
                           &port);
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", config_.grpc_address, " (--grpc-address)"));
  }
  grpc_->GetHealthCheckService()->SetServingStatus(kLiveService, true);
  grpc_address_ = BoundAddress(config_.grpc_address, port);
  MetricsHttpOptions options;
  options.address = config_.http_address;
  options.readiness = [this] { return GetReadiness(); };
  options.handlers = {[this](const HttpRequest& request) { return cluster_http_->Answer(request); },
                      AnswerPage};
  options.threads = kHttpThreads;
  ASSIGN_OR_RETURN(http_, MetricsHttp::Start(std::move(options), metrics_));
  return absl::OkStatus();
}

// A standby is ready too: it is there to answer who leads.
Readiness CoordinatorServer::GetReadiness() const {
  if (stopping_) return {false, "stopping"};
  const LeaderView leader = coordinator_->leader();
  if (leader.leading) return {true, "leader"};
  if (!leader.clock_problem.empty()) return {true, "standby, " + leader.clock_problem};
  return {true, leader.address.empty() ? "standby, no leader known"
                                       : absl::StrCat("standby, leader ", leader.address)};
}

void CoordinatorServer::Stop() {
  if (stopping_.exchange(true)) return;
  if (health_ != nullptr) health_->server()->GetHealthCheckService()->SetServingStatus("", false);
  if (grpc_ != nullptr) {
    if (grpc_->GetHealthCheckService() != nullptr) {
      grpc_->GetHealthCheckService()->SetServingStatus("", false);
    }
    // Shared: a store that does not answer in time may still do so later.
    auto released = std::make_shared<absl::Notification>();
    executor_.Post([this, released] {
      presence_->Leave(
          [this, released] { coordinator_->Stop([released] { released->Notify(); }); });
    });
    if (!released->WaitForNotificationWithTimeout(kReleaseTimeout)) {
      spdlog::warn("the lease could not be given back; it ends by itself");
    }
    grpc_->Shutdown(absl::ToChronoTime(absl::Now() + kDrainTimeout));
    grpc_.reset();  // Every reactor is done; what they posted, the executor still runs or drops.
  }
  health_.reset();
  http_.reset();
  executor_.Stop();
  figure_transport_.reset();  // Its callbacks post to the executor, which drops them.
  http_client_.reset();       // Its, too.
  store_.reset();
  loop_.reset();
}

}  // namespace meridian
