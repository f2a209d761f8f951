#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/session.h"
#include "client/cli/text_table.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

// A comparison walks through whole stores; --timeout is for a single answer.
constexpr absl::Duration kDiffTimeout = absl::Hours(1);

// How bad a state is; the worst of a pair's nodes is shown.
int Badness(const std::string& state) {
  static const char* const kOrder[] = {"streaming", "catching_up", "repairing", "cut",
                                       "disconnected"};
  const auto* const it = std::find(std::begin(kOrder), std::end(kOrder), state);
  return static_cast<int>(it - std::begin(kOrder));
}

bool IsOlder(const cache::v1::Version& a, const cache::v1::Version& b) {
  return std::pair(a.hlc(), a.region()) < std::pair(b.hlc(), b.region());
}

// Adds one node's link to its pair: the worst state and lag, the sum of the counts.
void Merge(const admin::v1::ReplicationLink& link, admin::v1::ReplicationLink* pair) {
  if (pair->to().empty()) {
    *pair = link;
    return;
  }
  if (Badness(link.state()) > Badness(pair->state())) pair->set_state(link.state());
  if (pair->problem().empty()) pair->set_problem(link.problem());
  pair->set_lag_ms(std::max(pair->lag_ms(), link.lag_ms()));
  pair->set_backlog(pair->backlog() + link.backlog());
  pair->set_applied_total(pair->applied_total() + link.applied_total());
  pair->set_stale_total(pair->stale_total() + link.stale_total());
  pair->set_repairing_slots(pair->repairing_slots() + link.repairing_slots());
  pair->set_repair_compared_total(pair->repair_compared_total() + link.repair_compared_total());
  pair->set_repair_sent_total(pair->repair_sent_total() + link.repair_sent_total());
  pair->set_repair_forgotten_total(pair->repair_forgotten_total() + link.repair_forgotten_total());
  pair->set_repair_withheld_total(pair->repair_withheld_total() + link.repair_withheld_total());
  if (link.has_last_applied() &&
      (!pair->has_last_applied() || IsOlder(pair->last_applied(), link.last_applied()))) {
    *pair->mutable_last_applied() = link.last_applied();
  }
}

// When the version was written, as text.
std::string WrittenAt(const admin::v1::ReplicationLink& link) {
  if (!link.has_last_applied()) return "-";
  return absl::FormatTime(
      "%Y-%m-%d %H:%M:%E3S",
      absl::FromUnixMillis(static_cast<int64_t>(link.last_applied().hlc() >> 16)),
      absl::UTCTimeZone());
}

ExitCode RunStatus(const Session& session) {
  ResultError error;
  std::map<std::pair<std::string, std::string>, admin::v1::ReplicationLink> pairs;
  bool any = false;
  for (const std::string& address : AllAdminAddresses(session, &error)) {
    admin::v1::GetReplicationResponse answer;
    if (!CallNode<admin::v1::AdminService>(session, address,
                                           &admin::v1::AdminService::Stub::GetReplication,
                                           admin::v1::GetReplicationRequest(), &answer, &error)) {
      session.Note(absl::StrCat("warning: ", error.message));
      continue;
    }
    any = true;
    for (const admin::v1::ReplicationLink& link : answer.links()) {
      Merge(link, &pairs[{link.from(), link.to()}]);
    }
  }
  if (!any) return session.Fail(error);
  admin::v1::GetReplicationResponse merged;
  TextTable table({"from", "to", "state", "lag", "backlog", "applied", "repairing", "repaired",
                   "last applied (UTC)", "problem"});
  for (const auto& [names, link] : pairs) {
    *merged.add_links() = link;
    table.Add({link.from(), link.to(), link.state(),
               DurationText(absl::Milliseconds(static_cast<int64_t>(link.lag_ms()))),
               absl::StrCat(link.backlog()), absl::StrCat(link.applied_total()),
               absl::StrCat(link.repairing_slots()), absl::StrCat(link.repair_sent_total()),
               WrittenAt(link), link.problem()});
  }
  if (session.json()) {
    session.PrintJson(ToJson(merged));
  } else {
    session.Print(table.ToText());
  }
  return kExitOk;
}

struct DiffArguments {
  std::vector<std::string> regions;
  bool repair = false;
  bool spread_doubtful = false;
  bool yes = false;
};

