#include "common/engine/ttl_policy.h"

#include <algorithm>
#include <bit>

namespace meridian {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

TtlPolicy::TtlPolicy() {
  for (Level& level : levels_) {
    level.lists.reserve(kLists);
    for (uint64_t digit = 0; digit < kLists; ++digit) level.lists.emplace_back(slots_);
  }
}

uint64_t TtlPolicy::SecondOf(const EntryNode& node) {
  constexpr uint64_t kLast = (uint64_t{1} << (kLevels * kDigitBits)) - 1;
  const int64_t seconds = std::max<int64_t>(node.expires_ns(), 0) / kNanosPerSecond;
  return std::min(static_cast<uint64_t>(seconds), kLast);
}

void TtlPolicy::Add(EntryNode& node) {
  const uint64_t second = std::max(SecondOf(node), hand_);
  // The level is the highest digit in which the second differs from the hand.
  const int level = (63 - std::countl_zero((second ^ hand_) | 1)) / kDigitBits;
  const uint64_t digit = (second >> (level * kDigitBits)) % kLists;
  levels_[level].lists[digit].PushBack(node);
  levels_[level].occupied |= uint64_t{1} << digit;
  node.policy_bits = static_cast<uint16_t>(level * kLists + digit);
}

void TtlPolicy::OnRemove(EntryNode& node) {
  Level& level = levels_[node.policy_bits / kLists];
  const uint64_t digit = node.policy_bits % kLists;
  level.lists[digit].Remove(node);
  if (level.lists[digit].empty()) level.occupied &= ~(uint64_t{1} << digit);
}

EntryNode& TtlPolicy::Victim() {
  int moves = kMovesPerVictim;
  for (;;) {
    // Of lists that begin together the highest is the first: what is in it was not sorted yet.
    int next_level = 0;
    uint64_t next_begin = UINT64_MAX;
    for (int level = kLevels - 1; level >= 0; --level) {
      if (levels_[level].occupied == 0) continue;
      const int shift = level * kDigitBits;
      const auto digit = static_cast<uint64_t>(std::countr_zero(levels_[level].occupied));
      const uint64_t above = hand_ >> (shift + kDigitBits) << (shift + kDigitBits);
      const uint64_t begin = above | (digit << shift);
      if (begin < next_begin) {
        next_begin = begin;
        next_level = level;
      }
    }
    Level& level = levels_[next_level];
    PolicyList& list = level.lists[static_cast<size_t>(std::countr_zero(level.occupied))];
    hand_ = std::max(hand_, next_begin);
    if (next_level == 0 || moves == 0) return list.front();
    --moves;
    EntryNode& node = list.front();
    OnRemove(node);
    Add(node);
  }
}

}  // namespace meridian
