#include "server/node/routing.h"

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/engine/engine.h"

namespace meridian {

void AddToGroup(uint16_t owner, uint32_t index, OwnerGroups* groups) {
  for (OwnerGroup& group : *groups) {
    if (group.owner == owner) {
      group.indexes.push_back(index);
      return;
    }
  }
  groups->push_back(OwnerGroup{owner, {index}});
}

Error NotOwnerError(const Topology& topology, uint32_t slot, std::string_view node_id) {
  const Member* owner = topology.OwnerOf(slot);
  return Error{grpc::StatusCode::FAILED_PRECONDITION,
               reason::kNotOwner,
               absl::StrCat("slot ", slot, " belongs to ", owner == nullptr ? "nobody" : owner->id,
                            " in epoch ", topology.epoch(), ", not to ", ToAbsl(node_id)),
               {}};
}

Error FencesUnknownError() {
  return Error{grpc::StatusCode::UNAVAILABLE,
               reason::kFencesUnknown,
               "this node has not read yet what was invalidated; try again",
               {}};
}

Error TooManyNamespacesError(std::string_view name) {
  return Error{
      grpc::StatusCode::RESOURCE_EXHAUSTED,
      reason::kTooManyNamespaces,
      absl::StrCat("namespace ", QuoteKey(name), " would be more than ", Engine::kMaxNamespaces,
                   "; use keys, not namespaces, to tell data apart"),
      {}};
}

}  // namespace meridian
