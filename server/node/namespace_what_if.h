// What the hit rate of a namespace would be on this node with another size, TTL or policy of L1,
// from the node's own traffic (common/engine/what_if.h).

#ifndef MERIDIAN_SERVER_NODE_NAMESPACE_WHAT_IF_H_
#define MERIDIAN_SERVER_NODE_NAMESPACE_WHAT_IF_H_

#include <cstdint>
#include <string_view>
#include <variant>

#include "absl/time/time.h"
#include "common/engine/what_if.h"
#include "common/rpc/error.h"
#include "server/node/node_context.h"

namespace meridian {

// Of fewer sampled Gets no answer is given.
inline constexpr uint64_t kLeastWhatIfRequests = 500;

struct NamespaceWhatIf {
  WhatIfAnswer answer;
  CacheShape present;
  CacheShape asked;
  absl::Duration present_ttl;  // Life in L1 by the policy: l1_ttl, or ttl without one.
  double sample_rate = 1;      // The share of the keys that were followed.
  absl::Duration span;         // From the first to the last request that was followed.
};

// `asked`: zero and empty mean "as it is". The present size of a namespace without a budget is what
// the others leave it of L1.
// Errors: FIELD_INVALID for a policy that is not known and when nothing is asked, NO_TRAFFIC when
// too little was seen. Takes some tens of milliseconds: not for threads that serve requests.
// Thread safety: may be called concurrently.
std::variant<NamespaceWhatIf, Error> AskWhatIf(const NodeContext& context,
                                               std::string_view name_space, CacheShape asked);

// Fits the logs' samples to what the namespaces hold. For every now and then.
void FitTrafficLogs(const NodeContext& context);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_NAMESPACE_WHAT_IF_H_
