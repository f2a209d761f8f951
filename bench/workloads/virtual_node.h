// VirtualNode is one node in virtual time: the real read and write paths, policies and engine of
// meridian-node over an in-memory regional store, so that hours of traffic take seconds.
//
// Thread safety: none; one thread.

#ifndef MERIDIAN_BENCH_WORKLOADS_VIRTUAL_NODE_H_
#define MERIDIAN_BENCH_WORKLOADS_VIRTUAL_NODE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/engine/engine_stats.h"
#include "server/node/operations.h"
#include "server/policy/node_config.h"

namespace meridian {

class VirtualNode {
 public:
  static absl::StatusOr<std::unique_ptr<VirtualNode>> Create(const NodeConfig& config);
  ~VirtualNode();

  // Lets time pass until `since_start`, with the node's housekeeping.
  void AdvanceTo(absl::Duration since_start);

  // The tier that answered; kNone for a miss. Any other outcome is a defect of the run and ends it.
  Tier Get(std::string_view name_space, std::string_view key);

  // `ttl` 0: by policy.
  void Set(std::string_view name_space, std::string_view key, std::string_view value,
           absl::Duration ttl);

  // Of all namespaces, since the start.
  EngineCounters L1() const;

 private:
  struct Parts;
  explicit VirtualNode(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace meridian

#endif  // MERIDIAN_BENCH_WORKLOADS_VIRTUAL_NODE_H_
