// Cluster is what a client knows of the nodes now: the routing table and a channel to each.
//
// Without a topology every call goes to any target; with one, to the owner. An answer that shows a
// newer epoch makes it fetch the topology at once.
// Cost: View() is one short lock and a reference; take it once a call.
// Thread safety: all methods may be called concurrently. The destructor waits for all calls that
//   were begun with BeginCall.

#ifndef MERIDIAN_CLIENT_INTERNAL_CLUSTER_H_
#define MERIDIAN_CLIENT_INTERNAL_CLUSTER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/internal/channel_cache.h"
#include "client/internal/request_ids.h"
#include "client/internal/routing_table.h"
#include "client/internal/topology_source.h"

namespace meridian {

struct ClusterView {
  RoutingTable table;
  std::vector<std::shared_ptr<const NodeChannel>> nodes;  // nodes[i] is at table.addresses()[i].
};

class Cluster {
 public:
  // Told of every view, in order; the first before the constructor returns.
  using OnView = std::function<void(const ClusterView& view)>;

  // REQUIRES: `targets` is not empty.
  explicit Cluster(std::vector<std::string> targets, OnView on_view = nullptr,
                   ChannelSecurity security = {});
  ~Cluster();

  // Never nullptr.
  std::shared_ptr<const ClusterView> View() const ABSL_LOCKS_EXCLUDED(mu_);

  // False when no node told a topology within `timeout`.
  bool WaitForTopology(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_);

  // An answer came from a node that uses `epoch`.
  void NoteEpoch(uint64_t epoch);

  // Grows with every call: spreads calls without an owner.
  uint64_t NextTurn() { return turn_.fetch_add(1, std::memory_order_relaxed); }
  std::string NextRequestId() { return request_ids_.Next(); }

  void BeginCall() { calls_.fetch_add(1, std::memory_order_relaxed); }
  void EndCall() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Install(const Topology& topology) ABSL_LOCKS_EXCLUDED(mu_);

  const std::vector<std::string> targets_;
  const OnView on_view_;
  RequestIds request_ids_;
  std::atomic<uint64_t> turn_;
  std::atomic<uint64_t> epoch_{0};            // Of view_.
  std::atomic<uint64_t> requested_epoch_{0};  // Newest that was asked for: one fetch an epoch.
  std::atomic<int64_t> calls_{1};             // In flight, plus one for the Cluster itself.
  ChannelCache channels_;
  mutable absl::Mutex mu_;
  bool idle_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<const ClusterView> view_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<TopologySource> source_;  // Last: reports into everything above.
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_INTERNAL_CLUSTER_H_
