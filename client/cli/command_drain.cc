#include <CLI/CLI.hpp>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/session.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

struct DrainArguments {
  std::string node;
  std::string within = "30s";
  bool yes = false;
};

// Beyond the node's own patience, for its answer.
constexpr absl::Duration kAnswerTime = absl::Seconds(5);

// Where the node of this name answers, by the rings of all regions; empty fills `error`.
std::string AdminAddressOf(const Session& session, const std::string& node, ResultError* error) {
  std::set<std::string> known;
  for (const std::string& address : AllAdminAddresses(session, error)) {
    admin::v1::GetRingResponse ring;
    if (!CallNode<admin::v1::AdminService>(session, address,
                                           &admin::v1::AdminService::Stub::GetRing,
                                           admin::v1::GetRingRequest(), &ring, error)) {
      continue;
    }
    for (const admin::v1::RingMember& entry : ring.members()) {
      if (entry.member().id() == node) return entry.member().admin_address();
      known.insert(entry.member().id());
    }
  }
  if (known.empty()) return "";
  error->code = absl::StatusCode::kNotFound;
  error->reason = "NODE_UNKNOWN";
  error->message =
      absl::StrCat("no node is called ", node, "; there are ", absl::StrJoin(known, ", "));
  return "";
}

ExitCode RunDrain(const Session& session, const DrainArguments& arguments) {
  ResultError error;
  const std::string address = AdminAddressOf(session, arguments.node, &error);
  if (address.empty()) return session.Fail(error);
  if (!session.Confirm(
          absl::StrCat("this gives the slots of ", arguments.node, " away and ends its process"),
          arguments.yes)) {
    return kExitUsage;
  }
  const absl::Duration within = *ParseDuration(arguments.within);
  session.Note(absl::StrCat(arguments.node, ": giving its slots away"));
  admin::v1::DrainRequest request;
  request.set_timeout_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(within)));
  admin::v1::DrainResponse response;
  if (!CallNode<admin::v1::AdminService>(session, address, &admin::v1::AdminService::Stub::Drain,
                                         request, &response, &error, within + kAnswerTime)) {
    return session.Fail(error);
  }
  if (session.json()) {
    session.PrintJson(ToJson(response));
  } else {
    session.Print(absl::StrCat(arguments.node, ": drained, and ends"));
  }
  return kExitOk;
}

}  // namespace

void AddDrain(CLI::App& app, CommandContext context) {
  CLI::App* command =
      app.add_subcommand("drain", "Give a node's slots to the others, then end its process");
  auto arguments = std::make_shared<DrainArguments>();
  command->add_option("node", arguments->node, "Its name, as `meridianctl ring` shows it")
      ->required();
  command->add_option("--within", arguments->within, "Give up after this time, and serve on")
      ->check(PositiveDurationProblem)
      ->capture_default_str();
  command->add_flag("-y,--yes", arguments->yes, "do not ask: it is meant");
  command->footer(
      "What starts the process again (systemd, Kubernetes) brings the node back. The last node of "
      "a\n"
      "region is not drained.\n\n"
      "Examples:\n"
      "  meridianctl drain us-node-1\n"
      "  meridianctl drain us-node-1 --within 10s --region us --yes");
  command->callback([context, arguments] {
    context.action = [context, arguments] { return RunDrain(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
