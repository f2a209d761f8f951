#include "server/node/entry_rules.h"

#include <algorithm>

#include "common/base/hash.h"
#include "server/policy/ttl_rules.h"
#include "server/policy/volatility.h"

namespace meridian {
namespace {

// A refresh that did not come back is tried again after this long.
constexpr absl::Duration kRefreshInterval = absl::Seconds(1);

void Count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

// What the rules of TTLs want to know of a key.
TtlFacts TtlFactsOf(const NamespacePolicy& policy, const KeyFacts& facts) {
  TtlFacts ttl_facts;
  ttl_facts.hits = facts.hits;
  if (policy.volatility.enabled) {
    ttl_facts.volatility =
        VolatilityScore(policy.volatility.base, {.updates_24h = facts.updates_24h,
                                                 .access_variance = facts.access_variance,
                                                 .user_activity = facts.requests_per_minute});
  }
  return ttl_facts;
}

KeyFacts FactsOf(const NodeContext& context, const NamespacePolicy& policy, const EntryKey& key,
                 absl::Duration now) {
  return WatchesKeys(policy) ? context.activity->Look(key.hash, now) : KeyFacts();
}

// The life in L1 that the policy gives, shortened by jitter unless it is the rest of the value's
// life.
absl::Duration L1Life(const NamespacePolicy& policy, const KeyFacts& facts, const EntryKey& key,
                      Version version, absl::Duration remaining) {
  const absl::Duration life = L1TtlFor(policy, TtlFactsOf(policy, facts), remaining);
  if (life >= remaining) return remaining;
  return WithJitter(policy, life, Hash64(key.key, ~version.hlc));
}

bool Refreshes(const NamespacePolicy& policy) {
  return policy.refresh.ahead_share > 0 || policy.refresh.ahead > absl::ZeroDuration();
}

// 0-17: what is small, or was asked for often.
bool IsAdmitted(const AdmissionPolicy& admission, const KeyFacts& facts, uint32_t raw_size) {
  return !admission.enabled || raw_size < admission.max_size ||
         facts.requests_24h > admission.min_hits;
}

void Boost(const NodeContext& context, const Namespace& name_space, const NamespacePolicy& policy,
           const EntryKey& key, const Entry& entry, const KeyFacts& facts, absl::Duration now) {
  if (facts.stored_until <= now) return;
  const absl::Duration life = L1TtlFor(policy, TtlFactsOf(policy, facts), facts.stored_until - now);
  if (now + life <= entry.expires_at) return;
  if (context.engine.Adjust(key, entry.version, {.expires_at = now + life})) {
    Count(name_space.counters.boosts);
  }
}

// 2-12: a value moves up when it was asked for often enough.
void PromotePool(const NodeContext& context, const Namespace& name_space,
                 const NamespacePolicy& policy, const EntryKey& key, const Entry& entry) {
  for (size_t i = 1; i < std::min(policy.pools.size(), Namespace::kMaxOwnPools); ++i) {
    const uint32_t wanted = policy.pools[i].promote_hits;
    if (wanted == 0 || entry.hits < wanted || entry.pool != name_space.pool(i)) continue;
    if (context.engine.Adjust(key, entry.version, {.pool = name_space.pool(i - 1)})) {
      Count(name_space.counters.pool_promotions);
    }
    return;
  }
}

}  // namespace

bool WatchesKeys(const NamespacePolicy& policy) {
  return policy.volatility.enabled || policy.adaptive_ttl.enabled || policy.admission.enabled ||
         policy.promotion_misses > 1 || Refreshes(policy) || policy.pools.size() > 1;
}

absl::Duration LifeOf(const NodeContext& context, const NamespacePolicy& policy,
                      const WriteItem& item, const EntryKey& key, Version version) {
  if (item.ttl > absl::ZeroDuration()) return item.ttl;
  TtlFacts facts = TtlFactsOf(policy, FactsOf(context, policy, key, context.clock.Monotonic()));
  facts.state = item.state_hint;
  return WithJitter(policy, TtlFor(policy, facts).ttl, Hash64(key.key, version.hlc));
}

absl::Duration L1LifeOf(const NodeContext& context, const NamespacePolicy& policy,
                        const EntryKey& key, Version version, absl::Duration remaining,
                        absl::Duration now) {
  return L1Life(policy, FactsOf(context, policy, key, now), key, version, remaining);
}

bool PlaceEntry(const NodeContext& context, const Namespace& name_space,
                const NamespacePolicy& policy, const EntryKey& key, absl::Duration remaining,
                absl::Duration now, Placing placing, Entry* entry) {
  const bool watched = WatchesKeys(policy);
  const KeyFacts facts = watched ? context.activity->Look(key.hash, now) : KeyFacts();
  if (placing == Placing::kFill && policy.promotion_misses > 1 &&
      facts.misses < policy.promotion_misses) {
    return false;
  }
  const bool is_new = placing == Placing::kFill || placing == Placing::kWrite;
  if (is_new && !IsAdmitted(policy.admission, facts, entry->raw_size)) {
    Count(name_space.counters.not_admitted);
    context.engine.NoteRefused(key);
    return false;
  }
  entry->expires_at = now + L1Life(policy, facts, key, entry->version, remaining);
  entry->weight = WeightOf(policy);
  if (const std::optional<size_t> pool = PoolFor(policy, remaining)) {
    entry->pool = name_space.pool(*pool);
  }
  if (watched) context.activity->OnPlaced(key.hash, now + remaining);
  return true;
}

void NoteTraffic(const Namespace& name_space, TrafficKind kind, const EntryKey& key,
                 absl::Duration now) {
  if (name_space.traffic == nullptr) return;
  name_space.traffic->Record(kind, key.hash, now, 0, {});
}

void NoteEntry(const Namespace& name_space, TrafficKind kind, const EntryKey& key, size_t charge,
               LoggedLife life, absl::Duration now) {
  if (name_space.traffic == nullptr) return;
  name_space.traffic->Record(kind, key.hash, now, charge, life);
}

absl::Duration OwnLife(const NamespacePolicy& policy, absl::Duration total,
                       absl::Duration remaining) {
  if (policy.l1_ttl > absl::ZeroDuration()) return remaining;
  // The version's time and the wall clock are a moment apart.
  constexpr absl::Duration kSlack = absl::Milliseconds(100);
  const bool by_policy =
      total <= policy.ttl + kSlack && total >= policy.ttl * (1 - policy.ttl_jitter) - kSlack;
  return by_policy ? absl::InfiniteDuration() : remaining;
}

HitFollowUp OnL1Hit(const NodeContext& context, const Namespace& name_space,
                    const NamespacePolicy& policy, const EntryKey& key, const Entry& entry,
                    absl::Duration now) {
  const uint32_t hits = context.activity->OnHit(key.hash, now);
  if (policy.pools.size() > 1) PromotePool(context, name_space, policy, key, entry);
  const bool earned = policy.adaptive_ttl.enabled && hits == policy.adaptive_ttl.boost_hits + 1;
  // Without an l1_ttl an entry is here as long as in L2, of which only an origin knows more.
  const absl::Duration whole =
      policy.l1_ttl == absl::ZeroDuration() && policy.origin.enabled() ? policy.ttl : policy.l1_ttl;
  const bool near_end = Refreshes(policy) && entry.expires_at - now <= RefreshAhead(policy, whole);
  if (!earned && !near_end) return HitFollowUp::kNothing;
  const KeyFacts facts = context.activity->Look(key.hash, now);
  if (earned) Boost(context, name_space, policy, key, entry, facts, now);
  const bool longer_in_l2 = facts.stored_until > entry.expires_at;
  const bool loads = context.origins != nullptr && policy.origin.enabled();
  if (!near_end || !(longer_in_l2 || loads) ||
      !context.activity->TryRefresh(key.hash, now, kRefreshInterval)) {
    return HitFollowUp::kNothing;
  }
  return longer_in_l2 ? HitFollowUp::kReadL2 : HitFollowUp::kLoad;
}

}  // namespace meridian
