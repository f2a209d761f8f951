// WarmingLead ties a Warmer to its Coordinator: it warms while the coordinator leads, through the
// nodes that serve.
//
// Thread safety: made and destroyed while the executor does not run, else on the executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_WARMING_LEAD_H_
#define MERIDIAN_SERVER_COORDINATOR_WARMING_LEAD_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/coordinator/coordinator.h"
#include "server/warming/warmer.h"

namespace meridian {

class WarmingLead final : public Coordinator::Subscriber {
 public:
  // Neither is owned; both outlive this. REQUIRES: the coordinator has not started.
  WarmingLead(Coordinator& coordinator, Warmer& warmer)
      : coordinator_(coordinator), warmer_(warmer) {
    coordinator_.Subscribe(this);
    warmer_.SetOnFenced([this] { coordinator_.NoteFenced("the state of warming"); });
  }
  ~WarmingLead() override { coordinator_.Unsubscribe(this); }

  void OnLeading(uint64_t token) override {
    OnTopology(coordinator_.topology());
    warmer_.Lead(token);
  }
  void OnTopology(const TopologyHolder::Snapshot& topology) override {
    std::vector<std::string> nodes;
    ColdStart::Nodes serving;
    for (const Member& member : topology->members()) {
      if (member.state != MemberState::kServing) continue;
      nodes.push_back(member.data_address);
      serving.insert(absl::StrCat(member.id, "/", member.incarnation));
    }
    warmer_.SetServing(std::move(serving));
    warmer_.SetNodes(std::move(nodes));
  }
  void OnLeadershipLost() override { warmer_.StepDown(); }

 private:
  Coordinator& coordinator_;
  Warmer& warmer_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_WARMING_LEAD_H_
