// What an Invalidate call of many keys covers.
//
// Thread safety: pure function.

#ifndef MERIDIAN_SERVER_RPC_FENCE_TARGET_H_
#define MERIDIAN_SERVER_RPC_FENCE_TARGET_H_

#include <optional>

#include "common/rpc/error.h"
#include "meridian/cache/v1/cache_service.pb.h"
#include "server/node/fence_path.h"
#include "server/policy/namespace_policy.h"

namespace meridian {

// Fills the fence's scope and name, a prefix in the form in which `keys` has keys cached.
// REQUIRES: the target is no key.
std::optional<Error> ReadFenceTarget(const cache::v1::InvalidateRequest& request,
                                     const KeyPolicy& keys, FenceRequest* fence);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_FENCE_TARGET_H_
