#include "client/cli/coordinator.h"

#include <CLI/CLI.hpp>

#include "client/cli/text_input.h"

namespace meridian::cli {

std::vector<std::string> CoordinatorAddresses(const Session& session, const std::string& given,
                                              ResultError* error) {
  if (!given.empty()) return {given};
  const GlobalOptions& options = session.options();
  if (options.targets.empty()) {
    if (const auto file = session.Cluster(); file.ok()) {
      for (const ClusterRegion& region : file->regions) {
        const bool wanted =
            options.region.empty() ? file->regions.size() == 1 : region.name == options.region;
        if (wanted && !region.coordinators.empty()) return region.coordinators;
      }
    }
  }
  for (const std::string& address : AdminAddresses(session, error)) {
    admin::v1::GetStatusResponse status;
    if (!CallNode<admin::v1::AdminService>(session, address,
                                           &admin::v1::AdminService::Stub::GetStatus,
                                           admin::v1::GetStatusRequest(), &status, error)) {
      continue;
    }
    if (!status.coordinator().empty()) return {status.coordinator()};
    error->code = absl::StatusCode::kNotFound;
    error->message = "the nodes follow no coordinator: give one with --coordinator HOST:PORT";
  }
  return {};
}

void AddCoordinatorOption(CLI::App& command, std::string& coordinator) {
  command
      .add_option("--coordinator", coordinator,
                  "HOST:PORT of a coordinator (default: of the cluster file, or the one that the "
                  "nodes follow)")
      ->check(EmptyProblem);
}

}  // namespace meridian::cli
