#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/coordinator.h"
#include "client/cli/duration_text.h"
#include "client/cli/session.h"
#include "client/cli/text_table.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

struct NodeState {
  std::string address;
  std::optional<double> warmth;  // As its coordinator knows it.
  bool answered = false;
  admin::v1::GetStatusResponse status;
  ResultError error;
};

// All nodes of the cluster file when neither region nor target was named, and there is one.
std::vector<std::string> AddressesOfAllRegions(const Session& session) {
  const GlobalOptions& options = session.options();
  if (!options.admin.empty() || !options.region.empty() || !options.targets.empty()) return {};
  std::vector<std::string> addresses;
  if (const auto file = session.Cluster(); file.ok()) {
    for (const ClusterRegion& region : file->regions) {
      for (const ClusterNode& node : region.nodes) {
        if (!node.admin.empty()) addresses.push_back(node.admin);
      }
    }
  }
  return addresses;
}

std::string L2Text(const admin::v1::L2Status& l2) {
  if (l2.address().empty()) return "none";
  return absl::StrCat(l2.connected() ? "up" : "down", ", breaker ", l2.breaker());
}

// Of a region's servers, when there are several: only those that are not well.
void AppendEndpoints(const admin::v1::GetStatusResponse& status, const admin::v1::L2Status& l2,
                     std::string* remarks) {
  if (l2.endpoints_size() < 2) return;
  for (const admin::v1::L2Endpoint& endpoint : l2.endpoints()) {
    if (endpoint.connected() && endpoint.breaker() == "closed") continue;
    absl::StrAppend(remarks, "\n", status.node(), ": Redis of ", l2.region(), ", server ",
                    endpoint.address(), ": ", endpoint.connected() ? "up" : "down", ", breaker ",
                    endpoint.breaker());
  }
}

std::string MiB(uint64_t bytes) {
  return absl::StrFormat("%.1f", static_cast<double>(bytes) / (1 << 20));
}

// Coordinators know how warm their nodes are. One that does not answer leaves it open.
void AskWarmth(const Session& session, std::vector<NodeState>* nodes) {
  std::map<std::string, std::map<std::string, double>> known;  // By coordinator, then node.
  for (NodeState& node : *nodes) {
    const std::string& coordinator = node.status.coordinator();
    if (!node.answered || coordinator.empty()) continue;
    const auto [it, is_new] = known.try_emplace(coordinator);
    if (is_new) {
      coordinator::v1::GetStatusResponse response;
      ResultError error;
      CallLeader(session, {coordinator}, &coordinator::v1::CoordinatorService::Stub::GetStatus,
                 coordinator::v1::GetStatusRequest(), &response, &error);
      for (const coordinator::v1::NodeStatus& one : response.nodes()) {
        it->second[one.member().id()] = one.warmth();
      }
    }
    if (const auto one = it->second.find(node.status.node()); one != it->second.end()) {
      node.warmth = one->second;
    }
  }
}

std::string Readable(const std::vector<NodeState>& nodes) {
  TextTable table({"region", "node", "version", "up", "epoch", "slots", "warmth", "L1 entries",
                   "L1 MiB", "L2", "other regions"});
  std::string remarks;
  std::set<std::string> chains;  // One, unless nodes are configured differently.
  for (const NodeState& node : nodes) {
    if (!node.answered) {
      absl::StrAppend(&remarks, "\n", node.address, ": does not answer: ", node.error.message);
      continue;
    }
    const admin::v1::GetStatusResponse& status = node.status;
    std::string others;
    for (int i = 1; i < status.l2_size(); ++i) {
      absl::StrAppend(&others, i > 1 ? ", " : "", status.l2(i).region(), " ",
                      status.l2(i).connected() ? "up" : "down");
    }
    table.Add({status.region(), status.node(), status.version(),
               DurationText(absl::Seconds(status.uptime_seconds())), absl::StrCat(status.epoch()),
               absl::StrCat(status.owned_slots()),
               node.warmth ? absl::StrFormat("%.2f", *node.warmth) : "-",
               absl::StrCat(status.l1_entries()),
               absl::StrCat(MiB(status.l1_bytes()), "/", MiB(status.l1_limit_bytes())),
               status.l2_size() == 0 ? "none" : L2Text(status.l2(0)),
               others.empty() ? "-" : others});
    chains.insert(absl::StrJoin(status.fallback_chain(), ", then "));
    for (const admin::v1::L2Status& l2 : status.l2()) {
      AppendEndpoints(status, l2, &remarks);
      if (l2.problem().empty()) continue;
      absl::StrAppend(&remarks, "\n", status.node(), ": Redis of ", l2.region(), ": ",
                      l2.problem());
    }
    for (const std::string& warning : status.warnings()) {
      absl::StrAppend(&remarks, "\n", status.node(), ": ", warning);
    }
  }
  for (const std::string& chain : chains) {
    absl::StrAppend(&remarks, "\nanswers come from ", chain);
  }
  return table.ToText() + (remarks.empty() ? "" : "\n" + remarks);
}

ExitCode RunStatus(const Session& session) {
  std::vector<std::string> addresses = AddressesOfAllRegions(session);
  ResultError error;
  if (addresses.empty()) addresses = AdminAddresses(session, &error);
  if (addresses.empty()) return session.Fail(error);
  std::vector<NodeState> nodes;
  for (std::string& address : addresses) {
    NodeState node;
    node.answered = CallNode<admin::v1::AdminService>(
        session, address, &admin::v1::AdminService::Stub::GetStatus, admin::v1::GetStatusRequest(),
        &node.status, &node.error);
    node.address = std::move(address);
    nodes.push_back(std::move(node));
  }
  AskWarmth(session, &nodes);
  const bool wrong_port = std::all_of(nodes.begin(), nodes.end(), [](const NodeState& node) {
    return !node.answered && node.error.code == absl::StatusCode::kUnimplemented;
  });
  if (wrong_port) return session.Fail(nodes.front().error);
  if (session.json()) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const NodeState& node : nodes) {
      nlohmann::ordered_json object = nlohmann::ordered_json::object();
      if (node.answered) object = ToJson(node.status);
      if (node.warmth) object["warmth"] = *node.warmth;
      object["admin_address"] = node.address;
      if (!node.answered) object["error"] = {{"message", node.error.message}};
      list.push_back(std::move(object));
    }
    session.PrintJson(list);
  } else {
    session.Print(Readable(nodes));
  }
  const bool all =
      std::all_of(nodes.begin(), nodes.end(), [](const NodeState& node) { return node.answered; });
  return all ? kExitOk : kExitUnavailable;
}

}  // namespace

void AddStatus(CLI::App& app, CommandContext context) {
  CLI::App* command = app.add_subcommand("status", "Show how every node is");
  command->footer(
      "Without --region and --target: all nodes of the cluster file, when there is one.\n"
      "Exit code 5 when a node does not answer.\n\n"
      "Examples:\n"
      "  meridianctl status\n"
      "  meridianctl status --region eu --json");
  command->callback(
      [context] { context.action = [context] { return RunStatus(context.session); }; });
}

}  // namespace meridian::cli
