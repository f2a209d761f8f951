// AdminSources is what the other parts of a node tell AdminService.

#ifndef MERIDIAN_SERVER_RPC_ADMIN_SOURCES_H_
#define MERIDIAN_SERVER_RPC_ADMIN_SOURCES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/figures/analytics.h"
#include "server/node/l2_store.h"
#include "server/node/l2_usage.h"
#include "server/policy/policy_store.h"
#include "server/replication/region_diff.h"
#include "server/replication/replication_link.h"
#include "server/replication/staleness_sampler.h"
#include "server/rpc/rpc_metrics.h"

namespace meridian {

// A region's store, as the node sees it.
struct RegionL2 {
  std::string region;
  L2Health health;
};

// The origin of a namespace; see AdminService's OriginFigures.
struct NodeOrigin {
  std::string name_space;
  std::string address;
  std::string breaker;
};

// What the node's parts can tell. Called on gRPC threads; must not block for long.
struct AdminSources {
  std::string region;
  absl::Duration started;                     // Monotonic.
  std::function<std::vector<RegionL2>()> l2;  // The regional store first.
  std::function<std::vector<LinkStatus>()> links;
  std::function<StalenessReport()> staleness;  // Empty: there is no changelog.
  std::function<std::string()> coordinator;    // Empty: none.
  std::function<std::vector<std::string>()> warnings;
  // Empty: there is nothing to compare. Answers later.
  std::function<void(RegionDiffOptions, RegionDiff::Done)> diff;
  // region, cut, reason. Empty: no other region. Answers later.
  std::function<void(const std::string&, bool, std::string, std::function<void(absl::Status)>)>
      set_cut;
  std::function<std::optional<PolicyStoreStatus>()> policies;  // nullopt: they have no file.
  std::function<absl::StatusOr<std::string>(const std::string&)> set_log_level;  // The one before.
  // Gives the node's slots away, within the time; answers later, and only then ends the process.
  std::function<std::function<void()>(absl::Duration, std::function<void(absl::Status)>)> drain;
  std::function<uint64_t()> handed_off;   // Entries that others have taken, since the start.
  std::function<uint64_t()> incarnation;  // Of this start of the process.
  std::function<CallCounts()> calls;
  std::function<double()> warmth;
  std::function<std::optional<L2Usage>()> l2_usage;  // nullopt: not known.
  std::function<std::vector<NodeOrigin>()> origins;  // Sorted by namespace.
  std::function<absl::Time()> certificates_end;      // Of the first; InfiniteFuture: none.
  UnitCosts costs;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_ADMIN_SOURCES_H_
