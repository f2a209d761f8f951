#include "server/policy/policy_draft.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

std::string Text(absl::Duration duration) { return DurationText(duration); }

// TTLs that the namespace gives itself.
std::vector<std::pair<std::string, absl::Duration>> StatedTtls(const PolicyDraft& draft) {
  std::vector<std::pair<std::string, absl::Duration>> stated;
  const NamespacePolicy& policy = draft.policy;
  if (draft.has("ttl")) stated.emplace_back("ttl", policy.ttl);
  for (const auto& [state, ttl] : policy.ttl_by_state) stated.emplace_back("ttl_by_state", ttl);
  if (policy.volatility.enabled) {
    stated.emplace_back("volatility.high", policy.volatility.high);
    stated.emplace_back("volatility.medium", policy.volatility.medium);
    stated.emplace_back("volatility.low", policy.volatility.low);
  }
  return stated;
}

// ttl, ttl_min and ttl_max.
void FillTtls(const PolicyDraft& draft, const HeatTiers& tiers, NamespacePolicy* policy) {
  if (!draft.has("ttl")) {
    if (policy->volatility.enabled) {
      policy->ttl = policy->volatility.low;
    } else if (!draft.tiers.empty()) {
      policy->ttl = tiers[TierIndex(draft.tiers.front())].ttl_max;
    }
    // Bounds of its own bind a TTL that it leaves to others.
    if (draft.has("ttl_min")) policy->ttl = std::max(policy->ttl, policy->ttl_min);
    if (draft.has("ttl_max")) policy->ttl = std::min(policy->ttl, policy->ttl_max);
  }
  if (draft.tiers.empty()) return;
  absl::Duration low = std::min(policy->ttl, tiers[TierIndex(draft.tiers.front())].ttl_min);
  absl::Duration high = std::max(policy->ttl, tiers[TierIndex(draft.tiers.back())].ttl_max);
  for (const auto& [field, ttl] : StatedTtls(draft)) {
    low = std::min(low, ttl);
    high = std::max(high, ttl);
  }
  if (!draft.has("ttl_min")) policy->ttl_min = std::min(low, policy->ttl_max);
  if (!draft.has("ttl_max")) policy->ttl_max = std::max(high, policy->ttl_min);
}

void FillPools(const PolicyDraft& draft, const HeatTiers& tiers, NamespacePolicy* policy) {
  policy->pools.clear();
  for (const std::string& name : draft.tiers) {
    const HeatTier& tier = tiers[TierIndex(name)];
    PoolPolicy pool;
    pool.tier = name;
    pool.max_bytes = tier.max_bytes;
    pool.max_entries = tier.max_entries;
    pool.eviction = tier.eviction;
    pool.ttl_max = tier.ttl_max;
    pool.promote_hits = policy->pools.empty() ? 0 : tier.promote_hits;
    policy->pools.push_back(std::move(pool));
  }
  if (!draft.max_bytes && !draft.max_entries && !draft.eviction) return;
  if (policy->pools.empty()) policy->pools.emplace_back();
  PoolPolicy& pool = policy->pools.front();
  if (draft.max_bytes) pool.max_bytes = *draft.max_bytes;
  if (draft.max_entries) pool.max_entries = *draft.max_entries;
  if (draft.eviction) pool.eviction = *draft.eviction;
}

std::optional<PolicyProblem> CheckTtls(const PolicyDraft& draft, const NamespacePolicy& policy) {
  if (policy.ttl_min > policy.ttl_max) {
    return PolicyProblem{draft.has("ttl_min") ? "ttl_min" : "ttl_max",
                         absl::StrCat("ttl_min ", Text(policy.ttl_min), " is longer than ttl_max ",
                                      Text(policy.ttl_max))};
  }
  for (const auto& [field, ttl] : StatedTtls(draft)) {
    if (ttl < policy.ttl_min) {
      return PolicyProblem{
          field, absl::StrCat(Text(ttl), " is shorter than ttl_min ", Text(policy.ttl_min))};
    }
    if (ttl > policy.ttl_max) {
      return PolicyProblem{
          field, absl::StrCat(Text(ttl), " is longer than ttl_max ", Text(policy.ttl_max))};
    }
  }
  if (policy.l1_ttl > policy.ttl) {
    return PolicyProblem{"l1_ttl", absl::StrCat(Text(policy.l1_ttl), " is longer than ttl ",
                                                Text(policy.ttl), ": no value lives so long")};
  }
  return std::nullopt;
}

std::optional<PolicyProblem> CheckVolatility(const PolicyDraft& draft,
                                             const VolatilityPolicy& volatility) {
  if (!volatility.enabled) return std::nullopt;
  for (const char* field : {"volatility.high", "volatility.medium", "volatility.low"}) {
    if (!draft.has(field)) {
      return PolicyProblem{"volatility",
                           "needs high, medium and low: the TTLs of the three classes"};
    }
  }
  if (volatility.high > volatility.medium || volatility.medium > volatility.low) {
    return PolicyProblem{"volatility.high",
                         absl::StrCat("what changes more must not live longer: high ",
                                      Text(volatility.high), " <= medium ", Text(volatility.medium),
                                      " <= low ", Text(volatility.low), " does not hold")};
  }
  if (volatility.medium_at > volatility.high_at) {
    return PolicyProblem{
        draft.has("volatility.medium_at") ? "volatility.medium_at" : "volatility.high_at",
        absl::StrCat("medium_at ", NumberText(volatility.medium_at), " is above high_at ",
                     NumberText(volatility.high_at))};
  }
  return std::nullopt;
}

