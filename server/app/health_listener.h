// HealthListener is a gRPC server with grpc.health.v1 (and reflection of it) alone, in
// plaintext: for probes, which speak no TLS, beside listeners that do.
//
// Thread safety: made and ended by one thread; server() may be used by any meanwhile.

#ifndef MERIDIAN_SERVER_APP_HEALTH_LISTENER_H_
#define MERIDIAN_SERVER_APP_HEALTH_LISTENER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace meridian {

class HealthListener {
 public:
  // REQUIRES: gRPC's own health service is on; channelz is not yet, which would
  // listen here too. kUnavailable when it cannot listen.
  static absl::StatusOr<std::unique_ptr<HealthListener>> Start(const std::string& address);

  grpc::Server* server() { return server_.get(); }
  const std::string& address() const { return address_; }  // With the port that the OS chose.

 private:
  HealthListener() = default;

  grpc::CallbackGenericService others_;  // Answers all other methods: there is none.
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_HEALTH_LISTENER_H_
