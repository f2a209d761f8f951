// What of L1 moves with a slot to its next owner, and the two ends of the way: the port by which
// the present owner sends it, and what takes it at the next one. server/refill has the rules
// (docs/adr/0033-hand-off-before-the-epoch.md), server/peer and server/rpc carry it.

#ifndef MERIDIAN_SERVER_NODE_HAND_OFF_H_
#define MERIDIAN_SERVER_NODE_HAND_OFF_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/buffer.h"
#include "common/base/version.h"
#include "common/cluster/topology.h"
#include "common/engine/entry.h"
#include "server/policy/namespace_policy.h"

namespace meridian {

// A live value as its owner's L1 has it, with the names by which others know it.
struct HandOffItem {
  std::string name_space;
  std::string key;
  Buffer value;  // Stored bytes.
  Version version;
  absl::Duration ttl;  // What is left of its life.
  uint32_t heat = 0;   // As Entry::hits.
  std::string tags;    // EncodeTags.
  Encoding encoding = Encoding::kIdentity;
  uint32_t raw_size = 0;
};

// Whether every change of such a key is in the changelog: loads of invalidate_only namespaces are
// not, so that nobody would tell the next owner that what it was given is overtaken.
inline bool IsToldOf(const NamespacePolicy& policy) {
  return policy.replication != ReplicationMode::kInvalidateOnly;
}

// How many of the items were taken; or why none was: kUnavailable, later perhaps.
using HandOffDone = std::function<void(absl::StatusOr<uint64_t>)>;

// Sends items to a node that owns their slots by the topology of `epoch`, which is planned, and not
// yet published. Thread safety: may be called concurrently. `done` is called once, on any thread.
class HandOffTransport {
 public:
  virtual ~HandOffTransport() = default;
  // Without items: asks whether the node could take some.
  virtual void HandOff(const Member& to, uint64_t epoch, std::vector<HandOffItem> items,
                       absl::Time deadline, HandOffDone done) = 0;
};

// Takes what others send. Thread safety: as above.
class HandOffTarget {
 public:
  virtual ~HandOffTarget() = default;
  virtual void Take(uint64_t epoch, std::vector<HandOffItem> items, HandOffDone done) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_HAND_OFF_H_
