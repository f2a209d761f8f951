#include "common/cluster/slot_assignment.h"

#include <algorithm>
#include <cassert>
#include <queue>
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

constexpr uint16_t kFree = 0xFFFF;

// A bijection of 64-bit numbers (the finaliser of MurmurHash3): spreads slot numbers.
constexpr uint64_t Mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

// distances[rank] / weight is the distance of the slot at `rank`. It is the expected rank-th of
// 1024 exponentially distributed values (Rényi, 1953), so that without bounds a node wins its
// weight's share, as in weighted rendezvous hashing, but with less variance than independent draws
// have.
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

// One node's pairs, best first: its ranking of the slots, read on demand.
class Ranking {
 public:
  Ranking(const SlotCandidate& candidate, uint16_t node) : weight_(candidate.weight), node_(node) {
    const uint64_t seed = Hash64(candidate.id);
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      order_[slot] = {Mix(seed ^ Mix(slot + 1)), static_cast<uint16_t>(slot)};
    }
    std::sort(order_.begin(), order_.end());
  }

  // The next pair whose slot is still free. REQUIRES: there is one.
  Pair Next(const std::array<uint64_t, kSlotCount>& distances, const SlotOwners& owners) {
    while (owners[order_[rank_].second] != kFree) ++rank_;
    const auto [hash, slot] = order_[rank_];
    return {distances[rank_++] / weight_, Mix(hash + 1), slot, node_};
  }

 private:
  uint64_t weight_;
  uint16_t node_;
  uint32_t rank_ = 0;
  std::array<std::pair<uint64_t, uint16_t>, kSlotCount> order_;
};

}  // namespace

uint32_t SlotBound(uint32_t weight, uint64_t total_weight) {
  const uint64_t slots = uint64_t{kSlotCount} * weight;
  const uint64_t with_slack = slots * 105 / (100 * total_weight);
  const uint64_t rounded_up = (slots + total_weight - 1) / total_weight;
  return static_cast<uint32_t>(std::min<uint64_t>(kSlotCount, std::max(with_slack, rounded_up)));
}

SlotOwners AssignSlots(const std::vector<SlotCandidate>& candidates) {
  assert(!candidates.empty() && candidates.size() <= kSlotCount);
  uint64_t total_weight = 0;
  for (const SlotCandidate& candidate : candidates) total_weight += candidate.weight;

  const std::array<uint64_t, kSlotCount> distances = RankDistances();
  SlotOwners owners;
  owners.fill(kFree);

  // Every node's best pair that is left; the best of them is the next of all pairs.
  const auto worse = [&](const Pair& a, const Pair& b) {
    if (a.distance != b.distance) return a.distance > b.distance;
    if (a.tie != b.tie) return a.tie > b.tie;
    if (a.slot != b.slot) return a.slot > b.slot;
    return candidates[a.node].id > candidates[b.node].id;
  };
  std::priority_queue<Pair, std::vector<Pair>, decltype(worse)> best(worse);
  std::vector<Ranking> rankings;
  std::vector<uint32_t> room;
  rankings.reserve(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    rankings.emplace_back(candidates[i], static_cast<uint16_t>(i));
    room.push_back(SlotBound(candidates[i].weight, total_weight));
    best.push(rankings[i].Next(distances, owners));
  }

  uint32_t free_slots = kSlotCount;
  while (free_slots > 0) {  // The bounds add up to at least 1024, so no slot is left.
    const Pair pair = best.top();
    best.pop();
    if (owners[pair.slot] == kFree) {
      owners[pair.slot] = pair.node;
      --room[pair.node];
      --free_slots;
    }
    if (room[pair.node] > 0 && free_slots > 0) {
      best.push(rankings[pair.node].Next(distances, owners));
    }
  }
  return owners;
}

}  // namespace meridian
