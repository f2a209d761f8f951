// meridianctl: reads, writes and explains a Meridian cluster from the command line.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "client/cli/session.h"
#include "client/cli/suggestion.h"
#include "client/cli/text_input.h"

namespace meridian::cli {
namespace {

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.add_option("--target", options.targets,
                 "HOST:PORT of a node (repeatable; default: MERIDIAN_TARGET, then 127.0.0.1:7400)")
      ->take_all()
      ->expected(1);
  app.add_option("--region", options.region, "use this region's nodes of the cluster file")
      ->check(EmptyProblem);
  app.add_option(
         "--cluster", options.cluster,
         "cluster file (default: MERIDIAN_CLUSTER, then .cluster/cluster.json here or above)")
      ->check(EmptyProblem);
  app.add_option("--admin", options.admin,
                 "HOST:PORT of AdminService (default: as the topology says)")
      ->check(EmptyProblem);
  app.add_option("--timeout", options.timeout, "deadline of every call, such as 500ms or 5s")
      ->capture_default_str();
  app.add_flag("--json", options.json, "print JSON with the protos' field names");
  app.add_flag("-v,--verbose", options.verbose, "say more, on standard error");
}

void AddCommands(CLI::App& app, CommandContext context) {
  AddGet(app, context);
  AddSet(app, context);
  AddInvalidate(app, context);
  AddMget(app, context);
  AddMset(app, context);
  AddTouch(app, context);
  AddExplain(app, context);
  AddRing(app, context);
  AddDrain(app, context);
  AddPolicies(app, context);
  AddPolicy(app, context);
  AddWhatIf(app, context);
  AddStatus(app, context);
  AddRegion(app, context);
  AddStaleness(app, context);
  AddHotKeys(app, context);
  AddAlerts(app, context);
  AddRecommendations(app, context);
  AddWarm(app, context);
  AddReplay(app, context);
  AddVersion(app, context);
}

ExitCode Run(int argc, char** argv) {
  CLI::App app("Meridian, a multi-region cache, from the command line.", "meridianctl");
  app.fallthrough();
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of every command");
  app.footer(
      "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, 5 not reachable.\n"
      "`meridianctl COMMAND --help` shows examples.");
  Session session;
  Action action;
  AddGlobalOptions(app, session.options());
  AddCommands(app, CommandContext{session, action});
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help) == 0 ? kExitOk : kExitUsage;
  } catch (const CLI::ParseError& error) {
    const std::string advice = SuggestCommand(app, argc, argv);
    if (advice.empty()) {
      app.exit(error);
    } else {
      session.Note(advice);
    }
    return kExitUsage;
  }
  // `version` asks nobody.
  const bool asks = !app.got_subcommand("version");
  if (const absl::Status status = session.Prepare(); asks && !status.ok()) {
    session.Fail(status);
    return kExitUsage;
  }
  return action();
}

}  // namespace
}  // namespace meridian::cli

int main(int argc, char** argv) {
  try {
    const int code = meridian::cli::Run(argc, argv);
    return std::fflush(stdout) == 0 ? code : meridian::cli::kExitFailed;
  } catch (const std::exception& error) {  // CLI11 and the JSON library throw; we do not.
    std::fprintf(stderr, "error: %s\n", error.what());
    return meridian::cli::kExitFailed;
  }
}
