// Fence is an invalidation of many keys at once: what it covers is dead unless it is newer.
//
// The regional store keeps a fence as a record like any other, in a namespace of its own, so that
// it has a version, a changelog, replication and repair; all of a region's fences are in the
// changelogs of two slots, which every node follows. docs/wire.md has the names.

#ifndef MERIDIAN_SERVER_NODE_FENCE_H_
#define MERIDIAN_SERVER_NODE_FENCE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/version.h"
#include "common/engine/fence_table.h"
#include "server/node/l2_store.h"

namespace meridian {

struct Fence {
  std::string name_space = {};
  FenceScope scope = FenceScope::kNamespace;
  std::string name = {};  // The prefix or the tag.
  Version version = {};
  bool local = false;  // Of a namespace that does not replicate: it stays in its region.
};

// Where fences are kept: those that replicate, and the others.
inline constexpr std::string_view kFenceNamespace = "_meridian.fence";
inline constexpr std::string_view kLocalFenceNamespace = "_meridian.fence.local";

inline bool IsFenceNamespace(std::string_view name_space) {
  return name_space == kFenceNamespace || name_space == kLocalFenceNamespace;
}

// The slots whose changelogs tell every fence of the region.
std::array<uint32_t, 2> FenceSlots();

// Under which key the store keeps the fence.
L2Key FenceKey(const Fence& fence);
// nullopt for keys that FenceKey does not make.
std::optional<Fence> ParseFenceKey(std::string_view name_space, std::string_view key,
                                   Version version);

// The write that stores it. Fences have no TTL: no store may evict them.
L2Write FenceWrite(const Fence& fence);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_FENCE_H_
