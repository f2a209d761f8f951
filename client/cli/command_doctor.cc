#include <CLI/CLI.hpp>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/doctor_checks.h"
#include "client/cli/doctor_facts.h"
#include "client/cli/session.h"
#include "client/cli/style.h"

namespace meridian::cli {
namespace {

ExitCode RunDoctor(const Session& session) {
  ClusterFacts facts;
  ResultError error;
  if (!FetchFacts(session, &facts, &error)) return session.Fail(error);
  const std::vector<Finding> findings = Examine(facts);
  if (session.json()) {
    session.PrintJson(FindingsJson(facts, findings));
  } else {
    session.Print(FindingsText(facts, findings, session.OutStyle()));
  }
  return ExitCodeOf(findings);
}

}  // namespace

void AddDoctor(CLI::App& app, CommandContext context) {
  CLI::App* command =
      app.add_subcommand("doctor", "Check a cluster: what is unsafe or wrong, and what to do");
  command->footer(
      "Asks all nodes of the cluster file, or of the region that a target belongs to, and the "
      "coordinators.\nIt changes nothing. Exit codes: 0 nothing, or notes alone; 6 a warning; 7 "
      "something critical; 5 no\nnode answers.\n\n"
      "Examples:\n"
      "  meridianctl doctor\n"
      "  meridianctl doctor --region eu --json\n"
      "  meridianctl doctor --target cache-1:7400 || page-somebody");
  command->callback(
      [context] { context.action = [context] { return RunDoctor(context.session); }; });
}

}  // namespace meridian::cli
