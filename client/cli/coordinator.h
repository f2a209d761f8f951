// CoordinatorService, for commands that ask the region's leading coordinator.

#ifndef MERIDIAN_CLIENT_CLI_COORDINATOR_H_
#define MERIDIAN_CLIENT_CLI_COORDINATOR_H_

#include <grpcpp/client_context.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "client/cli/admin.h"
#include "client/cli/session.h"
#include "common/rpc/error.h"
#include "common/rpc/proto_json.h"
#include "common/rpc/server_settings.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"

namespace CLI {
class App;
}

namespace meridian::cli {

// Where coordinators may be asked: `given` when it is not empty; those of --region in the cluster
// file, or of its only region; else the one that a node follows. Empty fills `error`. Where the
// file has several regions and nobody said which, standard error is told that one of them is asked.
std::vector<std::string> CoordinatorAddresses(const Session& session, const std::string& given,
                                              ResultError* error);

// True when all texts of `request` are UTF-8: gRPC says of others only that it cannot do that.
// False: `error` names the field.
bool CheckTexts(const google::protobuf::Message& request, ResultError* error);

// Asks the leader: a standby says who that is. False fills `error`, of which Session::Fail then
// says that it is of coordinators.
template <typename Method, typename Request, typename Response>
bool CallLeader(const Session& session, std::vector<std::string> addresses, Method method,
                const Request& request, Response* response, ResultError* error) {
  if (!CheckTexts(request, error)) return false;
  constexpr size_t kMostHops = 8;  // Two that name each other do not keep us.
  session.NameCoordinators(addresses);
  for (size_t i = 0; i < addresses.size() && i < kMostHops; ++i) {
    const std::string address = addresses[i];
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         absl::ToChronoMicroseconds(session.timeout()));
    const auto stub =
        coordinator::v1::CoordinatorService::NewStub(CreateChannelTo(address, session.security()));
    const grpc::Status status = ((*stub).*method)(&context, request, response);
    if (status.ok()) {
      session.NameCoordinators({});
      return true;
    }
    *error = ToResultError(status, address);
    if (error->code != absl::StatusCode::kUnavailable) return false;
    const auto metadata = FromGrpcStatus(status).details.metadata;
    const auto leader = metadata.find("leader");
    if (leader != metadata.end() && !leader->second.empty()) {
      addresses.insert(addresses.begin() + static_cast<ptrdiff_t>(i) + 1, leader->second);
    }
  }
  return false;
}

// Adds --coordinator.
void AddCoordinatorOption(CLI::App& command, std::string& coordinator);

// Asks the leader and prints its answer: as JSON with --json, else as `show` does.
template <typename Response, typename Method, typename Request, typename Show>
ExitCode ShowFromLeader(const Session& session, const std::string& coordinator, Method method,
                        const Request& request, Show show) {
  ResultError error;
  Response answer;
  const std::vector<std::string> addresses = CoordinatorAddresses(session, coordinator, &error);
  if (addresses.empty() || !CallLeader(session, addresses, method, request, &answer, &error)) {
    return session.Fail(error);
  }
  if (session.json()) {
    session.PrintJson(meridian::ToJson(answer));  // Others may be nearer.
  } else {
    show(answer);
  }
  return kExitOk;
}

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_COORDINATOR_H_
