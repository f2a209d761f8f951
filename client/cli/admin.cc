#include "client/cli/admin.h"

#include "absl/strings/str_cat.h"

namespace meridian::cli {
namespace {

ResultError FromAbsl(const absl::Status& status) {
  ResultError error;
  error.code = status.code();
  error.message = std::string(status.message());
  return error;
}

}  // namespace

ResultError ToResultError(const grpc::Status& status, const std::string& address) {
  const Error error = FromGrpcStatus(status);
  ResultError result;
  result.code = static_cast<absl::StatusCode>(error.code);
  result.reason = error.reason;
  result.message = absl::StrCat(error.message, " (", address, ")");
  result.field = error.details.field;
  result.retry_after = error.details.retry_after;
  return result;
}

bool FetchTopology(const Session& session, cache::v1::Topology* topology, ResultError* error) {
  const auto targets = session.Targets();
  if (!targets.ok()) {
    *error = FromAbsl(targets.status());
    return false;
  }
  for (const std::string& target : *targets) {
    cache::v1::GetTopologyResponse response;
    if (CallNode<cache::v1::CacheService>(session, target,
                                          &cache::v1::CacheService::Stub::GetTopology,
                                          cache::v1::GetTopologyRequest(), &response, error)) {
      *topology = response.topology();
      return true;
    }
  }
  return false;
}

std::vector<std::string> AdminAddresses(const Session& session, ResultError* error) {
  const GlobalOptions& options = session.options();
  if (!options.admin.empty()) return {options.admin};
  if (!options.region.empty() && options.targets.empty()) {
    std::vector<std::string> addresses;
    if (const auto file = session.Cluster(); file.ok()) {
      if (const auto region = file->Region(options.region); region.ok()) {
        for (const ClusterNode& node : region->nodes) {
          if (!node.admin.empty()) addresses.push_back(node.admin);
        }
      }
    }
    if (!addresses.empty()) return addresses;
  }
  cache::v1::Topology topology;
  if (!FetchTopology(session, &topology, error)) {
    // It is a server, and not one for data: the admin address, most likely.
    const auto targets = session.Targets();
    if (error->code == absl::StatusCode::kUnimplemented && targets.ok()) return *targets;
    return {};
  }
  std::vector<std::string> addresses;
  for (const cache::v1::Member& member : topology.members()) {
    if (!member.admin_address().empty()) addresses.push_back(member.admin_address());
  }
  if (addresses.empty()) {
    error->code = absl::StatusCode::kNotFound;
    error->message = "the topology names no admin address: give one with --admin HOST:PORT";
  }
  return addresses;
}

std::vector<std::string> AllAdminAddresses(const Session& session, ResultError* error) {
  const GlobalOptions& options = session.options();
  std::vector<std::string> addresses;
  if (options.admin.empty() && options.targets.empty() && options.region.empty()) {
    if (const auto file = session.Cluster(); file.ok()) {
      for (const ClusterRegion& region : file->regions) {
        for (const ClusterNode& node : region.nodes) {
          if (!node.admin.empty()) addresses.push_back(node.admin);
        }
      }
    }
  }
  return addresses.empty() ? AdminAddresses(session, error) : addresses;
}

}  // namespace meridian::cli
