// MirrorReads answers reads of keys that other nodes own and that are asked for here very often.
// server/peer/mirror_cache.h implements it; without it every such read goes to its owner.
//
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_MIRROR_READS_H_
#define MERIDIAN_SERVER_NODE_MIRROR_READS_H_

#include <string_view>

#include "common/cluster/topology.h"
#include "common/engine/entry.h"
#include "server/node/operations.h"

namespace meridian {

class MirrorReads {
 public:
  virtual ~MirrorReads() = default;

  // True: `*result` is the answer, with its tags. False: ask the owner, and perhaps the next read
  // is answered. The value may be compressed, as an owner's.
  virtual bool Read(std::string_view name_space, std::string_view key, const Member& owner,
                    ReadResult* result) = 0;
  // True: Read would answer this, if the key is hot now. Changes nothing.
  virtual bool Peek(std::string_view name_space, std::string_view key, Entry* entry) const = 0;
  // This node has sent a write of the key on its way, and it was answered.
  virtual void Wrote(std::string_view name_space, std::string_view key, Version version) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_MIRROR_READS_H_
