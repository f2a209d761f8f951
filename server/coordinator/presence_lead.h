// PresenceLead is the leader's knowledge of the region's coordinators, handed on from leader to
// leader in the LeaseStore: it hears the others by the notes that they leave with each look at the
// lease (LeaseBid::note), and misses one that goes without a goodbye (LeaderLease::kGoodbye). The
// next leader begins with that, so that it misses a leader that died, too.
//
// Cost: one small write whenever a coordinator comes, goes or is missed.
// Thread safety: counts() may be called by any thread; made and destroyed while the executor does
// not run, the rest on the executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_PRESENCE_LEAD_H_
#define MERIDIAN_SERVER_COORDINATOR_PRESENCE_LEAD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/coordinator_presence.h"
#include "server/node/leader_store.h"
#include "server/node/lease_store.h"

namespace meridian {

class PresenceLead final : public Coordinator::Subscriber {
 public:
  struct Counts {
    uint64_t up = 0;
    uint64_t down = 0;
  };

  // References are not owned and outlive this. REQUIRES: the coordinator has not started.
  PresenceLead(Coordinator& coordinator, LeaseStore& store);
  ~PresenceLead() override { coordinator_.Unsubscribe(this); }

  // Each second.
  void Look();
  // The goodbye of a leader, before it gives the lease back: the next one does not miss it. `done`
  // is called when it is stored, could not be, or nothing was to be.
  void Leave(std::function<void()> done);

  // The ids of those that are down; empty while this coordinator does not lead.
  std::vector<std::string> Missed() const;
  // Of the overview (docs/http_api.md).
  nlohmann::ordered_json ToJson() const;
  Counts counts() const {
    return {up_.load(std::memory_order_relaxed), down_.load(std::memory_order_relaxed)};
  }

  void OnLeading(uint64_t token) override;
  void OnTopology(const TopologyHolder::Snapshot&) override {}
  void OnLeadershipLost() override;

 private:
  void Load();
  void HandleLoaded(const absl::StatusOr<std::optional<std::string>>& stored);
  void HearOthers(absl::Time now);
  void Count();

  Coordinator& coordinator_;
  LeaderStore store_;
  CoordinatorPresence presence_;  // Hears notes of up to the lease's ttl.
  bool loaded_ = false;           // It leads, and knows what was stored.
  bool leaving_ = false;
  uint64_t generation_ = 0;  // Of the leadership.
  std::string saved_;        // What was given to the store last.
  std::atomic<uint64_t> up_{0};
  std::atomic<uint64_t> down_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_PRESENCE_LEAD_H_
