#include "server/node/namespaces.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian {

namespace {

constexpr char kFallback[] = "*";

}  // namespace

Namespaces::Namespaces(Engine& engine, PolicyTable policies) : engine_(engine) {
  SetPolicies(std::make_shared<const PolicyTable>(std::move(policies)));
}

const Namespace* Namespaces::Resolve(std::string_view name) {
  {
    absl::ReaderMutexLock lock(&mu_);
    const auto it = map_.find(ToAbsl(name));
    if (it != map_.end()) return it->second.get();
  }
  absl::MutexLock change(&change_mu_);
  absl::MutexLock lock(&mu_);
  const auto it = map_.find(ToAbsl(name));
  if (it != map_.end()) return it->second.get();
  const std::optional<NamespaceId> id = engine_.InternNamespace(name);
  if (!id) return nullptr;
  std::shared_ptr<ReadFigures> figures;
  if (map_.size() < kMaxFigures) {
    figures = std::make_shared<ReadFigures>();
  } else {
    if (other_figures_ == nullptr) other_figures_ = std::make_shared<ReadFigures>();
    figures = other_figures_;
  }
  auto added = std::make_unique<Namespace>(
      name, *id, PoliciesOf(name, policies_, trial_slots_),
      map_.size() < kMaxTrafficLogs ? std::make_unique<TrafficLog>() : nullptr, std::move(figures));
  const Budget* budget = BudgetOf(added->name, *policies_.base);
  if (budget != nullptr) engine_.PlaceNamespace(*id, budget->shards);
  GivePools(*added, *policies_.base, &problems_);
  return map_.emplace(added->name, std::move(added)).first->second.get();
}

std::shared_ptr<const PolicyTable> Namespaces::policies() const {
  absl::ReaderMutexLock lock(&mu_);
  return policies_.base;
}

void Namespaces::SetPolicies(PolicySet policies) {
  if (policies.trial != nullptr && policies.trial_percent >= 100) {
    policies = {.base = std::move(policies.trial), .base_version = policies.trial_version};
  }
  const bool has_trial = policies.trial != nullptr && policies.trial_percent > 0;
  if (!has_trial)
    policies = {.base = std::move(policies.base), .base_version = policies.base_version};
  absl::MutexLock change(&change_mu_);
  std::vector<std::string> problems;
  SetBudgets(*policies.base, &problems);
  std::shared_ptr<const TrialSlots> slots;
  if (has_trial) {
    slots = std::make_shared<const TrialSlots>(policies.trial_version, policies.trial_percent);
  }
  trials_.clear();
  // Made while everybody reads on; nobody adds a namespace meanwhile.
  std::vector<std::pair<Namespace*, SlotPolicies>> next;
  for (Namespace* name_space : Used()) {
    GivePools(*name_space, *policies.base, &problems);
    next.emplace_back(name_space, PoliciesOf(name_space->name, policies, slots));
  }
  absl::MutexLock lock(&mu_);
  for (auto& [name_space, made] : next) {
    absl::MutexLock its_lock(&name_space->mu_);
    std::swap(name_space->policies_, made);  // What was in force is freed later, without mu_.
  }
  std::swap(policies_, policies);
  trial_slots_ = std::move(slots);
  problems_ = std::move(problems);
}

std::vector<Namespace*> Namespaces::Used() {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<Namespace*> used;
  for (const auto& [name, name_space] : map_) used.push_back(name_space.get());
  return used;
}

void Namespaces::SetBudgets(const PolicyTable& policies, std::vector<std::string>* problems) {
  for (const auto& [name, policy] : policies.named()) SetBudget(name, policy, policies, problems);
  SetBudget(kFallback, policies.fallback(), policies, problems);
}

void Namespaces::SetBudget(const std::string& name, const NamespacePolicy& policy,
                           const PolicyTable& policies, std::vector<std::string>* problems) {
  std::vector<PoolOptions> pools;
  for (const PoolPolicy& pool : policy.pools) {
    if (pools.size() == Namespace::kMaxOwnPools) break;
    pools.push_back({.max_bytes = pool.max_bytes,
                     .max_entries = pool.max_entries,
                     .policy = pool.eviction.empty() ? engine_.options().policy : pool.eviction});
  }
  if (pools.empty()) return;
  auto it = budgets_.find(name);
  if (it == budgets_.end()) it = budgets_.emplace(name, MakeBudget(name, pools, policies)).first;
  Budget& budget = it->second;
  while (budget.pools.size() < pools.size() && next_pool_ < kMaxPools) {
    budget.pools.push_back(next_pool_++);
  }
  if (budget.pools.size() < pools.size()) {
    problems->push_back(absl::StrCat("namespace ", name, ": no pool of its own, there are ",
                                     kMaxPools, " already; restart the node"));
    return;
  }
  // From the coldest pool to the hottest, because each names the next colder one.
  for (size_t i = pools.size(); i-- > 0;) {
    if (i + 1 < pools.size()) pools[i].demote_to = budget.pools[i + 1];
    pools[i].shards = budget.shards;
    const absl::Status status = engine_.SetPool(budget.pools[i], pools[i]);
    if (status.ok()) continue;
    problems->push_back(absl::StrCat("namespace ", name, ": pool ", i, ": ", status.message()));
    return;
  }
}

