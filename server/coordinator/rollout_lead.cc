#include "server/coordinator/rollout_lead.h"

#include <spdlog/spdlog.h>

#include <set>
#include <utility>

namespace meridian {
namespace {

PolicyRolloutsOptions WithLease(PolicyRolloutsOptions options, const Coordinator& coordinator) {
  options.lease = coordinator.options().lease.name;
  return options;
}

void Log(const coordinator::v1::Rollout& rollout, const coordinator::v1::RolloutEvent& event) {
  spdlog::info("policies version {}: {} by {}, in {} % of the slots{}{}", rollout.policy_version(),
               event.what(), event.by(), event.percent(), event.reason().empty() ? "" : ": ",
               event.reason());
}

}  // namespace

RolloutLead::RolloutLead(PolicyRolloutsOptions options, Coordinator& coordinator, LeaseStore& store,
                         FigureSource figures)
    : coordinator_(coordinator),
      rollouts_(WithLease(std::move(options), coordinator), coordinator.clock(),
                coordinator.executor(), store, std::move(figures),
                {[&coordinator](const PolicyRollouts::Assignment& assignment) {
                   coordinator.PublishPolicies(assignment);
                 },
                 [&coordinator](const std::string&) { coordinator.NoteFenced("policies"); }, Log,
                 // Who waits for it (RegisterStream) is told, also that there are none.
                 [&coordinator] { coordinator.PublishPolicies(coordinator.policies()); }}) {
  coordinator_.Subscribe(this);
}

void RolloutLead::OnLeading(uint64_t token) {
  OnTopology(coordinator_.topology());
  rollouts_.Lead(token);
}

void RolloutLead::OnTopology(const TopologyHolder::Snapshot& topology) {
  std::set<std::string> nodes;
  for (const Member& member : topology->members()) {
    if (member.state != MemberState::kDraining) nodes.insert(member.id);
  }
  rollouts_.SetNodes(std::move(nodes));
}

}  // namespace meridian
