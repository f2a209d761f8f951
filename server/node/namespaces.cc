#include "server/node/namespaces.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/strings.h"

namespace meridian {

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
  auto added = std::make_unique<Namespace>();
  added->name = std::string(name);
  added->id = *id;
  added->policy = policies_.Of(name);
  return map_.emplace(added->name, std::move(added)).first->second.get();
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