std::optional<PolicyProblem> CheckAdaptive(const PolicyDraft& draft,
                                           const NamespacePolicy& policy) {
  const AdaptiveTtl& adaptive = policy.adaptive_ttl;
  if (!adaptive.enabled) return std::nullopt;
  const auto given = [&draft](const char* field, const char* other) {
    return std::string(draft.has(field) ? field : draft.has(other) ? other : "adaptive_ttl");
  };
  if (policy.l1_ttl == absl::ZeroDuration()) {
    return PolicyProblem{"adaptive_ttl", "needs l1_ttl: it moves the life in L1 within ttl"};
  }
  if (adaptive.cut_hits >= adaptive.boost_hits) {
    return PolicyProblem{given("adaptive_ttl.cut_hits", "adaptive_ttl.boost_hits"),
                         absl::StrCat("cut_hits ", adaptive.cut_hits, " is not below boost_hits ",
                                      adaptive.boost_hits)};
  }
  if (adaptive.cut_ttl > policy.l1_ttl || policy.l1_ttl > adaptive.boost_ttl) {
    return PolicyProblem{
        adaptive.cut_ttl > policy.l1_ttl ? given("adaptive_ttl.cut_ttl", "l1_ttl")
                                         : given("adaptive_ttl.boost_ttl", "l1_ttl"),
        absl::StrCat("cut_ttl ", Text(adaptive.cut_ttl), " <= l1_ttl ", Text(policy.l1_ttl),
                     " <= boost_ttl ", Text(adaptive.boost_ttl), " does not hold")};
  }
  if (adaptive.boost_ttl > policy.ttl) {
    return PolicyProblem{
        given("adaptive_ttl.boost_ttl", "ttl"),
        absl::StrCat("boost_ttl ", Text(adaptive.boost_ttl), " is longer than ttl ",
                     Text(policy.ttl), ": no value lives so long")};
  }
  return std::nullopt;
}

std::optional<PolicyProblem> CheckRest(const PolicyDraft& draft, const NamespacePolicy& policy) {
  if (draft.tiers.size() > 1) {
    for (const char* field : {"max_bytes", "max_entries", "eviction"}) {
      if (draft.has(field)) {
        return PolicyProblem{field,
                             "the namespace has several tiers: set it in the section tiers:"};
      }
    }
  }
  const absl::Duration l1_ttl = policy.l1_ttl > absl::ZeroDuration() ? policy.l1_ttl : policy.ttl;
  if (policy.refresh.ahead > l1_ttl) {
    return PolicyProblem{
        "refresh.ahead",
        absl::StrCat(Text(policy.refresh.ahead), " is longer than the life in L1, ", Text(l1_ttl))};
  }
  if (!policy.origin.enabled()) {
    for (const char* field : {"origin.tls", "origin.ca_file", "origin.timeout",
                              "origin.soft_timeout", "origin.concurrency", "origin.batch_window",
                              "origin.batch_size", "origin.rate", "origin.retries"}) {
      if (draft.has(field)) return PolicyProblem{field, "needs origin.address"};
    }
  }
  if (!policy.origin.ca_file.empty() && !policy.origin.tls) {
    return PolicyProblem{"origin.ca_file", "needs origin.tls: true"};
  }
  if (policy.origin.soft_timeout > policy.origin.timeout) {
    return PolicyProblem{
        draft.has("origin.soft_timeout") ? "origin.soft_timeout" : "origin.timeout",
        absl::StrCat("soft_timeout ", Text(policy.origin.soft_timeout), " is longer than timeout ",
                     Text(policy.origin.timeout))};
  }
  const GoalsPolicy& goals = policy.goals;
  if (goals.l2_p95 > absl::ZeroDuration() && goals.l2_p95 < goals.l1_p95) {
    return PolicyProblem{
        "goals.l2_p95", absl::StrCat("l2_p95 ", Text(goals.l2_p95), " is shorter than l1_p95 ",
                                     Text(goals.l1_p95), ": what L2 answers was looked for in L1")};
  }
  if (policy.key.hash_above > 0 && policy.key.hash == KeyHash::kNone) {
    return PolicyProblem{"key.hash_above", "needs key.hash md5 or xxh3"};
  }
  return std::nullopt;
}

}  // namespace

bool FinishPolicy(const PolicyDraft& draft, const HeatTiers& tiers, NamespacePolicy* policy,
                  PolicyProblem* problem) {
  std::optional<PolicyProblem> found = CheckVolatility(draft, draft.policy.volatility);
  if (!found) {
    *policy = draft.policy;
    FillTtls(draft, tiers, policy);
    FillPools(draft, tiers, policy);
    found = CheckTtls(draft, *policy);
  }
  if (!found) found = CheckAdaptive(draft, *policy);
  if (!found) found = CheckRest(draft, *policy);
  if (found) *problem = *std::move(found);
  return !found;
}

}  // namespace meridian
