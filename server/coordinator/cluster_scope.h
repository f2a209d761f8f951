// What a coordinator answers over HTTP for all regions (?scope=cluster): the answer of each beside
// the others', and of the overview what can be added up (docs/http_api.md).
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_COORDINATOR_CLUSTER_SCOPE_H_
#define MERIDIAN_SERVER_COORDINATOR_CLUSTER_SCOPE_H_

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "common/rpc/http_reply.h"
#include "server/figures/other_regions.h"

namespace meridian {

struct ScopedQuery {
  bool cluster = false;
  std::string rest;  // The query without its scope.
};

// "scope" may be "region", as without it, or "cluster"; anything else is an error.
std::variant<ScopedQuery, HttpReply> TakeScope(std::string_view query);

// `regions`: the answers of all, in the order in which they are to be shown. `with_totals`: they
// are those of /v1/cluster/overview.
HttpReply ClusterReply(const std::vector<RegionAnswer>& regions, bool with_totals, absl::Time now);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_CLUSTER_SCOPE_H_
