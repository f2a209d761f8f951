// NodeServer is a whole node: it makes every part, connects them, and starts and stops them in
// order. With its NodeParts, the one place that knows every module; it holds no rule of its own.
//
// Start order: event loop and stores, engine, paths, servers, replication, membership, HTTP.
// Stop is the exact reverse: leave the topology, refuse new calls, finish those under way, then
// take the parts apart from the top.
// Thread safety: Start and Stop are called once each, by one thread.

#ifndef MERIDIAN_SERVER_APP_NODE_SERVER_H_
#define MERIDIAN_SERVER_APP_NODE_SERVER_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "server/policy/node_config.h"

namespace meridian {

struct NodeParts;

class NodeServer {
 public:
  // Listens and serves from here on; the ready file is written last. `end_process` is called, on
  // any thread, for each call that has drained the node: it has no slots, and is to be stopped.
  static absl::StatusOr<std::unique_ptr<NodeServer>> Start(NodeConfig config,
                                                           std::function<void()> end_process);
  ~NodeServer();

  // Reads the file of policies now. Any thread.
  void ReloadPolicies();

  // Stops within a few seconds. Calls under way are finished, or cancelled after `grace`.
  void Stop(absl::Duration grace);

 private:
  NodeServer();
  const std::unique_ptr<NodeParts> parts_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_NODE_SERVER_H_
