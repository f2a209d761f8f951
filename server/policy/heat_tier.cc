#include "server/policy/heat_tier.h"

namespace meridian {
namespace {

constexpr uint64_t kMegabyte = 1'000'000;

}  // namespace

HeatTiers ShippedTiers() {
  return {
      HeatTier{"hot", absl::Seconds(60), absl::Seconds(300), "lru", 50 * kMegabyte, 0, 0},
      HeatTier{"warm", absl::Seconds(600), absl::Seconds(1800), "adaptive", 100 * kMegabyte, 0, 3},
      HeatTier{"cold", absl::Seconds(3600), absl::Seconds(7200), "ttl", 200 * kMegabyte, 0, 3}};
}

int TierIndex(std::string_view name) {
  if (name == "hot") return 0;
  if (name == "warm") return 1;
  return name == "cold" ? 2 : -1;
}

}  // namespace meridian
