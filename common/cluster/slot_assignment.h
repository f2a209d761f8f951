// AssignSlots says which node owns each slot: consistent hashing with bounded loads, as a capacity
// aware stable matching (docs/adr/0003-slot-assignment.md has the measurements).
//
// Every node ranks all slots by a permutation of its own; a slot and a node prefer each other the
// more, the better that rank is for the node's weight. Pairs are matched best first, and a node
// that has reached its bound takes no more. Both sides rank by the same number, so there is exactly
// one stable matching (Gale and Shapley, 1962) and no order of evaluation to agree on.
//
// Agreement: a pure function of the ids and weights, of integers only: equal in every process, on
//   every platform. Frozen by SlotAssignmentTest.GoldenOwners.
// Balance: no node owns more than SlotBound() slots: 1.05 times its share, rounded down, or its
//   share rounded up when that is more. Every slot has an owner.
// Movement: a node that joins or leaves moves about its own share of the slots. Measured for nodes
//   of equal weight: at most 1.25/N of all slots up to N = 12, up to 3.1/N at N = 49: there a share
//   is so few slots that the bound leaves no slack.
// Cost: O(N 1024 log 1024) time and 16 KiB of scratch memory for each node; 5 ms for 50 nodes.

#ifndef MERIDIAN_COMMON_CLUSTER_SLOT_ASSIGNMENT_H_
#define MERIDIAN_COMMON_CLUSTER_SLOT_ASSIGNMENT_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/hash.h"

namespace meridian {

// A node that may own slots. The id is borrowed for the call.
struct SlotCandidate {
  std::string_view id;
  uint32_t weight = 1;
};

// slot -> index into the candidates.
using SlotOwners = std::array<uint16_t, kSlotCount>;

// REQUIRES: 1..1024 candidates, their ids distinct, every weight in 1..1000. Any order.
SlotOwners AssignSlots(const std::vector<SlotCandidate>& candidates);

// The most slots that a node of `weight` may own among nodes of `total_weight`.
uint32_t SlotBound(uint32_t weight, uint64_t total_weight);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_CLUSTER_SLOT_ASSIGNMENT_H_
