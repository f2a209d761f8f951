#include "client/cli/doctor_facts.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/time/clock.h"
#include "client/cli/admin.h"
#include "client/cli/ask_nodes.h"
#include "client/cli/coordinator.h"
#include "client/cli/doctor_findings.h"

namespace meridian::cli {
namespace {

using admin::v1::AdminService;
using coordinator::v1::CoordinatorService;

// Nodes that disagree get so long to agree before it counts.
constexpr absl::Duration kSettle = absl::Seconds(2);

// Names of the address book by admin address.
std::map<std::string, std::string> BookedNames(const Session& session) {
  std::map<std::string, std::string> names;
  if (!session.options().targets.empty() || !session.options().admin.empty()) return names;
  if (const auto file = session.Cluster(); file.ok()) {
    for (const ClusterRegion& region : file->regions) {
      for (const ClusterNode& node : region.nodes) names[node.admin] = node.name;
    }
  }
  return names;
}

void AskEach(const Session& session, const std::vector<std::string>& addresses,
             const std::map<std::string, std::string>& names, ClusterFacts* facts,
             ResultError* error) {
  const auto rings = AskNodes<admin::v1::GetRingResponse>(
      session, addresses, &AdminService::Stub::GetRing, admin::v1::GetRingRequest());
  auto policies = AskNodes<admin::v1::ListPoliciesResponse>(
      session, addresses, &AdminService::Stub::ListPolicies, admin::v1::ListPoliciesRequest());
  auto figures = AskNodes<admin::v1::GetFiguresResponse>(
      session, addresses, &AdminService::Stub::GetFigures, admin::v1::GetFiguresRequest());
  for (size_t i = 0; i < figures.size(); ++i) {
    NodeFacts node;
    node.address = figures[i].address;
    if (const auto name = names.find(node.address); name != names.end()) node.name = name->second;
    node.asked = figures[i].asked;
    node.took = figures[i].took;
    if (figures[i].answered) {
      node.figures = std::move(figures[i].response);
      if (rings[i].answered) node.ring = rings[i].response;
      if (policies[i].answered) node.policies = std::move(policies[i].response);
    } else {
      node.problem = figures[i].error.message;
      *error = figures[i].error;
    }
    facts->nodes.push_back(std::move(node));
  }
}

// Members that the rings name and nobody has asked.
std::map<std::string, std::string> OtherMembers(const ClusterFacts& facts) {
  std::set<std::string> asked;
  for (const NodeFacts& node : facts.nodes) asked.insert(node.address);
  std::map<std::string, std::string> others;
  for (const NodeFacts& node : facts.nodes) {
    for (const admin::v1::RingMember& entry : node.ring.members()) {
      const std::string& address = entry.member().admin_address();
      if (!address.empty() && asked.count(address) == 0) others[address] = entry.member().id();
    }
  }
  return others;
}

// Those that nodes follow, and those of the cluster file; by address.
std::map<std::string, CoordinatorFacts> CoordinatorsOf(const Session& session,
                                                       const ClusterFacts& facts) {
  std::map<std::string, CoordinatorFacts> coordinators;
  const auto add = [&](const std::string& address, const std::string& region, bool listed) {
    coordinators[address] = {.address = address, .region = region, .listed = listed};
  };
  for (const NodeFacts& node : facts.nodes) {
    const std::string& followed = node.status().coordinator();
    if (!followed.empty()) add(followed, node.status().region(), false);
  }
  const std::vector<std::string> regions = facts.Regions();
  if (!session.options().targets.empty() || !session.options().admin.empty()) return coordinators;
  if (const auto file = session.Cluster(); file.ok()) {
    for (const ClusterRegion& region : file->regions) {
      if (std::find(regions.begin(), regions.end(), region.name) == regions.end()) continue;
      for (const std::string& address : region.coordinators) add(address, region.name, true);
    }
  }
  return coordinators;
}

void AskCoordinators(const Session& session, ClusterFacts* facts) {
  for (auto& [address, coordinator] : CoordinatorsOf(session, *facts)) {
    ResultError error;
    if (!CallNode<CoordinatorService>(session, address, &CoordinatorService::Stub::GetStatus,
                                      coordinator::v1::GetStatusRequest(), &coordinator.status,
                                      &error)) {
      coordinator.problem = error.message;
    } else {
      coordinator.region = coordinator.status.region();
    }
    coordinator::v1::ListAlertsResponse alerts;
    if (coordinator.status.leader() &&
        CallNode<CoordinatorService>(session, address, &CoordinatorService::Stub::ListAlerts,
                                     coordinator::v1::ListAlertsRequest(), &alerts, &error)) {
      for (coordinator::v1::Alert& alert : *alerts.mutable_alerts()) {
        (*alert.mutable_labels())["region"] = coordinator.status.region();
        facts->alerts.push_back(std::move(alert));
      }
    }
    facts->coordinators.push_back(std::move(coordinator));
  }
}

bool EpochsAgree(const ClusterFacts& facts) {
  std::map<std::string, uint64_t> epochs;
  for (const NodeFacts& node : facts.nodes) {
    if (!node.answered()) continue;
    const auto [known, is_new] = epochs.try_emplace(node.status().region(), node.status().epoch());
    if (!is_new && known->second != node.status().epoch()) return false;
  }
  return true;
}

// A change is on its way, or something is wrong: that stays.
bool NodesAgree(const ClusterFacts& facts) {
  if (!EpochsAgree(facts)) return false;
  Findings findings;
  for (const std::string& region : facts.Regions()) {
    CheckRegionAgrees(region, facts.NodesOf(region), facts.now, &findings);
  }
  return findings.all().empty();
}

bool FetchNodes(const Session& session, const std::vector<std::string>& addresses,
                const std::map<std::string, std::string>& names, ClusterFacts* facts,
                ResultError* error) {
  facts->nodes.clear();
  facts->now = absl::Now();
  AskEach(session, addresses, names, facts, error);
  const std::map<std::string, std::string> others = OtherMembers(*facts);
  std::vector<std::string> more;
  for (const auto& [address, name] : others) more.push_back(address);
  AskEach(session, more, others, facts, error);
  return std::any_of(facts->nodes.begin(), facts->nodes.end(),
                     [](const NodeFacts& node) { return node.answered(); });
}

}  // namespace

std::string NodeFacts::Label() const {
  if (!status().node().empty()) return status().node();
  return name.empty() ? address : name;
}

std::vector<std::string> ClusterFacts::Regions() const {
  std::set<std::string> regions;
  for (const NodeFacts& node : nodes) {
    if (node.answered()) regions.insert(node.status().region());
  }
  return {regions.begin(), regions.end()};
}

std::vector<const NodeFacts*> ClusterFacts::NodesOf(const std::string& region) const {
  std::vector<const NodeFacts*> of_region;
  for (const NodeFacts& node : nodes) {
    if (node.answered() && node.status().region() == region) of_region.push_back(&node);
  }
  return of_region;
}

bool FetchFacts(const Session& session, ClusterFacts* facts, ResultError* error) {
  const std::vector<std::string> addresses = AllAdminAddresses(session, error);
  if (addresses.empty()) return false;
  const std::map<std::string, std::string> names = BookedNames(session);
  if (!FetchNodes(session, addresses, names, facts, error)) return false;
  if (!NodesAgree(*facts)) {
    absl::SleepFor(kSettle);
    if (!FetchNodes(session, addresses, names, facts, error)) return false;
  }
  AskCoordinators(session, facts);
  facts->now = absl::Now();
  facts->own_version = MERIDIAN_VERSION;
  facts->tls = session.security().credentials != nullptr;
  return true;
}

}  // namespace meridian::cli
