#include "client/internal/routing_table.h"

#include <algorithm>

namespace meridian {

RoutingTable::RoutingTable(const Topology& topology, const std::vector<std::string>& targets)
    : epoch_(topology.epoch()) {
  const std::vector<Member>& members = topology.members();
  std::vector<uint16_t> node_of_member(members.size(), kAnyNode);
  const auto add_members = [&](MemberState state) {
    for (size_t i = 0; i < members.size(); ++i) {
      if (members[i].state != state || members[i].data_address.empty()) continue;
      node_of_member[i] = static_cast<uint16_t>(addresses_.size());
      addresses_.push_back(members[i].data_address);
    }
  };
  add_members(MemberState::kServing);
  serving_ = addresses_.size();
  add_members(MemberState::kDraining);
  for (const std::string& target : targets) {
    if (std::find(addresses_.begin(), addresses_.end(), target) == addresses_.end()) {
      addresses_.push_back(target);
    }
  }
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const uint16_t member = topology.OwnerIndex(slot);
    owners_[slot] = member == Topology::kNoOwner ? kAnyNode : node_of_member[member];
  }
}

uint16_t RoutingTable::Another(uint16_t node, uint64_t turn) const {
  // Among the serving members when one of them is not `node`, otherwise among all.
  const bool serving_is_enough = serving_ > 1 || (serving_ == 1 && node != 0);
  const size_t count = serving_is_enough ? serving_ : addresses_.size();
  uint16_t other = static_cast<uint16_t>(turn % count);
  if (other == node) other = static_cast<uint16_t>((other + 1) % count);
  return other;
}

}  // namespace meridian
