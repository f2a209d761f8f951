#include "common/engine/eviction_policy.h"

#include <array>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/strings.h"
#include "common/engine/adaptive_policy.h"
#include "common/engine/fifo_policy.h"
#include "common/engine/lru_policy.h"
#include "common/engine/s3_fifo_policy.h"
#include "common/engine/sieve_policy.h"
#include "common/engine/ttl_policy.h"
#include "common/engine/w_tinylfu_policy.h"

namespace meridian {
namespace {

struct Known {
  std::string_view name;
  std::unique_ptr<EvictionPolicy> (*create)(PolicyLimits limits, KeyHasher hasher, uint64_t seed);
};

// Sorted by name.
constexpr std::array kKnown = {
    Known{"adaptive",
          [](PolicyLimits limits, KeyHasher hasher,
             uint64_t seed) -> std::unique_ptr<EvictionPolicy> {
            return std::make_unique<AdaptivePolicy>(limits, AdaptivePolicy::Goal::kHits, hasher,
                                                    seed);
          }},
    Known{"adaptive_bytes",
          [](PolicyLimits limits, KeyHasher hasher,
             uint64_t seed) -> std::unique_ptr<EvictionPolicy> {
            return std::make_unique<AdaptivePolicy>(limits, AdaptivePolicy::Goal::kByteHits, hasher,
                                                    seed);
          }},
    Known{"fifo",
          [](PolicyLimits, KeyHasher, uint64_t) -> std::unique_ptr<EvictionPolicy> {
            return std::make_unique<FifoPolicy>();
          }},
    Known{"lru",
          [](PolicyLimits, KeyHasher, uint64_t) -> std::unique_ptr<EvictionPolicy> {
            return std::make_unique<LruPolicy>();
          }},
    Known{"s3_fifo",
          [](PolicyLimits limits, KeyHasher hasher, uint64_t) -> std::unique_ptr<EvictionPolicy> {
            return std::make_unique<S3FifoPolicy>(limits, hasher);
          }},
    Known{"sieve",
          [](PolicyLimits, KeyHasher, uint64_t) -> std::unique_ptr<EvictionPolicy> {
            return std::make_unique<SievePolicy>();
          }},
    Known{"ttl",
          [](PolicyLimits, KeyHasher, uint64_t) -> std::unique_ptr<EvictionPolicy> {
            return std::make_unique<TtlPolicy>();
          }},
    Known{"w_tinylfu",
          [](PolicyLimits limits, KeyHasher hasher,
             uint64_t seed) -> std::unique_ptr<EvictionPolicy> {
            return std::make_unique<WTinyLfuPolicy>(limits, hasher, seed);
          }},
};

}  // namespace

absl::StatusOr<std::unique_ptr<EvictionPolicy>> CreateEvictionPolicy(std::string_view name,
                                                                     PolicyLimits limits,
                                                                     KeyHasher hasher,
                                                                     uint64_t seed) {
  for (const Known& known : kKnown) {
    if (known.name == name) return known.create(limits, hasher, seed);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown eviction policy '", ToAbsl(name),
                   "'; known: ", absl::StrJoin(EvictionPolicyNames(), ", ")));
}

std::vector<std::string> EvictionPolicyNames() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  return names;
}

}  // namespace meridian
