// ExplainEverywhere gathers what the nodes of the region and the regional store hold of one key:
// the owner says what its memory and the store have, every other node what its memory has.
//
// Promise: the owner's word first. Another node is left out when it holds nothing, and is
//   "unavailable" when it has not answered within a second. `done` is called once, with OK or with
//   what is wrong with the owner; it may be before this returns.
// Cost: a call to each node of the region, at the same time, and one look into the store.
// Thread safety: may be called concurrently.

#ifndef MERIDIAN_SERVER_RPC_EXPLAIN_EVERYWHERE_H_
#define MERIDIAN_SERVER_RPC_EXPLAIN_EVERYWHERE_H_

#include <grpcpp/support/status.h>

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "common/cluster/topology.h"
#include "meridian/admin/v1/admin_service.pb.h"
#include "server/node/explain.h"
#include "server/node/node_context.h"

namespace meridian {

// Fills `response->tiers`; it lives until `done`.
void ExplainEverywhere(const NodeContext& context, Explainer& explainer,
                       const TopologyHolder::Snapshot& topology, const std::string& name_space,
                       const std::string& key, absl::Time deadline,
                       admin::v1::ExplainKeyResponse* response,
                       std::function<void(grpc::Status)> done);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_EXPLAIN_EVERYWHERE_H_