Namespaces::Budget Namespaces::MakeBudget(const std::string& name,
                                          const std::vector<PoolOptions>& pools,
                                          const PolicyTable& policies) {
  const std::optional<ShardRange> used = UsedShards(name, policies);
  if (next_pool_ + pools.size() > kMaxPools) {
    // What is left in the pools of a budget that is gone counts for the new one until it expires.
    for (auto it = budgets_.begin(); it != budgets_.end(); ++it) {
      const auto& [owner, budget] = *it;
      const bool gone = owner == kFallback
                            ? policies.fallback().pools.empty()
                            : !policies.named().contains(owner) || policies.Of(owner).pools.empty();
      if (!gone || budget.pools.size() < pools.size()) continue;
      if (used.has_value() && budget.shards != *used) continue;
      return std::move(budgets_.extract(it).mapped());
    }
  }
  return {.shards = used.has_value() ? *used : engine_.ChooseShards(pools), .pools = {}};
}

std::optional<ShardRange> Namespaces::UsedShards(const std::string& name,
                                                 const PolicyTable& policies) const {
  absl::ReaderMutexLock lock(&mu_);
  if (name != kFallback) {
    const auto it = map_.find(name);
    return it == map_.end() ? std::nullopt
                            : std::optional<ShardRange>(engine_.ShardsOf(it->second->id));
  }
  for (const auto& [other, name_space] : map_) {
    if (!policies.named().contains(other)) return engine_.all_shards();
  }
  return std::nullopt;
}

const Namespaces::Budget* Namespaces::BudgetOf(const std::string& name,
                                               const PolicyTable& policies) const {
  const auto it = budgets_.find(policies.named().contains(name) ? name : kFallback);
  const size_t pools = std::min(policies.Of(name).pools.size(), Namespace::kMaxOwnPools);
  const bool has = it != budgets_.end() && pools > 0 && it->second.pools.size() >= pools;
  return has ? &it->second : nullptr;
}

void Namespaces::GivePools(Namespace& name_space, const PolicyTable& policies,
                           std::vector<std::string>* problems) {
  const Budget* budget = BudgetOf(name_space.name, policies);
  if (budget != nullptr && budget->shards != engine_.ShardsOf(name_space.id)) {
    problems->push_back(absl::StrCat("namespace ", name_space.name,
                                     ": it was used before it had this budget, which begins "
                                     "when the node is restarted"));
    budget = nullptr;
  }
  for (size_t i = 0; i < Namespace::kMaxOwnPools; ++i) {
    const bool own = budget != nullptr && i < budget->pools.size();
    name_space.pools_[i].store(own ? budget->pools[i] : kSharedPool, std::memory_order_relaxed);
  }
}

std::vector<std::string> Namespaces::Problems() const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<std::string> problems = problems_;
  const size_t total = engine_.options().capacity_bytes;
  uint64_t sum = 0;
  for (const auto& [name, policy] : policies_.base->named()) {
    for (const PoolPolicy& pool : policy.pools) {
      sum += std::min<uint64_t>(pool.max_bytes, total);
      if (pool.max_bytes <= total) continue;
      problems.push_back(absl::StrCat("namespace ", name, ": max_bytes ", pool.max_bytes,
                                      " is more than all of L1, ", total,
                                      " bytes: raise --l1-max-bytes or lower the budget"));
    }
  }
  if (sum > total) {
    problems.push_back(absl::StrCat("the budgets of the namespaces add up to ", sum,
                                    " bytes, L1 has ", total,
                                    ": when all are full, each gets its share in proportion"));
  }
  return problems;
}

SlotPolicies Namespaces::PoliciesOf(std::string_view name, const PolicySet& policies,
                                    const std::shared_ptr<const TrialSlots>& slots) {
  const NamespacePolicy& base = policies.base->Of(name);
  VersionedPolicy versioned = {{policies.base, &base}, policies.base_version};
  if (slots == nullptr) return SlotPolicies(std::move(versioned));
  const NamespacePolicy& tried = policies.trial->Of(name);
  std::shared_ptr<const NamespacePolicy>& trial = trials_[{&base, &tried}];
  if (trial == nullptr) trial = std::make_shared<const NamespacePolicy>(TrialPolicy(base, tried));
  return SlotPolicies(std::move(versioned), {trial, policies.trial_version}, slots);
}

std::vector<const Namespace*> Namespaces::List() const {
  std::vector<const Namespace*> list;
  {
    absl::ReaderMutexLock lock(&mu_);
    for (const auto& [name, name_space] : map_) list.push_back(name_space.get());
  }
  std::sort(list.begin(), list.end(),
            [](const Namespace* a, const Namespace* b) { return a->name < b->name; });
  return list;
}

std::vector<std::pair<std::string, std::shared_ptr<const ReadFigures>>> Namespaces::Figures()
    const {
  std::vector<std::pair<std::string, std::shared_ptr<const ReadFigures>>> figures;
  std::shared_ptr<const ReadFigures> other;
  {
    absl::ReaderMutexLock lock(&mu_);
    other = other_figures_;
    for (const auto& [name, name_space] : map_) {
      if (name_space->figures != other) figures.emplace_back(name, name_space->figures);
    }
  }
  std::sort(figures.begin(), figures.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  if (other != nullptr) figures.emplace_back("other", std::move(other));
  return figures;
}

}  // namespace meridian
