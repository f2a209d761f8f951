// StaticTopology is the topology of a region that has no coordinator: a fixed list of members.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_STATIC_TOPOLOGY_H_
#define MERIDIAN_SERVER_MEMBERSHIP_STATIC_TOPOLOGY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/cluster/topology.h"

namespace meridian {

// Epoch 1, every member serving. All nodes of the region must be given the same list.
// Returns kInvalidArgument for members that Topology::Create refuses, and for none at all.
absl::StatusOr<Topology> StaticTopology(std::string region, std::vector<Member> members);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_STATIC_TOPOLOGY_H_
