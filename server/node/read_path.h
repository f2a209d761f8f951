// ReadPath answers reads: from L1 when this node owns the key, else from the owner, else from L2.
//
// One request is split by owner; the parts run in parallel; the answers come back in order. An owner
// that does not answer is gone around: the regional store is read directly, and nothing is put into
// this node's L1, which is not the key's home. A batch never fails as a whole; entries do.
// Cost: a request that L1 answers completely runs on the caller's stack and allocates its results,
//   nothing per key.
// Thread safety: Read may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_READ_PATH_H_
#define MERIDIAN_SERVER_NODE_READ_PATH_H_

#include "server/node/node_context.h"
#include "server/node/operations.h"

namespace meridian {

class ReadPath {
 public:
  // `context` and what it refers to are not owned and outlive every callback.
  explicit ReadPath(const NodeContext& context) : context_(context) {}

  // `request` must live until `callback` has run, which may happen before Read returns.
  void Read(const ReadRequest& request, ReadCallback callback);

 private:
  class Call;

  // Reads a key from L2 and lengthens the life of its entry in L1, which has `version`, or replaces it.
  void Refresh(const Namespace& name_space, const EntryKey& key, Version version);

  const NodeContext& context_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_READ_PATH_H_
