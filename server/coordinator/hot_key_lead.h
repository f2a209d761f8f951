// HotKeyLead ties what is known of a region's hot keys to its Coordinator: while that leads, nodes
// report what they see, and the history goes on.
//
// Thread safety: made and destroyed while the executor does not run, else on the executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_HOT_KEY_LEAD_H_
#define MERIDIAN_SERVER_COORDINATOR_HOT_KEY_LEAD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/cluster/hot_key.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/hot_key_history.h"
#include "server/coordinator/region_hot_keys.h"
#include "server/node/lease_store.h"
#include "server/warming/hot_key_source.h"

namespace meridian {

class HotKeyLead final : public Coordinator::Subscriber, public HotKeySource {
 public:
  // For the history, which bounds it by namespace.
  static constexpr size_t kMostLookedAt = 20 * HotKeyHistory::kMaxKeys;

  // Neither is owned; both outlive this. REQUIRES: the coordinator has not started.
  HotKeyLead(Coordinator& coordinator, LeaseStore& store)
      : coordinator_(coordinator),
        history_(coordinator.options().lease.name, store, coordinator.executor(),
                 coordinator.clock(), [this] { return Now({}, kMostLookedAt); }) {
    coordinator_.Subscribe(this);
  }
  ~HotKeyLead() override { coordinator_.Unsubscribe(this); }

  // See RegionHotKeys.
  void Report(const std::string& node, std::vector<HotKey> keys) {
    region_.Report(node, std::move(keys), coordinator_.clock().Monotonic());
  }
  std::vector<HotKey> Now(std::string_view name_space, size_t limit) {
    return region_.Top(name_space, limit, coordinator_.clock().Monotonic());
  }
  HotKeyHistory& history() { return history_; }

  void Top(HotKeyWindow window, const std::string& name_space, size_t limit, Done done) override;

  void OnLeading(uint64_t token) override {
    region_.Clear();  // Of an earlier leadership.
    history_.Lead(token);
  }
  void OnTopology(const TopologyHolder::Snapshot&) override {}
  void OnLeadershipLost() override { history_.StepDown(); }

 private:
  Coordinator& coordinator_;
  RegionHotKeys region_;
  HotKeyHistory history_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_HOT_KEY_LEAD_H_
