// Topology on the wire, versions on the wire.

#ifndef MERIDIAN_COMMON_RPC_TOPOLOGY_PROTO_H_
#define MERIDIAN_COMMON_RPC_TOPOLOGY_PROTO_H_

#include "absl/status/statusor.h"
#include "common/base/version.h"
#include "common/cluster/topology.h"
#include "meridian/cache/v1/types.pb.h"

namespace meridian {

void ToProto(const Member& member, cache::v1::Member* proto);
Member FromProto(const cache::v1::Member& proto);

void ToProto(const Topology& topology, cache::v1::Topology* proto);

// Computes the owners again instead of believing `slot_owners`, and returns kInvalidArgument when the
// two differ: then the sender uses another slot function, and routing by either would be wrong.
absl::StatusOr<Topology> FromProto(const cache::v1::Topology& proto);

void ToProto(const Version& version, cache::v1::Version* proto);
Version FromProto(const cache::v1::Version& proto);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_TOPOLOGY_PROTO_H_
