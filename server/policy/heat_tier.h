// HeatTier is a heat of L1: a range of TTLs, a budget a namespace and an eviction policy. A
// namespace that names a tier takes from it what it does not say itself.
//
// Thread safety: values.

#ifndef MERIDIAN_SERVER_POLICY_HEAT_TIER_H_
#define MERIDIAN_SERVER_POLICY_HEAT_TIER_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace meridian {

struct HeatTier {
  std::string name;
  absl::Duration ttl_min;
  absl::Duration ttl_max;
  std::string eviction;
  uint64_t max_bytes = 0;    // Of each namespace.
  uint64_t max_entries = 0;  // Of each namespace; 0: no such limit.
  // At most kMaxEntryHits.
  uint32_t promote_hits = 0;  // Into the hotter tier that the namespace names, if any; 0: never.

  bool operator==(const HeatTier&) const = default;
};

// Hottest first.
using HeatTiers = std::array<HeatTier, 3>;

// hot 1-5 min, 50 MB (2-02); warm 10-30 min, 100 MB (2-03); cold 1-2 h, 200 MB (2-04).
HeatTiers ShippedTiers();

// The index of "hot", "warm" or "cold"; -1 for others.
int TierIndex(std::string_view name);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_HEAT_TIER_H_
