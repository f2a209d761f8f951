// How long a value lives, and how long L1 keeps it: what a policy makes of what is known of a key.
//
//   life of a value = the writer's own TTL, taken as it is; else
//                     clamp(min(volatility cap, TTL of its state or of the namespace))
//   life in L1      = min(life left, volatility cap, adaptive TTL by hits or l1_ttl)
//
// Promise: a cap beats a boost, so a volatile key is never lifted; L1 never keeps a value longer
//   than it lives; jitter only shortens, and only what the policy gave. The policy is one that was
//   read and checked, or a default one.
// Thread safety: pure functions. Cost: no allocation.

#ifndef MERIDIAN_SERVER_POLICY_TTL_RULES_H_
#define MERIDIAN_SERVER_POLICY_TTL_RULES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/time/time.h"
#include "server/policy/namespace_policy.h"

namespace meridian {

struct TtlFacts {
  absl::Duration explicit_ttl = absl::ZeroDuration();  // What the writer gave; 0: nothing.
  std::string_view state = {};                         // The writer's state_hint; empty: none.
  std::optional<double> volatility = {};  // VolatilityScore of the key; nullopt: taken as medium.
  std::optional<uint32_t> hits = {};      // In its last residence in L1; nullopt: it had none.
};

enum class TtlCause : uint8_t { kWriter, kNamespace, kState, kVolatility, kMinimum, kMaximum };

struct TtlChoice {
  absl::Duration ttl;  // > 0.
  TtlCause cause = TtlCause::kNamespace;
};

// The life of a value that is written now, before jitter.
TtlChoice TtlFor(const NamespacePolicy& policy, const TtlFacts& facts);

// How long L1 keeps a value that lives for `remaining` from now. Uses facts.hits and
// facts.volatility.
absl::Duration L1TtlFor(const NamespacePolicy& policy, const TtlFacts& facts,
                        absl::Duration remaining);

// `ttl` shortened by a random share of up to policy.ttl_jitter; `random` is 64 random bits. For
// TTLs that the policy gave.
absl::Duration WithJitter(const NamespacePolicy& policy, absl::Duration ttl, uint64_t random);

// How long before the end of an L1 life of `l1_ttl` a value is loaded anew; 0: not at all.
absl::Duration RefreshAhead(const NamespacePolicy& policy, absl::Duration l1_ttl);

// Index of the pool where a value that lives for `ttl` starts: the first whose ttl_max is not
// shorter, else the last. nullopt: the policy has no pools.
std::optional<size_t> PoolFor(const NamespacePolicy& policy, absl::Duration ttl);

// log2 of what a value of this namespace is worth to L1, -3..3: its priority and its cost.
int8_t WeightOf(const NamespacePolicy& policy);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_TTL_RULES_H_
