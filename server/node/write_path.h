// WritePath carries out writes: by the owner, with a version of its own, in the regional store
// first and then in L1.
//
// Promise: an OK means that the regional store has it (L1 alone when none is configured); a plain
//   write that meets something newer takes a newer version and tries again, so that it wins over
//   everything that was there when it began; conditions are judged in the store, atomically.
// While the regional store is away, a namespace may let its owner keep plain Sets and Invalidates
// in a
//   HintLog and in L1; they are answered as degraded.
// An owner that does not answer is gone around: this node writes to the regional store itself, and
// the
//   owner learns of it from the changelog. Conditional writes are not repeated that way, because
//   the first attempt may have been carried out: they fail with OUTCOME_UNKNOWN.
// Of a key that is repeated in one request, the last item wins.
// Thread safety: Write may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_WRITE_PATH_H_
#define MERIDIAN_SERVER_NODE_WRITE_PATH_H_

#include "server/node/l1_writer.h"
#include "server/node/mirror_reads.h"
#include "server/node/miss_path.h"
#include "server/node/node_context.h"
#include "server/node/operations.h"
#include "server/node/update_log.h"

namespace meridian {

class WritePath {
 public:
  // Both, and what they refer to, are not owned and outlive every callback.
  WritePath(const NodeContext& context, MissPath& misses)
      : context_(context), misses_(misses), l1_writer_(context) {}

  // Is told of writes; not owned. REQUIRES: set before the first Write.
  void SetMirrors(MirrorReads* mirrors) { mirrors_ = mirrors; }
  // Keeps what clients have changed. As above.
  void SetUpdates(UpdateLog* updates) { updates_ = updates; }

  // `request` must live until `callback` has run, which may happen before Write returns.
  void Write(const WriteRequest& request, WriteCallback callback);

 private:
  const NodeContext& context_;
  MissPath& misses_;
  L1Writer l1_writer_;
  MirrorReads* mirrors_ = nullptr;
  UpdateLog* updates_ = nullptr;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_WRITE_PATH_H_
