// FencePath carries out invalidations of many keys: by tag, by prefix, of a namespace. Any node
// does it; nothing but the number of nodes decides what it costs.
//
// 1. Asks every node of the region for its clock, so that the fence is newer than whatever was
//    written before the call.
// 2. Stores the fence in the regional store, from where it goes to nodes that start or missed it,
//    and to other regions.
// 3. Tells every node, and answers when all have it, or names those that did not say so in time.
//    When a conditional write was judged between 1 and 3 by what is dead now, the fence is made as
//    new as that write, stored and told once more.
// Nodes that join meanwhile, or that this one does not know yet, are asked and told as well.
// Thread safety: Invalidate may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_FENCE_PATH_H_
#define MERIDIAN_SERVER_NODE_FENCE_PATH_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/node/fence.h"
#include "server/node/node_context.h"
#include "server/node/operations.h"

namespace meridian {

struct FenceRequest {
  std::string name_space;  // Checked against the limits already, as the name is.
  FenceScope scope = FenceScope::kNamespace;
  std::string name;
  absl::Time deadline;
};

struct FenceResult {
  WriteResult result;  // kOk or kError.
  // Nodes that may serve what is dead until they read the store's changelog, or may have written
  // with a clock ahead of the fence. Sorted.
  std::vector<std::string> unconfirmed;
};

class FencePath {
 public:
  // `context` and what it refers to are not owned and outlive every callback. REQUIRES:
  // context.fences is set.
  explicit FencePath(const NodeContext& context) : context_(context) {}

  void Invalidate(FenceRequest request, std::function<void(FenceResult)> callback);

 private:
  class Call;

  const NodeContext& context_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_FENCE_PATH_H_
