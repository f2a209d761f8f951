#include "server/node/fences.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/status_macros.h"

namespace meridian {

absl::Status Fences::Learn(const Fence& fence) {
  RETURN_IF_ERROR(versions_.Check(fence.version.hlc));
  const std::optional<NamespaceId> id = engine_.InternNamespace(fence.name_space);
  // Of namespaces beyond the limit nothing can be read.
  const bool news =
      id.has_value() && engine_.fences().Add(*id, fence.scope, fence.name, fence.version.hlc);
  return Note(fence, news);
}

absl::StatusOr<uint64_t> Fences::LearnPushed(Fence fence) {
  RETURN_IF_ERROR(versions_.Check(fence.version.hlc));
  const std::optional<NamespaceId> id = engine_.InternNamespace(fence.name_space);
  bool news = false;
  {
    absl::MutexLock lock(&judging_);
    fence.version.hlc = std::max(fence.version.hlc, judged_.load(std::memory_order_relaxed));
    news = id.has_value() && engine_.fences().Add(*id, fence.scope, fence.name, fence.version.hlc);
  }
  RETURN_IF_ERROR(Note(fence, news));
  return fence.version.hlc;
}

absl::Status Fences::Note(const Fence& fence, bool news) {
  // After it is in force: who gets a version that is newer has seen what it covers.
  RETURN_IF_ERROR(versions_.Merge(fence.version.hlc));
  std::vector<Fence> larger;
  {
    absl::MutexLock lock(&mu_);
    L2Key key = FenceKey(fence);
    const Key all = [&] {
      L2Key of_all = FenceKey({.name_space = fence.name_space, .local = fence.local});
      return Key(std::move(of_all.name_space), std::move(of_all.key));
    }();
    const auto covering = names_.find(all);
    if (fence.scope != FenceScope::kNamespace && covering != names_.end() &&
        covering->second.hlc >= fence.version.hlc) {
      if (given_up_.size() < kMaxNamed) given_up_.push_back(fence);
    } else {
      Version& known = names_[{std::move(key.name_space), std::move(key.key)}];
      known = std::max(known, fence.version);
      if (fence.scope == FenceScope::kNamespace) {
        GiveUp(fence.name_space, fence.local, fence.version.hlc);
      }
      if (names_.size() > kMaxNamed) larger = Shrink();
    }
  }
  if (news) {
    learned_[static_cast<size_t>(fence.scope)].fetch_add(1, std::memory_order_relaxed);
    for (const Listener& listener : listeners_) listener(fence);
  }
  for (const Fence& all : larger) RETURN_IF_ERROR(Learn(all));
  return absl::OkStatus();
}

void Fences::GiveUp(const std::string& name_space, bool local, uint64_t hlc) {
  L2Key first = FenceKey({.name_space = name_space, .local = local});
  const std::string start = first.key.substr(0, first.key.size() - 2);  // Without the scope.
  const Key all(first.name_space, first.key);
  for (auto it = names_.lower_bound({first.name_space, start});
       it != names_.end() && it->first.first == first.name_space &&
       it->first.second.compare(0, start.size(), start) == 0;) {
    if (it->first == all || it->second.hlc > hlc) {
      ++it;
      continue;
    }
    std::optional<Fence> fence = ParseFenceKey(it->first.first, it->first.second, it->second);
    if (fence && given_up_.size() < kMaxNamed) given_up_.push_back(*std::move(fence));
    it = names_.erase(it);
  }
}

std::vector<Fence> Fences::Shrink() {
  std::map<std::pair<std::string, bool>, std::vector<Version>> by_namespace;
  for (const auto& [key, version] : names_) {
    const std::optional<Fence> fence = ParseFenceKey(key.first, key.second, version);
    if (fence) by_namespace[{fence->name_space, fence->local}].push_back(version);
  }
  const auto largest = std::max_element(
      by_namespace.begin(), by_namespace.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  // One for each namespace is as few as there can be: namespaces are bounded, too.
  if (largest == by_namespace.end() || largest->second.size() < 2) return {};
  merged_.fetch_add(1, std::memory_order_relaxed);
  std::vector<Version>& versions = largest->second;
  const auto middle = versions.begin() + static_cast<std::ptrdiff_t>(versions.size() / 2);
  std::nth_element(versions.begin(), middle, versions.end());
  const auto& [name_space, local] = largest->first;
  return {{.name_space = name_space, .version = *middle, .local = local}};
}

uint64_t Fences::ClockOf(const Fence& fence) const {
  const std::optional<NamespaceId> id = engine_.InternNamespace(fence.name_space);
  return id ? engine_.fences().NewestOf(*id, fence.scope, fence.name) : 0;
}

std::vector<Fence> Fences::List() const {
  absl::MutexLock lock(&mu_);
  std::vector<Fence> fences;
  fences.reserve(names_.size());
  for (const auto& [key, version] : names_) {
    std::optional<Fence> fence = ParseFenceKey(key.first, key.second, version);
    if (fence) fences.push_back(*std::move(fence));
  }
  return fences;
}

std::vector<Fence> Fences::TakeGivenUp() {
  absl::MutexLock lock(&mu_);
  return std::exchange(given_up_, {});
}

size_t Fences::named() const {
  absl::MutexLock lock(&mu_);
  return names_.size();
}

}  // namespace meridian
