#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/doctor_findings.h"
#include "client/cli/duration_text.h"

namespace meridian::cli {
namespace {

using admin::v1::ReplicationLink;

constexpr uint32_t kSlots = 1024;
constexpr absl::Duration kLate = absl::Seconds(2);
constexpr absl::Duration kStuck = absl::Seconds(60);

class RegionDoctor {
 public:
  RegionDoctor(const ClusterFacts& facts, Findings* out) : facts_(facts), out_(*out) {}

  void Regions() {
    for (const std::string& region : facts_.Regions()) {
      const std::vector<const NodeFacts*> nodes = facts_.NodesOf(region);
      Epochs(region, nodes);
      Slots(region, nodes);
      Coordinator(region, nodes);
      CheckRegionRedis(region, nodes, &out_);
      CheckRegionAgrees(region, nodes, facts_.now, &out_);
      if (nodes.size() == 1 && nodes.front()->ring.members_size() < 2) {
        out_.Info("single_node", region, "has one node: while it is away the region has no cache",
                  "run at least two nodes a region");
      }
    }
  }

  void Replication() {
    std::map<std::string, ReplicationLink> worst;  // By "us -> eu".
    for (const NodeFacts& node : facts_.nodes) {
      for (const ReplicationLink& link : node.figures.links()) Merge(link, &worst);
    }
    for (const auto& [name, link] : worst) Link(name, link);
  }

 private:
  void Epochs(const std::string& region, const std::vector<const NodeFacts*>& nodes) {
    std::set<uint64_t> epochs;
    std::string each;
    for (const NodeFacts* node : nodes) {
      epochs.insert(node->status().epoch());
      absl::StrAppend(&each, each.empty() ? "" : ", ", node->Label(), ": ", node->status().epoch());
    }
    if (epochs.size() < 2) return;
    out_.Warning("epochs", region,
                 absl::StrCat("nodes follow different topologies (", each,
                              "): they disagree on who owns what"),
                 "what is behind does not hear its coordinator "
                 "(docs/runbooks/MeridianEpochsDisagree.md)");
  }

  void Slots(const std::string& region, const std::vector<const NodeFacts*>& nodes) {
    const admin::v1::GetRingResponse& ring = nodes.front()->ring;
    if (ring.members().empty()) return;
    uint32_t owned = 0;
    for (const admin::v1::RingMember& entry : ring.members()) {
      owned += entry.slots();
      const cache::v1::MemberState state = entry.member().state();
      if (state == cache::v1::MEMBER_STATE_JOINING || state == cache::v1::MEMBER_STATE_DRAINING) {
        out_.Info("member_state", entry.member().id(),
                  state == cache::v1::MEMBER_STATE_JOINING ? "joins" : "drains",
                  "wait; when it lasts, see its log");
      }
    }
    if (owned < kSlots) {
      out_.Critical("slots", region,
                    absl::StrCat(kSlots - owned, " of ", kSlots, " slots have no owner"),
                    "start nodes of the region");
    }
  }

  void Coordinator(const std::string& region, const std::vector<const NodeFacts*>& nodes) {
    std::string unheard;
    bool follows = false;
    for (const NodeFacts* node : nodes) {
      follows = follows || !node->status().coordinator().empty();
      for (const std::string& warning : node->status().warnings()) {
        if (!absl::StartsWith(warning, "no coordinator answers")) continue;
        absl::StrAppend(&unheard, unheard.empty() ? "" : ", ", node->Label());
      }
    }
    if (!unheard.empty()) {
      out_.Critical(
          "coordinator_unheard", region,
          absl::StrCat("no coordinator answers ", unheard,
                       ": a node that dies stays an owner, and no alert of nodes is made"),
          "start a coordinator; is the regional Redis up, which keeps its lease?");
    }
    size_t answering = 0, leaders = 0, listed = 0;
    for (const CoordinatorFacts& coordinator : facts_.coordinators) {
      if (coordinator.region != region) continue;
      listed += coordinator.listed ? 1 : 0;
      if (coordinator.problem.empty()) {
        ++answering;
        leaders += coordinator.status.leader() ? 1 : 0;
      } else if (unheard.empty()) {
        CoordinatorDown(coordinator);
      }
    }
    if (answering > 0 && leaders == 0) {
      out_.Critical(
          "no_leader", region, "has coordinators, and none leads",
          "the lease is in the regional Redis: is that up, and do coordinators reach it?");
    } else if (answering == 1 && listed == 1) {
      out_.Info("single_coordinator", region,
                "has one coordinator: while it is away nothing reacts to nodes that die",
                "run two; the second one waits");
    } else if (answering == 0 && listed == 0 && !follows && unheard.empty()) {
      out_.Info("static_peers", region,
                "follows no coordinator: its nodes are a fixed list, without failover and alerts",
                "run meridian-coordinator unless that is meant");
    }
  }

  // Nodes hear one: this is another, or the line from here to it.
  void CoordinatorDown(const CoordinatorFacts& coordinator) {
    out_.Warning("coordinator_down", coordinator.region,
                 absl::StrCat("coordinator ", coordinator.address,
                              " does not answer: ", coordinator.problem),
                 "start it again: when the one that leads dies, nobody else reacts to nodes that "
                 "die (docs/runbooks/MeridianNoCoordinatorLeads.md)");
  }

  // The worst of what the nodes of a region say.
  static void Merge(const ReplicationLink& link, std::map<std::string, ReplicationLink>* worst) {
    ReplicationLink& known = (*worst)[absl::StrCat(link.from(), " -> ", link.to())];
    const uint64_t lag = std::max(known.lag_ms(), link.lag_ms());
    const uint64_t slots = known.repairing_slots() + link.repairing_slots();
    if (known.to().empty() || link.state() == "disconnected" || link.state() == "cut") known = link;
    known.set_lag_ms(lag);
    known.set_repairing_slots(slots);
  }

  void Link(const std::string& name, const ReplicationLink& link) {
    const absl::Duration lag = absl::Milliseconds(static_cast<int64_t>(link.lag_ms()));
    if (link.state() == "cut") {
      out_.Warning("replication_cut", name, absl::StrCat("is ", link.problem()),
                   absl::StrCat("meridianctl region heal ", link.to()));
    } else if (link.state() == "disconnected") {
      out_.Critical("replication_lost", name, absl::StrCat("does not replicate: ", link.problem()),
                    "docs/runbooks/MeridianReplicationStuck.md");
    } else if (lag > kLate) {
      out_.Add(lag > kStuck ? FindingSeverity::kCritical : FindingSeverity::kWarning,
               "replication_lag", name, absl::StrCat("changes arrive ", DurationText(lag), " late"),
               "docs/runbooks/MeridianReplicationLag.md");
    }
    if (link.repairing_slots() > 0) {
      out_.Warning("suspect_slots", name,
                   absl::StrCat(link.repairing_slots(),
                                " slots are compared key by key: changes of them may be lost"),
                   "wait for the repair, then meridianctl region diff "
                   "(docs/runbooks/MeridianReplicationLost.md)");
    }
  }

  const ClusterFacts& facts_;
  Findings& out_;
};

}  // namespace

void CheckRegions(const ClusterFacts& facts, Findings* findings) {
  RegionDoctor doctor(facts, findings);
  doctor.Regions();
  doctor.Replication();
}

}  // namespace meridian::cli
