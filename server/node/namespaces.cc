#include "server/node/namespaces.h"

#include <algorithm>
#include <optional>
#include <utility>

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
  auto added = std::make_unique<Namespace>(name, *id, Keep(policies_->Of(name)));
  return map_.emplace(added->name, std::move(added)).first->second.get();
}

std::shared_ptr<const PolicyTable> Namespaces::policies() const {
  absl::ReaderMutexLock lock(&mu_);
  return policies_;
}

void Namespaces::SetPolicies(std::shared_ptr<const PolicyTable> policies) {
  absl::MutexLock lock(&mu_);
  policies_ = std::move(policies);
  for (const auto& [name, name_space] : map_) {
    name_space->policy_.store(&Keep(policies_->Of(name)), std::memory_order_release);
  }
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
