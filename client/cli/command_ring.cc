#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/session.h"
#include "client/cli/text_table.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

std::string StateName(cache::v1::MemberState state) {
  switch (state) {
    case cache::v1::MEMBER_STATE_JOINING:
      return "joining";
    case cache::v1::MEMBER_STATE_SERVING:
      return "serving";
    case cache::v1::MEMBER_STATE_DRAINING:
      return "draining";
    default:
      return "?";
  }
}

ExitCode RunRing(const Session& session) {
  admin::v1::GetRingResponse ring;
  ResultError error;
  if (!CallAnyAdmin(session, &admin::v1::AdminService::Stub::GetRing, admin::v1::GetRingRequest(),
                    &ring, &error)) {
    return session.Fail(error);
  }
  if (session.json()) {
    session.PrintJson(ToJson(ring));
    return kExitOk;
  }
  TextTable table({"node", "state", "weight", "slots", "load", "data", "admin"});
  for (const admin::v1::RingMember& entry : ring.members()) {
    const cache::v1::Member& member = entry.member();
    table.Add({member.id(), StateName(member.state()), absl::StrCat(member.weight()),
               absl::StrCat(entry.slots()), absl::StrFormat("%.3f", entry.load()),
               member.data_address(), member.admin_address()});
  }
  session.Print(
      absl::StrCat("region ", ring.region(), ", epoch ", ring.epoch(), "\n", table.ToText()));
  return kExitOk;
}

}  // namespace

void AddRing(CLI::App& app, CommandContext context) {
  CLI::App* command = app.add_subcommand("ring", "Show the members and their share of the slots");
  command->footer(
      "load is the share of slots by weight, 1.0 is even.\n\n"
      "Examples:\n"
      "  meridianctl ring --region us\n"
      "  meridianctl ring --json");
  command->callback([context] { context.action = [context] { return RunRing(context.session); }; });
}

}  // namespace meridian::cli
