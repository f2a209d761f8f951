// TopologySource keeps asking the nodes for the topology: once by GetTopology, then by a
// WatchTopology stream to the node that answered, and again from another node when that ends.
//
// Promise: reports every topology that it hears of, on one thread of its own, in the order heard
//   (older ones too: the receiver compares epochs). Waits between attempts: 50 ms at first,
//   doubling to 5 s, jittered. Never gives up.
// Thread safety: Refresh may be called by any thread. The destructor waits for calls in flight,
//   which it cancels; it must not run on the reporting thread.

#ifndef MERIDIAN_CLIENT_INTERNAL_TOPOLOGY_SOURCE_H_
#define MERIDIAN_CLIENT_INTERNAL_TOPOLOGY_SOURCE_H_

#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/random/random.h"
#include "absl/synchronization/mutex.h"
#include "client/internal/channel_cache.h"
#include "common/base/executor.h"
#include "common/cluster/topology.h"
#include "common/resilience/backoff.h"

namespace meridian {

class TopologySource {
 public:
  using OnTopology = std::function<void(Topology topology)>;

  // Starts at once. `channels` outlives this. REQUIRES: `targets` is not empty.
  TopologySource(ChannelCache& channels, std::vector<std::string> targets, OnTopology on_topology);
  ~TopologySource();

  // Somebody saw a newer epoch in an answer: fetch it, unless a fetch is under way.
  void Refresh();

 private:
  class Fetch;
  class Watch;

  // On executor_'s thread:
  void StartFetch();
  void OnFetched(const grpc::Status& status, const cache::v1::Topology& topology, bool then_watch);
  void StartWatch();
  void OnWatchEnded();
  void Report(const cache::v1::Topology& topology);
  void RetryLater();

  // Calls in flight, so that the destructor can cancel them. False: stopping, do not start.
  bool Enter(grpc::ClientContext* context) ABSL_LOCKS_EXCLUDED(mu_);
  template <typename Call>
  static void Leave(Call* call);

  ChannelCache& channels_;
  const std::vector<std::string> targets_;
  const OnTopology on_topology_;

  // Only on executor_'s thread.
  std::vector<std::string> candidates_;  // Members first, then targets.
  size_t turn_ = 0;
  Backoff backoff_;
  bool fetching_ = false;
  bool watching_ = false;
  bool retry_pending_ = false;
  uint64_t epoch_ = 0;
  std::shared_ptr<const NodeChannel> node_;  // That answered last.
  absl::BitGen random_;

  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_set<grpc::ClientContext*> in_flight_ ABSL_GUARDED_BY(mu_);
  int leaving_ ABSL_GUARDED_BY(mu_) = 0;  // Ended, and not yet deleted.
  ThreadExecutor executor_;               // Last: its tasks use everything above.
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_INTERNAL_TOPOLOGY_SOURCE_H_
