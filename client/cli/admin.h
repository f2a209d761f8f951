// AdminService and the topology, for commands that look at nodes.

#ifndef MERIDIAN_CLIENT_CLI_ADMIN_H_
#define MERIDIAN_CLIENT_CLI_ADMIN_H_

#include <grpcpp/client_context.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/session.h"
#include "client/cpp/client.h"
#include "common/rpc/error.h"
#include "common/rpc/server_settings.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"

namespace meridian::cli {

// A failed call as the session prints it.
ResultError ToResultError(const grpc::Status& status, const std::string& address);

// Calls `method` of `Service` at `address` and waits; false fills `error`.
template <typename Service, typename Method, typename Request, typename Response>
bool CallNode(const Session& session, const std::string& address, Method method,
              const Request& request, Response* response, ResultError* error,
              absl::Duration timeout) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
  const auto stub = Service::NewStub(CreateChannelTo(address, session.security()));
  const grpc::Status status = ((*stub).*method)(&context, request, response);
  if (!status.ok()) *error = ToResultError(status, address);
  return status.ok();
}

template <typename Service, typename Method, typename Request, typename Response>
bool CallNode(const Session& session, const std::string& address, Method method,
              const Request& request, Response* response, ResultError* error) {
  return CallNode<Service>(session, address, method, request, response, error, session.timeout());
}

// The topology that the first target that answers knows; false fills `error`.
bool FetchTopology(const Session& session, cache::v1::Topology* topology, ResultError* error);

// Where AdminService may be asked: --admin; the cluster file's for --region; else what the topology
// says; a target that serves no data is taken for an admin address itself. Empty fills `error`.
std::vector<std::string> AdminAddresses(const Session& session, ResultError* error);

// Of all regions where a cluster file names them; else of the region that is asked.
std::vector<std::string> AllAdminAddresses(const Session& session, ResultError* error);

// Asks the admin addresses one after the other until one answers.
template <typename Method, typename Request, typename Response>
bool CallAnyAdmin(const Session& session, Method method, const Request& request, Response* response,
                  ResultError* error) {
  for (const std::string& address : AdminAddresses(session, error)) {
    if (CallNode<admin::v1::AdminService>(session, address, method, request, response, error)) {
      return true;
    }
    // Another node would say the same, unless this one is away.
    if (error->code != absl::StatusCode::kUnavailable) return false;
  }
  return false;
}

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_ADMIN_H_
