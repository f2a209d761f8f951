// Heartbeat writes one small entry a second into a slot that this node owns, so that replication to
// every other region, and its lag, is measured when nobody else writes.
//
// The entry goes the way of every write. Its key names the region, and a tag whose slot is one of
// the node's: no two nodes write the same entry. Thread safety: none; everything runs behind the
// gate.

#ifndef MERIDIAN_SERVER_REPLICATION_HEARTBEAT_H_
#define MERIDIAN_SERVER_REPLICATION_HEARTBEAT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/node/limits.h"
#include "server/replication/task_gate.h"

namespace meridian {

// A key `heartbeat:<region>:{<tag>}` of kInternalNamespace whose slot is one of `slots`
// (ascending); empty when there are none.
std::string HeartbeatKey(std::string_view region, const std::vector<uint32_t>& slots);

class Heartbeat {
 public:
  // Writes an entry that this node owns; must not block, and errors are its own affair.
  using Write = std::function<void(std::string_view name_space, const std::string& key)>;

  Heartbeat(std::string region, absl::Duration interval, TaskGate gate, Write write);

  void Start() { Tick(); }
  void SetOwned(const std::vector<uint32_t>& slots) { key_ = HeartbeatKey(region_, slots); }

 private:
  void Tick();

  const std::string region_;
  const absl::Duration interval_;
  const TaskGate gate_;
  const Write write_;
  std::string key_;  // Empty: no slot, no heartbeat.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_HEARTBEAT_H_
