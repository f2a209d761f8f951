#include "server/app/health_listener.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "common/rpc/server_settings.h"

namespace meridian {

absl::StatusOr<std::unique_ptr<HealthListener>> HealthListener::Start(const std::string& address) {
  std::unique_ptr<HealthListener> listener(new HealthListener());
  grpc::ServerBuilder builder;
  ApplyServerSettings(&builder);
  int port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&listener->others_);
  listener->server_ = builder.BuildAndStart();
  if (listener->server_ == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address, " (--health-address)"));
  }
  listener->address_ = BoundAddress(address, port);
  listener->server_->GetHealthCheckService()->SetServingStatus("", false);  // Until it is told.
  listener->server_->GetHealthCheckService()->SetServingStatus(kLiveService, true);
  return listener;
}

}  // namespace meridian
