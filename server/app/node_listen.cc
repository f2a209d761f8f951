#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/server_settings.h"
#include "server/app/node_parts.h"
#include "server/figures/analytics_http.h"
#include "server/rpc/node_report.h"

namespace meridian {
namespace {

// Host that others use for an address that this node listens on.
absl::StatusOr<std::string> Advertised(const std::string& listen, int port,
                                       const std::string& advertise_host) {
  const std::string bound = BoundAddress(listen, port);
  if (!advertise_host.empty()) return absl::StrCat(advertise_host, ":", port);
  if (absl::StartsWith(bound, "0.0.0.0:") || absl::StartsWith(bound, "[::]:")) {
    return absl::InvalidArgumentError(
        absl::StrCat("listening on ", listen,
                     " needs --advertise-host: a name or address by which "
                     "others reach this machine"));
  }
  return bound;
}

}  // namespace

absl::Status NodeParts::Listen() {
  topology_streams = std::make_unique<TopologyStreams>(topology);
  cache_service = std::make_unique<CacheServiceHandlers>(
      *context, *reads, *writes, *fence_path, *topology_streams, *watch_streams, *rpc_metrics);
  peer_service =
      std::make_unique<PeerServiceHandlers>(*context, *reads, *writes, *explainer, refill.get());
  const AdminSources sources = MakeAdminSources();
  admin_service =
      std::make_unique<AdminServiceHandlers>(*context, *writes, *explainer, *background, sources);
  const auto open = ServerCredentialsOf(config.tls.files, config.tls.client_auth);
  const auto closed = ServerCredentialsOf(config.tls.files, /*client_certificates=*/true);
  const auto listen = [](const std::string& address,
                         const std::shared_ptr<grpc::ServerCredentials>& credentials,
                         grpc::Service* service, int* port,
                         int streams = kStreams) -> absl::StatusOr<std::unique_ptr<grpc::Server>> {
    grpc::ServerBuilder builder;
    ApplyServerSettings(&builder, streams);
    builder.AddListeningPort(address, credentials, port);
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
  ASSIGN_OR_RETURN(data_server, listen(config.data_address, open, cache_service.get(), &data_port));
  ASSIGN_OR_RETURN(peer_server, listen(config.peer_address, closed, peer_service.get(), &peer_port,
                                       kPeerStreams));
  ASSIGN_OR_RETURN(admin_server,
                   listen(config.admin_address, closed, admin_service.get(), &admin_port));
  for (grpc::Server* server : {data_server.get(), admin_server.get()}) {
    server->GetHealthCheckService()->SetServingStatus(kLiveService, true);
  }
  TellHealth(IsWarmedUp(), warm_readiness == nullptr);  // Before anybody hears of the ports.
  MetricsHttpOptions http_options;
  http_options.address = config.http_address;
  http_options.readiness = [this] { return ReadinessNow(); };
  http_options.handlers = {[this, sources](const HttpRequest& request) {
    return AnswerAnalytics(request, [&](const HttpQuery& query) {
      return AnalyticsOfNode(*context, sources, query.Get("namespace"));
    });
  }};
  ASSIGN_OR_RETURN(http, MetricsHttp::Start(std::move(http_options), registry));

  member.id = config.id;
  member.weight = config.weight;
  member.state = MemberState::kJoining;
  member.incarnation = incarnation;
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

}  // namespace meridian
