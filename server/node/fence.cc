#include "server/node/fence.h"

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/node/record.h"

namespace meridian {
namespace {

// Routes all fences to one slot.
constexpr std::string_view kRouting = "{f}";
constexpr char kScopes[] = {'n', 'p', 't'};  // By FenceScope.

}  // namespace

std::array<uint32_t, 2> FenceSlots() {
  return {SlotOf(kFenceNamespace, kRouting), SlotOf(kLocalFenceNamespace, kRouting)};
}

L2Key FenceKey(const Fence& fence) {
  const std::string_view name_space = fence.local ? kLocalFenceNamespace : kFenceNamespace;
  return {SlotOf(name_space, kRouting), std::string(name_space),
          absl::StrCat(ToAbsl(kRouting), fence.name_space, ":",
                       std::string(1, kScopes[static_cast<size_t>(fence.scope)]), ":", fence.name)};
}

std::optional<Fence> ParseFenceKey(std::string_view name_space, std::string_view key,
                                   Version version) {
  Fence fence;
  fence.local = name_space == kLocalFenceNamespace;
  if (!fence.local && name_space != kFenceNamespace) return std::nullopt;
  if (key.substr(0, kRouting.size()) != kRouting) return std::nullopt;
  key.remove_prefix(kRouting.size());
  const size_t colon = key.find(':');
  if (colon == 0 || colon == std::string_view::npos || colon + 2 >= key.size() ||
      key[colon + 2] != ':') {
    return std::nullopt;
  }
  const std::string_view scope(kScopes, sizeof(kScopes));
  const size_t found = scope.find(key[colon + 1]);
  if (found == std::string_view::npos) return std::nullopt;
  fence.name_space = key.substr(0, colon);
  fence.scope = static_cast<FenceScope>(found);
  fence.name = key.substr(colon + 3);
  fence.version = version;
  if (fence.scope == FenceScope::kNamespace ? !fence.name.empty() : fence.name.empty()) {
    return std::nullopt;
  }
  if (fence.scope == FenceScope::kPrefix && FenceTable::PrefixDepth(fence.name) == 0) {
    return std::nullopt;
  }
  return fence;
}

L2Write FenceWrite(const Fence& fence) {
  L2Write write;
  write.key = FenceKey(fence);
  write.version = fence.version;
  write.expires_at = absl::InfiniteFuture();
  write.retention = absl::InfiniteDuration();
  AppendRecord({.version = fence.version,
                .expires_at = write.expires_at,
                .kind = RecordKind::kValue,
                .tags = {},
                .value = {}},
               &write.record);
  return write;
}

}  // namespace meridian
