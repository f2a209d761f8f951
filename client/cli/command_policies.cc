#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/session.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

// Of versions of the coordinator there is no time.
std::string ReadAt(const admin::v1::ListPoliciesResponse& answer) {
  if (answer.loaded_unix_ms() == 0) return "-";
  const auto at = absl::FromUnixMillis(static_cast<int64_t>(answer.loaded_unix_ms()));
  return absl::FormatTime(absl::RFC3339_sec, at, absl::UTCTimeZone());
}

ExitCode RunPolicies(const Session& session, const std::string& name_space) {
  admin::v1::ListPoliciesResponse answer;
  ResultError error;
  if (!CallAnyAdmin(session, &admin::v1::AdminService::Stub::ListPolicies,
                    admin::v1::ListPoliciesRequest(), &answer, &error)) {
    return session.Fail(error);
  }
  if (!name_space.empty()) {
    // What is not named has the policy of "*", which comes last.
    const admin::v1::Policy* found = nullptr;
    for (const admin::v1::Policy& policy : answer.policies()) {
      if (found == nullptr && (policy.namespace_() == name_space || policy.namespace_() == "*")) {
        found = &policy;
      }
    }
    if (found != nullptr) {
      const admin::v1::Policy kept = *found;
      answer.clear_policies();
      *answer.add_policies() = kept;
    }
  }
  if (session.json()) {
    session.PrintJson(ToJson(answer));
    return kExitOk;
  }
  std::string text = answer.file().empty()
                         ? "no file of policies: these are the defaults"
                         : absl::StrCat("file    ", answer.file(), "\nread    ", ReadAt(answer));
  if (!answer.problem().empty()) {
    absl::StrAppend(&text, "\nproblem ", answer.problem(), "; those of before stay in force");
  }
  for (const admin::v1::Policy& policy : answer.policies()) {
    absl::StrAppend(&text, "\n\n", policy.namespace_() == "*" ? "\"*\"" : policy.namespace_(),
                    ":\n");
    // Two blanks in front, so that all of it is YAML.
    for (size_t begin = 0; begin < policy.yaml().size();) {
      const size_t end = std::min(policy.yaml().find('\n', begin), policy.yaml().size());
      absl::StrAppend(&text, begin == 0 ? "" : "\n", "  ",
                      policy.yaml().substr(begin, end - begin));
      begin = end + 1;
    }
  }
  session.Print(text);
  return kExitOk;
}

}  // namespace

void AddPolicies(CLI::App& app, CommandContext context) {
  auto name_space = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("policies", "Show the policies of the namespaces that are in force");
  command->add_option("NAMESPACE", *name_space, "Only that of this data type");
  command->footer(
      "A node reads its file of policies again when it changes, and on SIGHUP; one that is wrong "
      "is\n"
      "told here and changes nothing. `meridian-node --check-config --policies FILE` checks a "
      "file.\n\n"
      "Examples:\n"
      "  meridianctl policies\n"
      "  meridianctl policies task --json");
  command->callback([context, name_space] {
    context.action = [context, name_space] { return RunPolicies(context.session, *name_space); };
  });
}

}  // namespace meridian::cli
