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

using Shards = std::vector<PolicyLimits>;
using Policies = std::vector<std::unique_ptr<EvictionPolicy>>;

// Those that know nothing of each other; `make` is given the limits and the seed of one.
template <typename Make>
Policies OneByOne(const Shards& shards, uint64_t seed, const Make& make) {
  Policies policies;
  for (size_t i = 0; i < shards.size(); ++i) policies.push_back(make(shards[i], seed + i));
  return policies;
}

template <typename Policy>
Policies Plain(const Shards& shards, KeyHasher, uint64_t seed) {
  return OneByOne(shards, seed, [](PolicyLimits, uint64_t) { return std::make_unique<Policy>(); });
}

struct Known {
  std::string_view name;
  Policies (*create)(const Shards& shards, KeyHasher hasher, uint64_t seed);
};

// Sorted by name.
constexpr std::array kKnown = {
    Known{"adaptive",
          [](const Shards& shards, KeyHasher hasher, uint64_t seed) {
            return AdaptivePolicy::Create(shards, AdaptivePolicy::Goal::kHits, hasher, seed);
          }},
    Known{"adaptive_bytes",
          [](const Shards& shards, KeyHasher hasher, uint64_t seed) {
            return AdaptivePolicy::Create(shards, AdaptivePolicy::Goal::kByteHits, hasher, seed);
          }},
    Known{"fifo", Plain<FifoPolicy>},
    Known{"lru", Plain<LruPolicy>},
    Known{"s3_fifo",
          [](const Shards& shards, KeyHasher hasher, uint64_t seed) {
            return OneByOne(shards, seed, [hasher](PolicyLimits limits, uint64_t) {
              return std::make_unique<S3FifoPolicy>(limits, hasher);
            });
          }},
    Known{"sieve", Plain<SievePolicy>},
    Known{"ttl", Plain<TtlPolicy>},
    Known{"w_tinylfu",
          [](const Shards& shards, KeyHasher hasher, uint64_t seed) {
            return OneByOne(shards, seed, [hasher](PolicyLimits limits, uint64_t own_seed) {
              return std::make_unique<WTinyLfuPolicy>(limits, hasher, own_seed);
            });
          }},
};

}  // namespace

absl::StatusOr<Policies> CreateEvictionPolicies(std::string_view name, const Shards& shards,
                                                KeyHasher hasher, uint64_t seed) {
  for (const Known& known : kKnown) {
    if (known.name == name) return known.create(shards, hasher, seed);
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
