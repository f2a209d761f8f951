// What reads and writes share when they split a request by owner.

#ifndef MERIDIAN_SERVER_NODE_ROUTING_H_
#define MERIDIAN_SERVER_NODE_ROUTING_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "common/cluster/topology.h"
#include "common/rpc/error.h"

namespace meridian {

// The entries of a request, by index, that one member owns.
struct OwnerGroup {
  uint16_t owner;  // Index into Topology::members().
  std::vector<uint32_t> indexes;
  bool was_late = false;  // Its answer to the last attempt did not come in time.
};
using OwnerGroups = absl::InlinedVector<OwnerGroup, 4>;

// How long a node without Redis waits before it asks again where an owner is changing: the next one
// has not heard of it yet, and nobody else may answer.
inline constexpr absl::Duration kOwnerChanging = absl::Milliseconds(10);

void AddToGroup(uint16_t owner, uint32_t index, OwnerGroups* groups);

// The error of a key that does not belong to this node.
Error NotOwnerError(const Topology& topology, uint32_t slot, std::string_view node_id);

// The error of a request for one namespace too many.
Error TooManyNamespacesError(std::string_view name);
// What is stored may be dead by a fence that this node has not read yet.
Error FencesUnknownError();

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_ROUTING_H_
