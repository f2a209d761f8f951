#include "server/policy/ttl_rules.h"

#include <algorithm>
#include <cmath>

#include "server/policy/volatility.h"

namespace meridian {
namespace {

constexpr absl::Duration kShortestTtl = absl::Milliseconds(1);

// REQUIRES: policy.volatility.enabled.
VolatilityClass ClassOf(const NamespacePolicy& policy, const TtlFacts& facts) {
  return facts.volatility ? VolatilityClassOf(policy.volatility, *facts.volatility)
                          : VolatilityClass::kMedium;
}

}  // namespace

TtlChoice TtlFor(const NamespacePolicy& policy, const TtlFacts& facts) {
  if (facts.explicit_ttl > absl::ZeroDuration()) return {facts.explicit_ttl, TtlCause::kWriter};
  TtlChoice choice{policy.ttl, TtlCause::kNamespace};
  if (!facts.state.empty()) {
    if (const auto it = policy.ttl_by_state.find(facts.state); it != policy.ttl_by_state.end()) {
      choice = {it->second, TtlCause::kState};
    }
  }
  if (policy.volatility.enabled) {
    const absl::Duration cap = VolatilityCap(policy.volatility, ClassOf(policy, facts));
    if (cap < choice.ttl) choice = {cap, TtlCause::kVolatility};
  }
  if (choice.ttl < policy.ttl_min) choice = {policy.ttl_min, TtlCause::kMinimum};
  if (choice.ttl > policy.ttl_max) choice = {policy.ttl_max, TtlCause::kMaximum};
  return choice;
}

absl::Duration L1TtlFor(const NamespacePolicy& policy, const TtlFacts& facts,
                        absl::Duration remaining) {
  absl::Duration ttl = policy.l1_ttl > absl::ZeroDuration() ? policy.l1_ttl : remaining;
  if (policy.adaptive_ttl.enabled && facts.hits) {
    if (*facts.hits > policy.adaptive_ttl.boost_hits) {
      const bool is_volatile =
          policy.volatility.enabled && ClassOf(policy, facts) == VolatilityClass::kHigh;
      if (!is_volatile) ttl = std::max(ttl, policy.adaptive_ttl.boost_ttl);
    } else if (*facts.hits < policy.adaptive_ttl.cut_hits) {
      ttl = std::min(ttl, policy.adaptive_ttl.cut_ttl);
    }
  }
  if (policy.volatility.enabled) {
    ttl = std::min(ttl, VolatilityCap(policy.volatility, ClassOf(policy, facts)));
  }
  return std::min(ttl, remaining);
}

absl::Duration WithJitter(const NamespacePolicy& policy, absl::Duration ttl, uint64_t random) {
  const double unit = static_cast<double>(random >> 11) * 0x1.0p-53;  // 0 <= unit < 1.
  const absl::Duration shortened = ttl - ttl * (policy.ttl_jitter * unit);
  return std::max(shortened, std::min(ttl, kShortestTtl));
}

absl::Duration RefreshAhead(const NamespacePolicy& policy, absl::Duration l1_ttl) {
  const absl::Duration ahead =
      policy.refresh.ahead_share > 0 ? l1_ttl * policy.refresh.ahead_share : policy.refresh.ahead;
  return std::min(ahead, l1_ttl);
}

std::optional<size_t> PoolFor(const NamespacePolicy& policy, absl::Duration ttl) {
  if (policy.pools.empty()) return std::nullopt;
  for (size_t i = 0; i < policy.pools.size(); ++i) {
    if (ttl <= policy.pools[i].ttl_max) return i;
  }
  return policy.pools.size() - 1;
}

int8_t WeightOf(const NamespacePolicy& policy) {
  const long weight = static_cast<long>(policy.priority) + std::lround(std::log2(policy.cost));
  return static_cast<int8_t>(std::clamp(weight, -3L, 3L));
}

}  // namespace meridian