ExitCode RunDiff(const Session& session, const DiffArguments& arguments) {
  if (arguments.spread_doubtful &&
      !session.Confirm("this gives every region values that may have been deleted",
                       arguments.yes)) {
    return kExitUsage;
  }
  admin::v1::DiffRegionsRequest request;
  for (const std::string& region : arguments.regions) request.add_regions(region);
  request.set_repair(arguments.repair);
  request.set_spread_doubtful(arguments.spread_doubtful);
  admin::v1::DiffRegionsResponse answer;
  ResultError error;
  const std::vector<std::string> addresses = AdminAddresses(session, &error);
  if (addresses.empty()) return session.Fail(error);
  // One node compares whole regions. Another one is not asked: a repair may have begun.
  if (!CallNode<admin::v1::AdminService>(session, addresses.front(),
                                         &admin::v1::AdminService::Stub::DiffRegions, request,
                                         &answer, &error, kDiffTimeout)) {
    return session.Fail(error);
  }
  if (session.json()) {
    session.PrintJson(ToJson(answer));
  } else {
    std::string text = absl::StrCat(answer.differing_keys(), " differing keys");
    if (arguments.repair) absl::StrAppend(&text, ", ", answer.repaired_keys(), " mended");
    if (answer.doubtful_keys() > 0) {
      absl::StrAppend(&text, ", ", answer.doubtful_keys(), " doubtful");
    }
    absl::StrAppend(&text, "; ", answer.compared_keys(), " compared, ", answer.differing_slots(),
                    " slots looked at key by key");
    for (const std::string& example : answer.examples()) absl::StrAppend(&text, "\n  ", example);
    if (answer.doubtful_keys() > 0 && !arguments.spread_doubtful) {
      absl::StrAppend(
          &text,
          "\nDoubtful values are older than tombstones are kept, and a region lacks them: "
          "they may have been deleted there.\n--repair leaves them; delete them, or give "
          "them to every region with --repair --spread-doubtful.");
    }
    session.Print(text);
  }
  const bool equal = answer.differing_keys() == 0 ||
                     (arguments.repair && answer.repaired_keys() == answer.differing_keys());
  return equal ? kExitOk : kExitFailed;
}

// --- Cut and heal.

struct CutArguments {
  std::string region;
  std::string reason;
  bool both_ways = false;
  bool yes = false;
};

// Nodes of one region that is to stop or resume sending to `to`.
struct Sender {
  std::vector<std::string> addresses;
  std::string to;
};

// Who sends to the region: with a cluster file all others, and with --both-ways the region itself,
// too; else the nodes of the region that is asked.
std::vector<Sender> SendersTo(const Session& session, const CutArguments& arguments,
                              ResultError* error) {
  const GlobalOptions& options = session.options();
  std::vector<Sender> senders;
  if (options.admin.empty() && options.targets.empty() && options.region.empty()) {
    if (const auto file = session.Cluster(); file.ok()) {
      std::map<std::string, std::vector<std::string>> regions;
      for (const ClusterRegion& region : file->regions) {
        for (const ClusterNode& node : region.nodes) {
          if (!node.admin.empty()) regions[region.name].push_back(node.admin);
        }
      }
      for (const auto& [name, addresses] : regions) {
        if (name == arguments.region) continue;
        senders.push_back({addresses, arguments.region});
        if (arguments.both_ways) senders.push_back({regions[arguments.region], name});
      }
    }
  }
  if (senders.empty()) {
    senders.push_back({AdminAddresses(session, error), arguments.region});
    if (senders.front().addresses.empty()) senders.clear();
  }
  return senders;
}

// Tells one node, which tells the others by the regional Redis; false fills `error`.
bool SetCut(const Session& session, const Sender& sender, bool cut, const std::string& reason,
            std::string* from, ResultError* error) {
  admin::v1::SetReplicationCutRequest request;
  request.set_region(sender.to);
  request.set_cut(cut);
  request.set_reason(reason);
  for (const std::string& address : sender.addresses) {
    admin::v1::SetReplicationCutResponse answer;
    if (CallNode<admin::v1::AdminService>(session, address,
                                          &admin::v1::AdminService::Stub::SetReplicationCut,
                                          request, &answer, error)) {
      *from = answer.from();
      return true;
    }
    // Another node would say the same, unless this one is away.
    if (error->code != absl::StatusCode::kUnavailable) return false;
  }
  return false;
}

// Whether the node at `address` obeys; it reads the list once a second.
bool Obeys(const Session& session, const std::string& address, const std::string& to, bool cut) {
  admin::v1::GetReplicationResponse answer;
  ResultError error;
  if (!CallNode<admin::v1::AdminService>(session, address,
                                         &admin::v1::AdminService::Stub::GetReplication,
                                         admin::v1::GetReplicationRequest(), &answer, &error)) {
    return false;
  }
  return std::any_of(answer.links().begin(), answer.links().end(),
                     [&](const admin::v1::ReplicationLink& link) {
                       return link.to() == to && (link.state() == "cut") == cut;
                     });
}

