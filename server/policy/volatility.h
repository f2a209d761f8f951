// How volatile a key is: a score from 0 to 1, and the class and TTL that a policy gives to the
// score.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_POLICY_VOLATILITY_H_
#define MERIDIAN_SERVER_POLICY_VOLATILITY_H_

#include <cstdint>

#include "absl/time/time.h"
#include "server/policy/namespace_policy.h"

namespace meridian {

// What is known of a key. Negative values and NaN count as 0.
struct VolatilityFacts {
  double updates_24h = 0;      // Writes in the last 24 hours; 10 and more count alike.
  double access_variance = 0;  // Each above 1 counts as 1.
  double user_activity = 0;
};

// base * (1 + min(updates_24h / 10, 1) + min(access_variance, 1) + min(user_activity, 1)) / 4, at
// most 1 (2-06). So a key of which nothing is known has a quarter of its type's base.
double VolatilityScore(double base, const VolatilityFacts& facts);

enum class VolatilityClass : uint8_t { kLow, kMedium, kHigh };

VolatilityClass VolatilityClassOf(const VolatilityPolicy& policy, double score);

// The TTL of a class: nothing that the policy computes for such a key lives longer.
absl::Duration VolatilityCap(const VolatilityPolicy& policy, VolatilityClass volatility);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_VOLATILITY_H_
