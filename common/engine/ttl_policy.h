// TtlPolicy evicts the entry that expires soonest: for cold tiers, where what lives longest is
// kept.
//
// The order is coarse. Entries lie in lists by the second in which they expire, for the next 64
// seconds, then by 64 seconds for the next 68 minutes, then by 68 minutes and so on, as in a timing
// wheel whose hand stands at the last victim's time. Victim() sorts a far list into nearer ones as
// the hand gets there, at most kMovesPerVictim entries a call; a list is in order of arrival. So of
// two entries that expire in the same list's time the older may go first, and what comes with an
// earlier time than the last victim's goes next. Hits change nothing.

#ifndef MERIDIAN_COMMON_ENGINE_TTL_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_TTL_POLICY_H_

#include <array>
#include <cstdint>
#include <vector>

#include "common/engine/eviction_policy.h"
#include "common/engine/policy_list.h"

namespace meridian {

class TtlPolicy final : public EvictionPolicy {
 public:
  static constexpr int kMovesPerVictim = 64;

  TtlPolicy();

  void OnInsert(EntryNode& node) override { Add(node); }
  void OnHit(EntryNode&) override {}
  void OnRemove(EntryNode& node) override;
  EntryNode& Victim() override;

 private:
  static constexpr int kLevels = 6;  // 64^6 seconds: longer than anything is kept.
  static constexpr int kDigitBits = 6;
  static constexpr uint64_t kLists = 1 << kDigitBits;

  struct Level {
    std::vector<PolicyList> lists;
    uint64_t occupied = 0;  // Bit d: lists[d] has entries.
  };

  static uint64_t SecondOf(const EntryNode& node);
  // policy_bits: level and digit of the list that the node is in.
  void Add(EntryNode& node);

  PolicySlots slots_;
  uint64_t hand_ = 0;  // A second. No list before it has entries.
  std::array<Level, kLevels> levels_;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_TTL_POLICY_H_
