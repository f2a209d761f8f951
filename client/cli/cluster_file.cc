#include "client/cli/cluster_file.h"

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/text_input.h"
#include "client/cpp/client_options.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Empty when there is none.
std::string FindUpwards() {
  std::error_code error;
  for (fs::path folder = fs::current_path(error); !error; folder = folder.parent_path()) {
    const fs::path candidate = folder / ".cluster" / "cluster.json";
    if (fs::exists(candidate, error)) return candidate.string();
    if (folder == folder.root_path()) break;
  }
  return "";
}

// The text of a field, empty when it is not there.
std::string TextOf(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::vector<std::string> ClusterRegion::DataAddresses() const {
  std::vector<std::string> addresses;
  for (const ClusterNode& node : nodes) addresses.push_back(node.data);
  return addresses;
}

absl::StatusOr<ClusterRegion> ClusterFile::Region(std::string_view name) const {
  std::vector<std::string> names;
  for (const ClusterRegion& region : regions) {
    if (region.name == name) return region;
    names.push_back(region.name);
  }
  return absl::NotFoundError(absl::StrCat("there is no region \"", ToAbsl(name), "\" in ", path,
                                          "; it has: ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<ClusterFile> ParseClusterFile(std::string path, std::string_view text) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto wrong = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
  };
  if (root.is_discarded()) return wrong("not JSON");
  if (!root.is_object() || !root.contains("regions") || !root["regions"].is_object()) {
    return wrong("no object \"regions\"");
  }
  ClusterFile file;
  for (const auto& [name, value] : root["regions"].items()) {
    if (!value.is_object() || !value.contains("nodes") || !value["nodes"].is_array()) {
      return wrong(absl::StrCat("region \"", name, "\" has no list \"nodes\""));
    }
    ClusterRegion region{name, {}};
    for (const json& node : value["nodes"]) {
      if (!node.is_object() || TextOf(node, "data").empty()) {
        return wrong(absl::StrCat("a node of region \"", name, "\" has no \"data\" address"));
      }
      for (const char* field : {"data", "admin"}) {
        const std::string address = TextOf(node, field);
        if (address.empty() || IsHostPort(address)) continue;
        return wrong(absl::StrCat("\"", field, "\" of a node of region \"", name, "\" is \"",
                                  address, "\", not host:port"));
      }
      region.nodes.push_back({TextOf(node, "name"), TextOf(node, "data"), TextOf(node, "admin")});
    }
    if (const auto coordinators = value.find("coordinators");
        coordinators != value.end() && coordinators->is_array()) {
      for (const json& coordinator : *coordinators) {
        const std::string address = coordinator.is_object() ? TextOf(coordinator, "grpc") : "";
        if (IsHostPort(address)) region.coordinators.push_back(address);
      }
    }
    if (region.nodes.empty()) return wrong(absl::StrCat("region \"", name, "\" has no nodes"));
    file.regions.push_back(std::move(region));
  }
  if (file.regions.empty()) return wrong("no regions");
  file.path = std::move(path);
  return file;
}

absl::StatusOr<ClusterFile> LoadClusterFile(const std::string& path) {
  std::string chosen = path;
  if (chosen.empty()) {
    const char* from_environment = std::getenv("MERIDIAN_CLUSTER");
    chosen = from_environment != nullptr ? from_environment : FindUpwards();
  }
  if (chosen.empty()) {
    return absl::NotFoundError(
        "no .cluster/cluster.json here or above: start a cluster with scripts/local-cluster up, or "
        "name the file with --cluster");
  }
  ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(chosen));
  return ParseClusterFile(chosen, text);
}

}  // namespace meridian::cli
