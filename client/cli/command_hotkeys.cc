#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/coordinator.h"
#include "client/cli/session.h"
#include "client/cli/text_input.h"
#include "client/cli/text_table.h"
#include "common/base/number_option.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

using coordinator::v1::HotKey;
using coordinator::v1::ListHotKeysResponse;

constexpr uint64_t kMostKeys = 1000;
constexpr uint64_t kLastHour = 7 * 24 - 1;

struct HotKeysArguments {
  std::string name_space;
  std::string coordinator;
  uint64_t limit = 50;
  std::optional<uint64_t> hour;
};

ExitCode PrintKeys(const Session& session, const ListHotKeysResponse& answer) {
  if (session.json()) {
    session.PrintJson(ToJson(answer));
    return kExitOk;
  }
  TextTable table({"namespace", "key", "reads/s"});
  for (const HotKey& key : answer.keys()) {
    table.Add({key.namespace_(), absl::CHexEscape(key.key()), absl::StrFormat("%.1f", key.rate())});
  }
  session.Print(table.ToText());
  return kExitOk;
}

// Nodes of a fixed list know of each other where data is served, and each of itself where it is
// administered: so every target is asked. False: of some that are said on standard error it is not
// known.
bool AddAddressesOfTargets(const Session& session, std::vector<std::string>* addresses) {
  std::map<std::string, std::string> by_id;
  const auto targets = session.Targets();
  if (!targets.ok() || !session.options().admin.empty()) return true;
  for (const std::string& target : *targets) {
    cache::v1::GetTopologyResponse answer;
    ResultError error;
    if (!CallNode<cache::v1::CacheService>(session, target,
                                           &cache::v1::CacheService::Stub::GetTopology,
                                           cache::v1::GetTopologyRequest(), &answer, &error)) {
      continue;
    }
    for (const cache::v1::Member& member : answer.topology().members()) {
      std::string& address = by_id[member.id()];
      if (address.empty()) address = member.admin_address();
    }
  }
  bool all = true;
  for (const auto& [id, address] : by_id) {
    if (address.empty()) {
      session.Note(absl::StrCat("warning: without the keys of node ", id,
                                ", whose admin address is not known: add its --target"));
      all = false;
    } else if (std::find(addresses->begin(), addresses->end(), address) == addresses->end()) {
      addresses->push_back(address);
    }
  }
  return all;
}

// The sum of what the nodes say, each of its own keys; at most `limit`, hottest first.
ExitCode RunOnNodes(const Session& session, const HotKeysArguments& arguments) {
  ResultError error;
  std::vector<std::string> addresses = AdminAddresses(session, &error);
  if (addresses.empty()) return session.Fail(error);
  bool all = AddAddressesOfTargets(session, &addresses);
  admin::v1::ListHotKeysRequest request;
  request.set_namespace_(arguments.name_space);
  request.set_limit(static_cast<uint32_t>(arguments.limit));
  std::map<std::pair<std::string, std::string>, double> rates;
  for (const std::string& address : addresses) {
    admin::v1::ListHotKeysResponse answer;
    if (!CallNode<admin::v1::AdminService>(session, address,
                                           &admin::v1::AdminService::Stub::ListHotKeys, request,
                                           &answer, &error)) {
      if (error.code != absl::StatusCode::kUnavailable) return session.Fail(error);
      session.Note(absl::StrCat("warning: ", address, " does not answer: ", error.message));
      all = false;
      continue;
    }
    for (const admin::v1::HotKey& key : answer.keys()) {
      std::string bytes;
      if (!absl::CUnescape(key.key(), &bytes)) bytes = key.key();
      rates[{key.namespace_(), bytes}] += key.rate();
    }
  }
  ListHotKeysResponse merged;
  for (const auto& [name, rate] : rates) {
    HotKey* key = merged.add_keys();
    key->set_namespace_(name.first);
    key->set_key(name.second);
    key->set_rate(rate);
  }
  auto* const keys = merged.mutable_keys();
  std::stable_sort(keys->begin(), keys->end(),
                   [](const HotKey& a, const HotKey& b) { return a.rate() > b.rate(); });
  if (static_cast<uint64_t>(keys->size()) > arguments.limit) {
    keys->DeleteSubrange(static_cast<int>(arguments.limit),
                         keys->size() - static_cast<int>(arguments.limit));
  }
  PrintKeys(session, merged);
  return all ? kExitOk : kExitUnavailable;
}

ExitCode RunHotKeys(const Session& session, const HotKeysArguments& arguments) {
  // Asked for by its address, a node answers for itself.
  const bool of_node = !session.options().admin.empty() && arguments.coordinator.empty();
  ResultError error;
  std::vector<std::string> addresses;
  if (!of_node) {
    addresses = CoordinatorAddresses(session, arguments.coordinator, &error);
    if (addresses.empty() && error.code != absl::StatusCode::kNotFound) return session.Fail(error);
  }
  if (addresses.empty()) {
    if (!arguments.hour.has_value()) return RunOnNodes(session, arguments);
    session.Note("error: nodes keep no history: --hour-of-week needs a coordinator");
    return kExitUsage;
  }
  coordinator::v1::ListHotKeysRequest request;
  request.set_namespace_(arguments.name_space);
  request.set_limit(static_cast<uint32_t>(arguments.limit));
  if (arguments.hour.has_value()) request.set_hour_of_week(static_cast<uint32_t>(*arguments.hour));
  ListHotKeysResponse answer;
  if (!CallLeader(session, addresses, &coordinator::v1::CoordinatorService::Stub::ListHotKeys,
                  request, &answer, &error)) {
    return session.Fail(error);
  }
  return PrintKeys(session, answer);
}

}  // namespace

void AddHotKeys(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<HotKeysArguments>();
  CLI::App* command = app.add_subcommand("hotkeys", "Show the keys that are asked for most");
  command->add_option("namespace", arguments->name_space, "Only those of this data type");
  command->add_option("--limit", arguments->limit, "so many")
      ->check(WholeNumber(1, kMostKeys))
      ->capture_default_str();
  command
      ->add_option("--hour-of-week", arguments->hour,
                   "hours since Monday 00:00 UTC: what that hour of the last weeks was like")
      ->check(WholeNumber(0, kLastHour));
  AddCoordinatorOption(*command, arguments->coordinator);
  command->footer(
      "The region's leading coordinator knows those of all nodes, some seconds old; where there is "
      "none, and\nwith --admin, nodes are asked; exit code 5 when one does not answer. What near "
      "caches of clients\nanswer is not counted.\n\n"
      "Examples:\n"
      "  meridianctl hotkeys --region us\n"
      "  meridianctl hotkeys persona --limit 10 --json\n"
      "  meridianctl hotkeys --hour-of-week 9      # Monday 9 to 10");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunHotKeys(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
