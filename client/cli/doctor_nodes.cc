#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/doctor_findings.h"
#include "client/cli/duration_text.h"

namespace meridian::cli {
namespace {

using admin::v1::GetStatusResponse;
using admin::v1::L2Status;

constexpr absl::Duration kClockOff = absl::Seconds(1);
constexpr absl::Duration kClockFarOff = absl::Seconds(30);  // At 60 s nodes refuse writes.
constexpr absl::Duration kExpiresSoon = absl::Hours(14 * 24);
constexpr absl::Duration kExpiresNow = absl::Hours(3 * 24);

class NodeDoctor {
 public:
  NodeDoctor(const ClusterFacts& facts, Findings* out) : facts_(facts), out_(*out) {}

  void Nodes() {
    for (const NodeFacts& node : facts_.nodes) {
      if (!node.answered()) {
        out_.Critical(
            "node_down", node.Label(),
            absl::StrCat("does not answer at ", node.address, ": ", node.problem),
            "look at its log and machine, start it again (docs/runbooks/MeridianNodeDown.md)");
        continue;
      }
      Memory(node);
      Certificate(node);
      Redis(node);
      Warnings(node);
    }
  }

  // Once of a namespace and region, whichever nodes have asked it in vain.
  void Origins() {
    std::map<std::string, std::pair<std::string, std::vector<std::string>>> away;
    for (const NodeFacts& node : facts_.nodes) {
      if (!node.answered()) continue;
      for (const admin::v1::OriginFigures& origin : node.figures.origins()) {
        if (origin.breaker() == "closed") continue;
        auto& [what, nodes] = away[absl::StrCat(node.status().region(), "/", origin.namespace_())];
        what =
            absl::StrCat("namespace ", origin.namespace_(), ": its origin at ", origin.address());
        nodes.push_back(absl::StrCat(node.Label(), " (breaker ", origin.breaker(), ")"));
      }
    }
    for (const auto& [about, origin] : away) {
      out_.Warning("origin_away", about,
                   absl::StrCat(origin.first, " failed too often and is not asked by ",
                                absl::StrJoin(origin.second, ", "), "; keys that no tier has fail"),
                   "look at the origin (docs/runbooks/MeridianOriginBreakerOpen.md)");
    }
  }

  void Versions() {
    std::map<std::string, std::vector<std::string>> nodes;
    for (const NodeFacts& node : facts_.nodes) {
      if (node.answered()) nodes[node.status().version()].push_back(node.Label());
    }
    if (nodes.size() > 1) {
      out_.Warning("versions", "cluster",
                   absl::StrCat("nodes run different releases: ",
                                absl::StrJoin(nodes, "; ",
                                              [](std::string* out, const auto& entry) {
                                                absl::StrAppend(out, entry.first, ": ",
                                                                absl::StrJoin(entry.second, ", "));
                                              })),
                   "finish the upgrade: one node after the other, drained first");
    } else if (nodes.size() == 1 && nodes.begin()->first != facts_.own_version) {
      out_.Info("versions", "meridianctl",
                absl::StrCat("is of release ", facts_.own_version, ", the nodes of ",
                             nodes.begin()->first),
                "use the meridianctl of the nodes' release");
    }
  }

  void Clocks() {
    std::vector<std::pair<absl::Duration, const NodeFacts*>> offsets;
    for (const NodeFacts& node : facts_.nodes) {
      if (node.answered() && node.figures.at_unix_ms() > 0) {
        offsets.emplace_back(Offset(node), &node);
      }
    }
    if (offsets.empty()) return;
    std::sort(offsets.begin(), offsets.end());
    const absl::Duration median = offsets[offsets.size() / 2].first;
    for (const auto& [offset, node] : offsets) {
      const absl::Duration off = absl::AbsDuration(offset - median);
      if (off <= kClockOff + node->took) continue;
      out_.Add(off > kClockFarOff ? FindingSeverity::kCritical : FindingSeverity::kWarning, "clock",
               node->Label(),
               absl::StrCat(
                   "its clock is ", DurationText(off), offset > median ? " ahead of" : " behind",
                   " the others: versions order writes by it, and 60 s off nodes refuse them"),
               "check NTP (chronyc tracking) on its machine");
    }
    if (absl::AbsDuration(median) > kClockOff + offsets[offsets.size() / 2].second->took) {
      out_.Info(
          "clock", "meridianctl",
          absl::StrCat("the clock of this machine is ", DurationText(absl::AbsDuration(median)),
                       median > absl::ZeroDuration() ? " behind" : " ahead of", " the nodes'"),
          "check NTP here");
    }
  }

  // The certificates that nodes tell of may be those that they use for a Redis or an origin.
  void Plaintext() {
    if (facts_.tls) return;
    std::vector<std::string> open;
    bool beyond = false;
    for (const NodeFacts& node : facts_.nodes) {
      if (!node.answered()) continue;
      open.push_back(node.Label());
      for (const std::string& warning : node.status().warnings()) {
        beyond = beyond || absl::StrContains(warning, "plaintext without authentication");
      }
    }
    if (open.empty()) return;
    const std::string summary =
        absl::StrCat("no TLS and no authentication (", absl::StrJoin(open, ", "), ")");
    if (beyond) {
      out_.Warning(
          "plaintext", "cluster",
          summary +
              ", and reachable beyond the machine: who reaches a port reads and "
              "changes everything",
          "keep the ports inside a network that you trust (k8s: the chart's NetworkPolicy)");
    } else {
      out_.Info("plaintext", "cluster", summary + "; reachable from this machine only",
                "fit for development; see SECURITY.md before others may reach it");
    }
  }

