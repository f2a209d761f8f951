// SlotsGone tells when a node has no slots any more: the topology that it knows gives it none.
//
// Cost: a look at the topology for each change while somebody waits. Thread safety: Await may be
// called by any thread; what it is told runs on the caller's thread or on the one that publishes
// topologies, and must not block.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_SLOTS_GONE_H_
#define MERIDIAN_SERVER_MEMBERSHIP_SLOTS_GONE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/cluster/topology.h"

namespace meridian {

class SlotsGone {
 public:
  // Of the node `id`. `topology` outlives this, and may outlive it by far.
  SlotsGone(TopologyHolder& topology, std::string id);

  // Calls `gone` once, at once when there are none now.
  void Await(std::function<void()> gone);

 private:
  // Lives as long as the topology's listener.
  struct Waiting {
    void TellAll() ABSL_LOCKS_EXCLUDED(mu);
    absl::Mutex mu;
    std::vector<std::function<void()>> all ABSL_GUARDED_BY(mu);
  };

  TopologyHolder& topology_;
  const std::string id_;
  const std::shared_ptr<Waiting> waiting_ = std::make_shared<Waiting>();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_SLOTS_GONE_H_
