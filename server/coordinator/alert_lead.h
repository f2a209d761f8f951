// AlertLead hands the alerts of a region on from leader to leader: while its coordinator leads,
// what fires and what ended lately is kept in the LeaseStore, under the fencing token; who leads
// next begins with it, and misses the nodes that were missed, so that whoever was told of an alert
// is told of its end, too. What each coordinator says of itself is not handed on: while another one
// leads, that one shows it, too (LeaseBid::note).
// It also tells the keeper which nodes have drained and left: they are not missed; and which may
// not register because of their clocks.
//
// Promise: nothing is stored before what was there is read. A store that fails is tried again.
// Cost: one small write for each second in which alerts began or ended to fire, or were told.
// Thread safety: made and destroyed while the executor does not run, else on the executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_ALERT_LEAD_H_
#define MERIDIAN_SERVER_COORDINATOR_ALERT_LEAD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/coordinator/coordinator.h"
#include "server/figures/alert_book.h"
#include "server/figures/alert_keeper.h"
#include "server/node/lease_store.h"

namespace meridian {

class AlertLead final : public Coordinator::Subscriber {
 public:
  static constexpr absl::Duration kRetry = absl::Seconds(1);
  static constexpr size_t kMaxResolved = 50;  // That are kept.
  static constexpr int kMaxOwn = 8;           // That a coordinator says of itself.

  // Nothing is owned; all outlives this. REQUIRES: the coordinator has not started.
  AlertLead(Coordinator& coordinator, LeaseStore& store, AlertKeeper& keeper)
      : coordinator_(coordinator), store_(store), keeper_(keeper), book_(keeper.book()) {
    coordinator_.Subscribe(this);
  }
  ~AlertLead() override { coordinator_.Unsubscribe(this); }

  // After each second, and after the book was updated: stores what has changed, and tells the
  // leader what is of this coordinator.
  void Look();

  void OnLeading(uint64_t token) override;
  void OnTopology(const TopologyHolder::Snapshot&) override {}
  void OnLeft(const std::string& node) override { keeper_.Leave(node); }
  void OnClockRefused(const std::string& node, const std::string& problem) override {
    keeper_.RefuseClock(node, problem);
  }
  void OnLeadershipLost() override {
    token_ = 0;
    book_.SetOthers({});
  }

 private:
  // What the other coordinators, and this one, say of themselves.
  void HearOthers();
  void TellOwn();
  void Load();
  void HandleLoaded(const absl::StatusOr<std::optional<std::string>>& value);

  Coordinator& coordinator_;
  LeaseStore& store_;
  AlertKeeper& keeper_;
  AlertBook& book_;     // The keeper's.
  uint64_t token_ = 0;  // 0: it does not lead.
  bool loaded_ = false;
  bool storing_ = false;
  static constexpr uint64_t kNothing = ~uint64_t{0};
  uint64_t stored_ = kNothing;  // AlertBook::changes of what is stored.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_ALERT_LEAD_H_
