// ReadPath answers reads: from L1 when this node owns the key, else from the tiers below
// (MissPath); from the owner when that is another node.
//
// One request is split by owner; the parts run in parallel; the answers come back in order. An
// owner that does not answer is gone around: the regional store is read directly, and nothing is
// put into this node's L1, which is not the key's home. A batch never fails as a whole; entries do.
// A call that wants leases waits only while it has none: of keys that several owners have, it first
// takes the leases that are free, and then waits at one owner at a time. So no two calls wait for
// each other, in whatever order they name their keys.
// Cost: a request that L1 answers completely runs on the caller's stack and allocates its results,
//   nothing per key.
// Thread safety: Read may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_READ_PATH_H_
#define MERIDIAN_SERVER_NODE_READ_PATH_H_

#include "server/node/mirror_reads.h"
#include "server/node/miss_path.h"
#include "server/node/node_context.h"
#include "server/node/operations.h"

namespace meridian {

class ReadPath {
 public:
  // Both, and what they refer to, are not owned and outlive every callback.
  ReadPath(const NodeContext& context, MissPath& misses) : context_(context), misses_(misses) {}

  // Is asked first for keys of other nodes; not owned. REQUIRES: set before the first Read.
  void SetMirrors(MirrorReads* mirrors) { mirrors_ = mirrors; }

  // `request` must live until `callback` has run, which may happen before Read returns.
  void Read(const ReadRequest& request, ReadCallback callback);

 private:
  // Of a key of another node, in the form that `form` gives keys. True: `*result` is the answer.
  bool ReadMirror(const ReadRequest& request, const Namespace& name_space, const KeyPolicy& form,
                  std::string_view key, const Member& owner, ReadResult* result);

  const NodeContext& context_;
  MissPath& misses_;
  MirrorReads* mirrors_ = nullptr;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_READ_PATH_H_
