#include "server/policy/volatility.h"

#include <algorithm>

namespace meridian {
namespace {

// 0..1. Written so that NaN gives 0.
double Share(double value) { return value > 0 ? std::min(value, 1.0) : 0.0; }

}  // namespace

double VolatilityScore(double base, const VolatilityFacts& facts) {
  const double sum =
      1 + Share(facts.updates_24h / 10) + Share(facts.access_variance) + Share(facts.user_activity);
  return std::min(base * sum / 4, 1.0);
}

VolatilityClass VolatilityClassOf(const VolatilityPolicy& policy, double score) {
  if (score >= policy.high_at) return VolatilityClass::kHigh;
  return score >= policy.medium_at ? VolatilityClass::kMedium : VolatilityClass::kLow;
}

absl::Duration VolatilityCap(const VolatilityPolicy& policy, VolatilityClass volatility) {
  switch (volatility) {
    case VolatilityClass::kLow:
      return policy.low;
    case VolatilityClass::kMedium:
      return policy.medium;
    case VolatilityClass::kHigh:
      break;
  }
  return policy.high;
}

}  // namespace meridian
