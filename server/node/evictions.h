// What left L1 or was kept out of it, by namespace and cause, as all figures tell it: what the
// admission policy of a namespace refused counts with what the engine refused.
//
// Cost: O(namespaces). Thread safety: a pure function of what is there now.

#ifndef MERIDIAN_SERVER_NODE_EVICTIONS_H_
#define MERIDIAN_SERVER_NODE_EVICTIONS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/engine/engine_stats.h"
#include "server/node/node_context.h"

namespace meridian {

struct NamespaceEvictions {
  std::string name_space;
  std::array<uint64_t, kEvictionCauses> by_cause = {};  // By EvictionCause.
};

std::vector<NamespaceEvictions> EvictionsOf(const NodeContext& context);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_EVICTIONS_H_
