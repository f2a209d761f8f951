// ClusterFile is .cluster/cluster.json, which scripts/local-cluster writes: where every region's
// nodes listen.

#ifndef MERIDIAN_CLIENT_CLI_CLUSTER_FILE_H_
#define MERIDIAN_CLIENT_CLI_CLUSTER_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace meridian::cli {

struct ClusterNode {
  std::string name;
  std::string data;   // host:port of CacheService.
  std::string admin;  // host:port of AdminService.
};

struct ClusterRegion {
  std::string name;
  std::vector<ClusterNode> nodes;
  std::vector<std::string> coordinators = {};  // host:port of CoordinatorService.

  std::vector<std::string> DataAddresses() const;
};

struct ClusterFile {
  std::string path;
  std::vector<ClusterRegion> regions;

  // kNotFound, with the regions that there are.
  absl::StatusOr<ClusterRegion> Region(std::string_view name) const;
};

// kInvalidArgument, with the file and what is wrong, when `text` is not such a file.
absl::StatusOr<ClusterFile> ParseClusterFile(std::string path, std::string_view text);

// Reads `path`; when it is empty the file that MERIDIAN_CLUSTER names; without that
// .cluster/cluster.json in the current folder or the nearest one above it.
// kNotFound, with what to do, when there is none.
absl::StatusOr<ClusterFile> LoadClusterFile(const std::string& path);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_CLUSTER_FILE_H_
