#include "server/node/namespaces.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian {

Namespaces::Namespaces(Engine& engine, PolicyTable policies)
    : engine_(engine), policies_(std::make_shared<const PolicyTable>(std::move(policies))) {}

const Namespace* Namespaces::Resolve(std::string_view name) {
  {
    absl::ReaderMutexLock lock(&mu_);
    const auto it = map_.find(ToAbsl(name));
    if (it != map_.end()) return it->second.get();
  }
  absl::MutexLock lock(&mu_);
  const auto it = map_.find(ToAbsl(name));
  if (it != map_.end()) return it->second.get();
  const std::optional<NamespaceId> id = engine_.InternNamespace(name);
  if (!id) return nullptr;
  const NamespacePolicy& policy = Keep(policies_->Of(name));
  auto added = std::make_unique<Namespace>(
      name, *id, policy,
      map_.size() < kMaxTrafficLogs ? std::make_unique<TrafficLog>() : nullptr);
  SetPools(*added, policy);
  return map_.emplace(added->name, std::move(added)).first->second.get();
}

std::shared_ptr<const PolicyTable> Namespaces::policies() const {
  absl::ReaderMutexLock lock(&mu_);
  return policies_;
}

void Namespaces::SetPolicies(std::shared_ptr<const PolicyTable> policies) {
  absl::MutexLock lock(&mu_);
  policies_ = std::move(policies);
  problems_.clear();
  for (const auto& [name, name_space] : map_) {
    const NamespacePolicy& policy = Keep(policies_->Of(name));
    SetPools(*name_space, policy);
    name_space->policy_.store(&policy, std::memory_order_release);
  }
}

// From the coldest to the hottest, because each names the next colder one. Pools are never taken
// back: a namespace that has fewer than before leaves pools behind that nothing enters.
void Namespaces::SetPools(Namespace& name_space, const NamespacePolicy& policy) {
  const std::vector<PoolPolicy>& pools = policy.pools;
  const size_t count = std::min(pools.size(), Namespace::kMaxOwnPools);
  std::optional<PoolId> colder;
  for (size_t i = count; i-- > 0;) {
    PoolId id = name_space.pool(i);
    const bool is_new = id == kSharedPool;
    if (is_new && next_pool_ >= kMaxPools) {
      problems_.push_back(absl::StrCat("namespace ", name_space.name,
                                       ": no pool of its own, there are ", kMaxPools, " already"));
      return;
    }
    if (is_new) id = next_pool_;
    PoolOptions options;
    options.max_bytes = pools[i].max_bytes;
    options.max_entries = pools[i].max_entries;
    options.policy = pools[i].eviction.empty() ? engine_.options().policy : pools[i].eviction;
    options.demote_to = colder;
    const absl::Status status = engine_.SetPool(id, options);
    if (!status.ok()) {
      problems_.push_back(
          absl::StrCat("namespace ", name_space.name, ": pool ", i, ": ", status.message()));
      return;
    }
    if (is_new) ++next_pool_;
    name_space.pools_[i].store(id, std::memory_order_relaxed);
    colder = id;
  }
}

std::vector<std::string> Namespaces::Problems() const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<std::string> problems = problems_;
  const size_t total = engine_.options().capacity_bytes;
  uint64_t sum = 0;
  for (const auto& [name, policy] : policies_->named()) {
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

const NamespacePolicy& Namespaces::Keep(const NamespacePolicy& policy) {
  for (const std::unique_ptr<const NamespacePolicy>& kept : kept_) {
    if (*kept == policy) return *kept;
  }
  return *kept_.emplace_back(std::make_unique<const NamespacePolicy>(policy));
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

}  // namespace meridian
