// What an Invalidate call of many keys covers.
//
// Thread safety: pure function.

#ifndef MERIDIAN_SERVER_RPC_FENCE_TARGET_H_
#define MERIDIAN_SERVER_RPC_FENCE_TARGET_H_

#include <optional>

#include "common/rpc/error.h"
#include "meridian/cache/v1/cache_service.pb.h"
#include "server/node/fence_path.h"

namespace meridian {

// Fills the fence's scope and name. REQUIRES: the target is no key.
std::optional<Error> ReadFenceTarget(const cache::v1::InvalidateRequest& request,
                                     FenceRequest* fence);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_FENCE_TARGET_H_
