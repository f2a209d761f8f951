#include "server/membership/static_topology.h"

#include <utility>

namespace meridian {

absl::StatusOr<Topology> StaticTopology(std::string region, std::vector<Member> members) {
  if (members.empty()) return absl::InvalidArgumentError("a static topology without members");
  for (Member& member : members) member.state = MemberState::kServing;
  return Topology::Create(1, std::move(region), std::move(members));
}

}  // namespace meridian
