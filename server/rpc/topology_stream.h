// TopologyStreams feeds WatchTopology: every watcher gets the current topology, then every newer one.
//
// A slow watcher holds at most one topology: what it has not taken is replaced by the newer one.
// Thread safety: all methods may be called concurrently. Destroy it after the gRPC server, whose
// streams it feeds.

#ifndef MERIDIAN_SERVER_RPC_TOPOLOGY_STREAM_H_
#define MERIDIAN_SERVER_RPC_TOPOLOGY_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/cluster/topology.h"
#include "meridian/cache/v1/cache_service.pb.h"

namespace meridian {

class TopologyStreams {
 public:
  // Follows `holder`, which is not owned and outlives this.
  explicit TopologyStreams(TopologyHolder& holder);

  // A new stream that sends topologies with an epoch above `known_epoch`.
  grpc::ServerWriteReactor<cache::v1::WatchTopologyResponse>* Open(uint64_t known_epoch)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Ends every stream and refuses new ones: the server is shutting down.
  void Shutdown() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Stream;
  void Publish(const TopologyHolder::Snapshot& topology) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(Stream* stream) ABSL_LOCKS_EXCLUDED(mu_);

  TopologyHolder& holder_;
  absl::Mutex mu_;
  bool shutting_down_ ABSL_GUARDED_BY(mu_) = false;
  std::set<Stream*> streams_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_TOPOLOGY_STREAM_H_