 private:
  // How far the node's clock is ahead of this machine's.
  static absl::Duration Offset(const NodeFacts& node) {
    return absl::FromUnixMillis(static_cast<int64_t>(node.figures.at_unix_ms())) -
           (node.asked + node.took / 2);
  }

  void Memory(const NodeFacts& node) {
    const GetStatusResponse& status = node.status();
    const double filled =
        status.l1_limit_bytes() == 0
            ? 0
            : static_cast<double>(status.l1_bytes()) / static_cast<double>(status.l1_limit_bytes());
    if (filled <= kNearFull) return;
    // What a cache is for, and so no reason to wake anybody; a process that outgrows it is an
    // alert.
    out_.Info(
        "l1_full", node.Label(),
        absl::StrFormat("memory (L1) is filled to %.0f %%: entries leave for others", 100 * filled),
        "meridianctl recommendations and what-if say whether more would help; --l1-max-bytes");
  }

  void Certificate(const NodeFacts& node) {
    const uint64_t expires = node.figures.certificate_expires_unix_ms();
    if (expires == 0) return;
    const absl::Duration left = absl::FromUnixMillis(static_cast<int64_t>(expires)) - facts_.now;
    if (left > kExpiresSoon) return;
    const std::string what = left <= absl::ZeroDuration()
                                 ? "a certificate that it uses for a Redis or an origin has expired"
                                 : absl::StrCat(
                                       "a certificate that it uses for a Redis or an origin "
                                       "expires in ",
                                       DurationText(left));
    out_.Add(left < kExpiresNow ? FindingSeverity::kCritical : FindingSeverity::kWarning,
             "certificate", node.Label(), what,
             "put a new one in its place (docs/runbooks/MeridianCertificateExpires.md)");
  }

  void Redis(const NodeFacts& node) {
    const GetStatusResponse& status = node.status();
    if (status.l2_size() == 0 || status.l2(0).address().empty()) {
      out_.Info("redis_none", node.Label(),
                "has no Redis: what memory loses is lost, and a restart is cold",
                "give the region a Redis (--redis) unless that is meant");
      return;
    }
    for (int i = 0; i < status.l2_size(); ++i) {
      const L2Status& l2 = status.l2(i);
      const std::string what = absl::StrCat("the Redis of ", l2.region());
      if (!l2.connected()) {
        out_.Critical(
            "redis_away", node.Label(),
            absl::StrCat("does not reach ", what, " at ", l2.address(), ": ", l2.problem()),
            i == 0 ? "start it, or mend the line (docs/runbooks/MeridianRedisAway.md)"
                   : "replication waits for it: start it, or mend the line to that region");
      } else if (l2.breaker() == "open") {
        out_.Warning("redis_circuit", node.Label(),
                     absl::StrCat("does not ask ", what, ": it failed too often"),
                     "docs/runbooks/MeridianRedisCircuitOpen.md");
      } else if (!l2.problem().empty() && !IsToldOfTheRegion(node, i)) {
        out_.Warning("redis_settings", node.Label(), absl::StrCat(what, ": ", l2.problem()),
                     "set it with CONFIG SET, and in the Redis configuration");
      }
      for (const admin::v1::L2Endpoint& endpoint : l2.endpoints()) {
        if (l2.endpoints_size() < 2 || (endpoint.connected() && endpoint.breaker() == "closed")) {
          continue;
        }
        out_.Critical(
            "redis_server", node.Label(),
            absl::StrCat("server ", endpoint.address(), " of ", what, " is ",
                         endpoint.connected() ? "up" : "down", ", breaker ", endpoint.breaker(),
                         ": ", endpoint.problem()),
            "its slots are served from memory alone: start it, or let a replica take over");
      }
    }
  }

  // CheckRegionRedis judges the eviction policy of the own Redis, also where CONFIG is forbidden.
  static bool IsToldOfTheRegion(const NodeFacts& node, int l2) {
    return l2 == 0 && !node.figures.l2_eviction_policy().empty() &&
           absl::StartsWith(node.status().l2(l2).problem(), "maxmemory-policy");
  }

  // Those that are checked elsewhere are left out.
  void Warnings(const NodeFacts& node) {
    for (const std::string& warning : node.status().warnings()) {
      if (absl::StartsWith(warning, "Redis of ") || absl::StartsWith(warning, "replication to ") ||
          absl::StartsWith(warning, "plaintext without") ||
          absl::StartsWith(warning, "no coordinator answers") ||
          (absl::StrContains(warning, ": its origin at ") && !node.figures.origins().empty())) {
        continue;
      }
      out_.Warning("node_warning", node.Label(), warning, "");
    }
  }

  const ClusterFacts& facts_;
  Findings& out_;
};

}  // namespace

void CheckNodes(const ClusterFacts& facts, Findings* findings) {
  NodeDoctor doctor(facts, findings);
  doctor.Nodes();
  doctor.Origins();
  doctor.Versions();
  doctor.Clocks();
  doctor.Plaintext();
}

}  // namespace meridian::cli
