// TicketLead ties the tickets of restarts (RolloutTickets) to their Coordinator: who has one is
// stored under the leader's fencing token before it is given, so that the next leader knows it and
// gives none to another while its holder is away.
//
// Cost: a write of some bytes for each ticket. Thread safety: made and destroyed while the executor
// does not run, else on the executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_TICKET_LEAD_H_
#define MERIDIAN_SERVER_COORDINATOR_TICKET_LEAD_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/rollout_tickets.h"
#include "server/node/leader_store.h"
#include "server/node/lease_store.h"

namespace meridian {

class TicketLead final : public Coordinator::Subscriber {
 public:
  // Why not, for people; empty: granted.
  using Done = std::function<void(const std::string& why)>;

  // `absence`: see RolloutTickets. References are not owned and outlive this. REQUIRES: the
  // coordinator has not started.
  TicketLead(absl::Duration absence, Coordinator& coordinator, LeaseStore& store);
  ~TicketLead() override { coordinator_.Unsubscribe(this); }

  // As RolloutTickets::Ask.
  void Ask(const std::string& node, Done done);
  // As RolloutTickets::GiveBack. `done` is called when the next leader would know it, too, or when
  // it could not be told: then the ticket ends by itself (RolloutTickets::kUnused).
  void GiveBack(const std::string& node, std::function<void()> done);

  void OnLeading(uint64_t token) override;
  void OnTopology(const TopologyHolder::Snapshot&) override {}
  void OnLeadershipLost() override;

 private:
  // Stores who has a ticket, when that has changed.
  void SaveChange(std::function<void(const absl::Status&)> done);
  void Load();
  void HandleLoaded(const absl::StatusOr<std::optional<std::string>>& stored);

  Coordinator& coordinator_;
  LeaderStore store_;
  RolloutTickets tickets_;
  uint64_t generation_ = 0;  // Of the leadership.
  bool loaded_ = false;
  std::string sent_;    // As it was when the write on its way began.
  std::string stored_;  // What the next leader would load.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_TICKET_LEAD_H_
