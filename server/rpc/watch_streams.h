// WatchStreams feeds Watch: what the WatchHub knows of a caller's slots, as it happens, and a sign
// of life every second.
//
// A stream has at most one message under way; what a slow caller has not taken waits in the hub's
// ring and becomes a gap when the ring has gone over it. Events leave within a millisecond or so,
// those that come together in one message.
// Cost: a message of at most 64 KiB or so for each stream; one thread for all of them.
// Thread safety: all methods may be called concurrently. Destroy it after the gRPC server, whose
// streams it feeds.

#ifndef MERIDIAN_SERVER_RPC_WATCH_STREAMS_H_
#define MERIDIAN_SERVER_RPC_WATCH_STREAMS_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/executor.h"
#include "common/cluster/topology.h"
#include "server/node/watch_hub.h"

namespace meridian {

struct WatchStreamsOptions {
  std::string node_id;
  size_t max_streams = 1000;
  absl::Duration heartbeat = absl::Seconds(1);
  absl::Duration gather = absl::Milliseconds(1);  // From an event to the messages that name it.
};

class WatchStreams {
 public:
  using Reactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

  // Nothing is owned; all outlive this. `executor` is stopped before this is destroyed.
  WatchStreams(WatchStreamsOptions options, WatchHub& hub, const TopologyHolder& topology,
               Executor& executor);

  // The stream that a serialised WatchRequest asks for, or one that fails at once.
  Reactor* Open(const grpc::ByteBuffer& request) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends every stream and refuses new ones: the server is shutting down.
  void Shutdown() ABSL_LOCKS_EXCLUDED(mu_);

  size_t open() const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t messages() const { return messages_.load(std::memory_order_relaxed); }
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  class Stream;

  void PumpSoon();
  void Pump(bool alive) ABSL_LOCKS_EXCLUDED(mu_);
  void Beat();
  void Remove(Stream* stream) ABSL_LOCKS_EXCLUDED(mu_);
  Reactor* Refuse(const grpc::Status& status);

  const WatchStreamsOptions options_;
  WatchHub& hub_;
  const TopologyHolder& topology_;
  Executor& executor_;
  std::atomic<bool> pump_is_due_{false};
  std::atomic<uint64_t> messages_{0};
  std::atomic<uint64_t> refused_{0};
  mutable absl::Mutex mu_;
  bool shutting_down_ ABSL_GUARDED_BY(mu_) = false;
  std::set<Stream*> streams_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_WATCH_STREAMS_H_
