// Leases of an answer that its caller does not get: it has cancelled, or its deadline is over.
//
// Promise: they are given back, so that the next one who waits gets them at once and not after
//   lease_ttl. A caller that goes while the answer is under way to it is not noticed: there the
//   lease's own end helps.
// Cost: nothing unless the caller has gone. Thread safety: may be called concurrently.

#ifndef MERIDIAN_SERVER_RPC_UNDELIVERED_LEASES_H_
#define MERIDIAN_SERVER_RPC_UNDELIVERED_LEASES_H_

#include <grpcpp/server_context.h>

#include <vector>

#include "server/node/operations.h"
#include "server/node/write_path.h"

namespace meridian {

// `results` answer `request`, just before the call of `context` ends. `writes` is not owned and
// outlives what is begun here.
void GiveBackUndelivered(const grpc::CallbackServerContext& context, const ReadRequest& request,
                         const std::vector<ReadResult>& results, absl::Time now, WritePath& writes);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_UNDELIVERED_LEASES_H_
