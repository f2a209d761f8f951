// RoutingTable says which node a call goes to: a flat, immutable view of one topology and of the
// addresses that the user gave.
//
// Nodes are numbered: first the topology's serving members, in the order of their ids, then
// draining members, then the user's targets that are no member's address. Without a topology all
// nodes are targets.
// Cost: OwnerOf is one array access; nothing allocates after construction.
// Thread safety: immutable.

#ifndef MERIDIAN_CLIENT_INTERNAL_ROUTING_TABLE_H_
#define MERIDIAN_CLIENT_INTERNAL_ROUTING_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/hash.h"
#include "common/cluster/topology.h"

namespace meridian {

class RoutingTable {
 public:
  // "Whichever node": the slot has no owner, or there is no topology.
  static constexpr uint16_t kAnyNode = 0xFFFF;

  // REQUIRES: `targets` is not empty.
  RoutingTable(const Topology& topology, const std::vector<std::string>& targets);

  uint64_t epoch() const { return epoch_; }
  // addresses()[node]: host:port of CacheService.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // The node that owns `slot`, or kAnyNode. REQUIRES: slot < kSlotCount.
  uint16_t OwnerOf(uint32_t slot) const { return owners_[slot]; }

  // A node for a call that has no owner; `turn` spreads the calls over the serving members.
  uint16_t AnyNode(uint64_t turn) const {
    return static_cast<uint16_t>(turn % (serving_ == 0 ? addresses_.size() : serving_));
  }

  // Another node than `node`, for a second try; serving members are preferred. `node` itself when
  // there is no other.
  uint16_t Another(uint16_t node, uint64_t turn) const;

 private:
  uint64_t epoch_ = 0;
  size_t serving_ = 0;  // The first so many of addresses_ are serving members.
  std::vector<std::string> addresses_;
  std::array<uint16_t, kSlotCount> owners_;
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_INTERNAL_ROUTING_TABLE_H_
