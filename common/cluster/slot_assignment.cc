#include "common/cluster/slot_assignment.h"

#include <algorithm>
#include <cassert>
#include <string_view>
#include <tuple>
#include <utility>

namespace meridian {
namespace {

// How much a slot and a node want each other: smaller is better.
struct Pair {
  uint64_t distance;
  uint64_t tie;  // Ranks are equal for many pairs; this hash is not.
  uint16_t slot;
  uint16_t node;
};

// A bijection of 64-bit numbers (the finaliser of MurmurHash3): spreads slot numbers.
constexpr uint64_t Mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

// distances[rank] / weight is the distance of the slot at `rank`. It is the expected rank-th of 1024
// exponentially distributed values (Rényi, 1953), so that without bounds a node wins its weight's
// share, as in weighted rendezvous hashing, but with less variance than independent draws have.
std::array<uint64_t, kSlotCount> RankDistances() {
  constexpr uint64_t kOne = uint64_t{1} << 50;
  std::array<uint64_t, kSlotCount> distances;
  uint64_t sum = 0;
  for (uint32_t rank = 0; rank < kSlotCount; ++rank) {
    sum += kOne / (kSlotCount - rank);
    distances[rank] = sum;
  }
  return distances;
}

void AppendPairs(const SlotCandidate& candidate, uint16_t node,
                 const std::array<uint64_t, kSlotCount>& distances, std::vector<Pair>* pairs) {
  const uint64_t seed = Hash64(candidate.id);
  std::array<std::pair<uint64_t, uint16_t>, kSlotCount> order;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    order[slot] = {Mix(seed ^ Mix(slot + 1)), static_cast<uint16_t>(slot)};
  }
  std::sort(order.begin(), order.end());
  for (uint32_t rank = 0; rank < kSlotCount; ++rank) {
    const auto [hash, slot] = order[rank];
    pairs->push_back({distances[rank] / candidate.weight, Mix(hash + 1), slot, node});
  }
}

}  // namespace

uint32_t SlotBound(uint32_t weight, uint64_t total_weight) {
  const uint64_t slots = uint64_t{kSlotCount} * weight;
  const uint64_t with_slack = slots * 105 / (100 * total_weight);
  const uint64_t rounded_up = (slots + total_weight - 1) / total_weight;
  return static_cast<uint32_t>(
      std::min<uint64_t>(kSlotCount, std::max(with_slack, rounded_up)));
}

SlotOwners AssignSlots(const std::vector<SlotCandidate>& candidates) {
  assert(!candidates.empty() && candidates.size() <= kSlotCount);
  uint64_t total_weight = 0;
  for (const SlotCandidate& candidate : candidates) total_weight += candidate.weight;

  const std::array<uint64_t, kSlotCount> distances = RankDistances();
  std::vector<uint32_t> room;
  std::vector<Pair> pairs;
  pairs.reserve(candidates.size() * kSlotCount);
  for (size_t i = 0; i < candidates.size(); ++i) {
    room.push_back(SlotBound(candidates[i].weight, total_weight));
    AppendPairs(candidates[i], static_cast<uint16_t>(i), distances, &pairs);
  }
  std::sort(pairs.begin(), pairs.end(), [&](const Pair& a, const Pair& b) {
    if (a.distance != b.distance) return a.distance < b.distance;
    if (a.tie != b.tie) return a.tie < b.tie;
    if (a.slot != b.slot) return a.slot < b.slot;
    return candidates[a.node].id < candidates[b.node].id;
  });

  constexpr uint16_t kFree = 0xFFFF;
  SlotOwners owners;
  owners.fill(kFree);
  uint32_t free_slots = kSlotCount;
  for (const Pair& pair : pairs) {
    if (owners[pair.slot] != kFree || room[pair.node] == 0) continue;
    owners[pair.slot] = pair.node;
    --room[pair.node];
    if (--free_slots == 0) break;
  }
  return owners;  // The bounds add up to at least 1024, so no slot is left.
}

}  // namespace meridian
