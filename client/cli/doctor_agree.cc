// What the nodes of one region must have in common: a node that was started with other settings
// looks well when it is judged alone.

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/doctor_findings.h"

namespace meridian::cli {
namespace {

using admin::v1::L2Status;
using Servers = std::set<std::string>;

// A file of policies that was changed is read by all within this, if --policies-poll is not longer.
constexpr absl::Duration kReload = absl::Seconds(15);
// What is loaded at the start is no change of the file.
constexpr absl::Duration kStart = absl::Seconds(2);
constexpr double kMaxL1Ratio = 2;
constexpr double kMiB = 1024.0 * 1024.0;

// Names of this machine are one.
std::string ServerName(const std::string& address) {
  for (const char* loopback : {"localhost:", "[::1]:"}) {
    if (absl::StartsWith(address, loopback)) {
      return absl::StrCat("127.0.0.1:", absl::StripPrefix(address, loopback));
    }
  }
  return address;
}

// Its primaries, as far as the node knows them; empty: it knows none, or has no such Redis.
Servers ServersOf(const L2Status& l2) {
  Servers servers;
  for (const admin::v1::L2Endpoint& endpoint : l2.endpoints()) {
    servers.insert(ServerName(endpoint.address()));
  }
  if (servers.empty() && l2.connected()) servers.insert(ServerName(l2.address()));
  return servers;
}

bool HasCommon(const Servers& a, const Servers& b) {
  return std::any_of(a.begin(), a.end(), [&](const std::string& one) { return b.count(one) > 0; });
}

// Nodes by what they have: "n1, n2: A; n3: B".
using Groups = std::vector<std::pair<std::string, std::vector<std::string>>>;

void AddTo(const std::string& what, const std::string& node, Groups* groups) {
  auto it = std::find_if(groups->begin(), groups->end(),
                         [&](const auto& group) { return group.first == what; });
  if (it == groups->end()) it = groups->insert(it, {what, {}});
  it->second.push_back(node);
}

std::string Text(const Groups& groups) {
  return absl::StrJoin(groups, "; ", [](std::string* out, const auto& group) {
    absl::StrAppend(out, absl::StrJoin(group.second, ", "), ": ", group.first);
  });
}

class AgreeDoctor {
 public:
  AgreeDoctor(const std::string& region, const std::vector<const NodeFacts*>& nodes, absl::Time now,
              Findings* out)
      : region_(region), nodes_(nodes), now_(now), out_(*out) {}

  void OwnRedis() {
    const Groups groups = RedisGroups(region_);
    if (groups.size() < 2) return;
    out_.Critical("redis_differs", region_,
                  absl::StrCat("its nodes do not use the same Redis (", Text(groups),
                               "): what one stores or deletes there the next owner of its slots "
                               "does not see"),
                  "give every node of a region the same --redis (the same name for it, too), and "
                  "restart those that have another");
  }

  // What a region's nodes replicate to.
  void OtherRegions() {
    Groups groups;
    std::set<std::string> regions;
    for (const NodeFacts* node : nodes_) {
      std::vector<std::string> others;
      for (const L2Status& l2 : node->status().l2()) {
        if (l2.region() == region_) continue;
        others.push_back(l2.region());
        regions.insert(l2.region());
      }
      std::sort(others.begin(), others.end());
      AddTo(others.empty() ? "none" : absl::StrJoin(others, ", "), node->Label(), &groups);
    }
    if (groups.size() > 1) {
      out_.Critical("regions_differ", region_,
                    absl::StrCat("its nodes do not know the same other regions (", Text(groups),
                                 "): what is changed through one is not replicated to those that "
                                 "it does not know"),
                    "give every node of a region the same --region-redis");
    }
    for (const std::string& other : regions) {
      const Groups redis = RedisGroups(other);
      if (redis.size() < 2) continue;
      out_.Critical(
          "regions_differ", absl::StrCat(region_, " -> ", other),
          absl::StrCat("its nodes do not use the same Redis of ", other, " (", Text(redis), ")"),
          "give every node of a region the same --region-redis");
    }
  }