// The nodes that do not obey yet when the time is over.
std::vector<std::string> WaitForNodes(const Session& session, const Sender& sender, bool cut) {
  const absl::Time end = absl::Now() + session.timeout();
  std::vector<std::string> waiting = sender.addresses;
  while (true) {
    waiting.erase(std::remove_if(waiting.begin(), waiting.end(),
                                 [&](const std::string& address) {
                                   return Obeys(session, address, sender.to, cut);
                                 }),
                  waiting.end());
    if (waiting.empty() || absl::Now() >= end) return waiting;
    absl::SleepFor(absl::Milliseconds(100));
  }
}

ExitCode RunCut(const Session& session, const CutArguments& arguments, bool cut) {
  ResultError error;
  const std::vector<Sender> senders = SendersTo(session, arguments, &error);
  if (senders.empty()) return session.Fail(error);
  if (cut && !session.Confirm(absl::StrCat("this stops replication to ", arguments.region,
                                           arguments.both_ways ? ", and from it" : "",
                                           ": the regions drift apart until `region heal`"),
                              arguments.yes)) {
    return kExitUsage;
  }
  ExitCode code = kExitOk;
  nlohmann::ordered_json done = nlohmann::ordered_json::array();
  for (const Sender& sender : senders) {
    std::string from;
    if (!SetCut(session, sender, cut, arguments.reason, &from, &error)) {
      code = session.Fail(error);
      continue;
    }
    if (!session.json()) {
      session.Print(absl::StrCat(from, " -> ", sender.to, ": ", cut ? "cut" : "replicates"));
    }
    const std::vector<std::string> waiting = WaitForNodes(session, sender, cut);
    done.push_back({{"from", from}, {"to", sender.to}, {"cut", cut}, {"not_yet", waiting}});
    for (const std::string& address : waiting) {
      session.Note(absl::StrCat("warning: ", address,
                                " does not answer, or does not obey yet; it "
                                "does so when it reaches the Redis of ",
                                from));
      code = kExitFailed;
    }
  }
  if (session.json()) session.PrintJson(done);
  return code;
}

void AddCut(CLI::App& region, CommandContext context, bool cut) {
  auto arguments = std::make_shared<CutArguments>();
  CLI::App* command =
      cut ? region.add_subcommand("cut", "Stop replication to a region, for maintenance")
          : region.add_subcommand("heal", "Resume replication to a region that was cut");
  command->add_option("region", arguments->region, "the region that is sent to")->required();
  command->add_flag("--both-ways", arguments->both_ways,
                    "what the region sends to the others, too; needs the cluster file");
  if (cut) {
    command->add_option("--reason", arguments->reason, "why, for those who look at it later");
    command->add_flag("-y,--yes", arguments->yes, "do not ask: it is meant");
    command->footer(
        "Changes wait in the changelogs and are sent after `region heal`. Every region of the "
        "cluster\nfile stops sending, or the one that --region names. Nodes that are restarted "
        "obey, "
        "too.\n\n"
        "Examples:\n"
        "  meridianctl region cut asia --reason \"new Redis\"\n"
        "  meridianctl region cut asia --region us --yes");
  } else {
    command->footer("Examples:\n  meridianctl region heal asia");
  }
  command->callback([arguments, context, cut] {
    context.action = [arguments, context, cut] { return RunCut(context.session, *arguments, cut); };
  });
}

}  // namespace

void AddRegion(CLI::App& app, CommandContext context) {
  CLI::App* region =
      app.add_subcommand("region", "Look at replication, compare the regions, stop and resume it");
  region->require_subcommand(1);
  CLI::App* status = region->add_subcommand("status", "Show each pair: state, lag, backlog");
  status->footer(
      "Counts are sums over the nodes that answer, state and lag the worst of them.\n\n"
      "Examples:\n"
      "  meridianctl region status\n"
      "  meridianctl region status --region us --json");
  status->callback(
      [context] { context.action = [context] { return RunStatus(context.session); }; });

  auto arguments = std::make_shared<DiffArguments>();
  CLI::App* diff =
      region->add_subcommand("diff", "Count the keys that are not the same everywhere");
  diff->add_option("regions", arguments->regions, "regions to compare; none: all");
  CLI::Option* const repair =
      diff->add_flag("--repair", arguments->repair, "give every region the newest record");
  diff->add_flag("--spread-doubtful", arguments->spread_doubtful,
                 "also old values that a region lacks and may have deleted")
      ->needs(repair);
  diff->add_flag("-y,--yes", arguments->yes, "with --spread-doubtful: do not ask, it is meant");
  diff->footer(
      "A key that changes meanwhile may be counted: ask again. Exit code 1 when keys differ.\n\n"
      "Examples:\n"
      "  meridianctl region diff\n"
      "  meridianctl region diff us eu --repair");
  diff->callback([arguments, context] {
    context.action = [arguments, context] { return RunDiff(context.session, *arguments); };
  });
  AddCut(*region, context, /*cut=*/true);
  AddCut(*region, context, /*cut=*/false);
}

}  // namespace meridian::cli
