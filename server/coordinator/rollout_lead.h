// RolloutLead ties the rollouts of policies to their Coordinator: while that leads, they go on;
// what they assign goes to the nodes, and what these say of it comes back.
//
// Thread safety: made and destroyed while the executor does not run, else on the executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_ROLLOUT_LEAD_H_
#define MERIDIAN_SERVER_COORDINATOR_ROLLOUT_LEAD_H_

#include <cstdint>
#include <string>

#include "server/coordinator/coordinator.h"
#include "server/node/lease_store.h"
#include "server/rollout/policy_rollouts.h"

namespace meridian {

class RolloutLead final : public Coordinator::Subscriber {
 public:
  // References are not owned and outlive this. REQUIRES: the coordinator has not started.
  RolloutLead(PolicyRolloutsOptions options, Coordinator& coordinator, LeaseStore& store,
              FigureSource figures);
  ~RolloutLead() override { coordinator_.Unsubscribe(this); }

  PolicyRollouts& rollouts() { return rollouts_; }
  const PolicyRollouts& rollouts() const { return rollouts_; }

  void OnLeading(uint64_t token) override;
  void OnTopology(const TopologyHolder::Snapshot& topology) override;
  void OnLeadershipLost() override { rollouts_.StepDown(); }

 private:
  Coordinator& coordinator_;
  PolicyRollouts rollouts_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_ROLLOUT_LEAD_H_