  void Policies() {
    std::vector<const NodeFacts*> told;
    std::set<std::string> names;
    for (const NodeFacts* node : nodes_) {
      if (node->policies.policies().empty()) continue;  // It did not tell.
      if (ReloadedLately(*node)) return;                // The others may be about to.
      told.push_back(node);
      for (const auto& policy : node->policies.policies()) names.insert(policy.namespace_());
    }
    std::vector<std::string> differ;
    for (const std::string& name : names) {
      std::set<std::string> texts;
      for (const NodeFacts* node : told) texts.insert(PolicyOf(*node, name));
      if (texts.size() > 1) differ.push_back(name == "*" ? "all others" : name);
    }
    if (differ.empty()) return;
    std::map<std::string, size_t> known;  // By what they say; the file of two may have one name.
    Groups groups;
    for (const NodeFacts* node : told) {
      std::string text;
      for (const std::string& name : names) absl::StrAppend(&text, PolicyOf(*node, name), "\n");
      const auto [it, is_new] = known.try_emplace(std::move(text), groups.size());
      const std::string& file = node->policies.file();
      if (is_new) groups.push_back({file.empty() ? "no file" : file, {}});
      groups[it->second].second.push_back(node->Label());
    }
    out_.Warning(
        "policies_differ", region_,
        absl::StrCat("its nodes have different policies for ", absl::StrJoin(differ, ", "), " (",
                     Text(groups), "): what a value may do depends on who owns its slot"),
        "give every node the same --policies file; compare them with meridianctl policies "
        "--admin NODE");
  }

  // By weight: a node that has twice the slots may have twice the memory.
  void Memory() {
    double least = 0, most = 0;
    Groups groups;
    for (const NodeFacts* node : nodes_) {
      const uint64_t limit = node->status().l1_limit_bytes();
      if (limit == 0) continue;
      const uint32_t weight = WeightOf(*node);
      const double each = static_cast<double>(limit) / weight;
      if (least == 0 || each < least) least = each;
      most = std::max(most, each);
      const std::string size = absl::StrFormat("%.4g MiB", static_cast<double>(limit) / kMiB);
      AddTo(weight == 1 ? size : absl::StrCat(size, " at weight ", weight), node->Label(), &groups);
    }
    if (least == 0 || most <= kMaxL1Ratio * least) return;
    out_.Warning("l1_differs", region_,
                 absl::StrCat("memory (L1) does not fit the share of slots (", Text(groups),
                              "): the nodes that have least keep hardly anything of theirs"),
                 "give nodes --l1-max-bytes in proportion to their --weight");
  }

 private:
  // The nodes by the Redis of `region` that they use; those that do not know a server of it, or do
  // not have it at all, are left out, but for the own region: there none is another.
  Groups RedisGroups(const std::string& region) const {
    std::vector<Servers> seen;
    Groups groups;
    for (const NodeFacts* node : nodes_) {
      for (const L2Status& l2 : node->status().l2()) {
        if (l2.region() != region) continue;
        const Servers servers = ServersOf(l2);
        if (servers.empty() && !l2.address().empty()) continue;  // redis_away tells it.
        // Of a cluster some primaries may be new to some nodes.
        size_t i = 0;
        while (i < seen.size() && !HasCommon(seen[i], servers) && seen[i] != servers) ++i;
        if (i == seen.size()) {
          seen.push_back(servers);
          groups.push_back({servers.empty() ? "none" : absl::StrJoin(servers, ", "), {}});
        }
        groups[i].second.push_back(node->Label());
      }
    }
    return groups;
  }

  bool ReloadedLately(const NodeFacts& node) const {
    const absl::Duration ago =
        now_ - absl::FromUnixMillis(static_cast<int64_t>(node.policies.loaded_unix_ms()));
    const absl::Duration up = absl::Seconds(static_cast<int64_t>(node.status().uptime_seconds()));
    return ago < kReload && ago + kStart < up;
  }

  // As it is in force: that of all others, where the node has none of this name.
  static std::string PolicyOf(const NodeFacts& node, const std::string& name) {
    std::string others;
    for (const admin::v1::Policy& policy : node.policies.policies()) {
      if (policy.namespace_() == name) return policy.yaml();
      if (policy.namespace_() == "*") others = policy.yaml();
    }
    return others;
  }

  uint32_t WeightOf(const NodeFacts& node) const {
    for (const NodeFacts* teller : nodes_) {
      for (const admin::v1::RingMember& entry : teller->ring.members()) {
        if (entry.member().id() == node.status().node()) {
          return std::max<uint32_t>(entry.member().weight(), 1);
        }
      }
    }
    return 1;
  }

  const std::string& region_;
  const std::vector<const NodeFacts*>& nodes_;
  const absl::Time now_;
  Findings& out_;
};

}  // namespace

void CheckRegionAgrees(const std::string& region, const std::vector<const NodeFacts*>& nodes,
                       absl::Time now, Findings* findings) {
  AgreeDoctor doctor(region, nodes, now, findings);
  doctor.OwnRedis();
  doctor.OtherRegions();
  doctor.Policies();
  doctor.Memory();
}

}  // namespace meridian::cli
