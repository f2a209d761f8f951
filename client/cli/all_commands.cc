#include "client/cli/all_commands.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/exit_code.h"
#include "client/cli/text_input.h"

namespace meridian::cli {
namespace {

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.add_option("--target", options.targets,
                 "HOST:PORT of a node (repeatable; default: --cluster, then the context, then "
                 "MERIDIAN_TARGET, then "
                 "127.0.0.1:7400)")
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
  app.add_option("--context", options.context,
                 "a cluster of contexts.yaml (default: MERIDIAN_CONTEXT, then its current one)")
      ->check(EmptyProblem);
  app.add_option("--timeout", options.timeout, "deadline of every call, such as 500ms or 5s")
      ->capture_default_str();
  app.add_option("--tls-ca", options.tls.authorities,
                 "PEM file with the authorities that servers are judged by: TLS")
      ->check(EmptyProblem);
  app.add_option("--tls-cert", options.tls.certificate,
                 "PEM file with the certificate that is shown to them")
      ->check(EmptyProblem);
  app.add_option("--tls-key", options.tls.key, "PEM file with its key")->check(EmptyProblem);
  app.add_option("--tls-server-name", options.tls.server_name,
                 "name of the servers' certificates (default: the host of their address)")
      ->check(EmptyProblem);
  app.add_flag("--json", options.json, "print JSON with the protos' field names");
  app.add_option("--color", options.colour, "colours: auto is on a terminal without NO_COLOR")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  app.add_flag("-v,--verbose", options.verbose, "say more, on standard error");
}

std::string Footer() {
  std::string text = "Exit codes: ";
  for (const ExitCodeMeaning& code : kExitCodeMeanings) {
    absl::StrAppend(&text, code.code == kExitOk ? "" : ", ", code.code, " ", code.meaning);
  }
  return text + ".\n`meridianctl COMMAND --help` shows examples, `meridianctl man` everything.";
}

}  // namespace

void AddAllCommands(CLI::App& app, CommandContext context) {
  app.fallthrough();
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of every command");
  app.set_version_flag("--version", "meridianctl " MERIDIAN_VERSION, "print the release");
  app.footer(Footer());
  AddGlobalOptions(app, context.session.options());
  AddGet(app, context);
  AddSet(app, context);
  AddInvalidate(app, context);
  AddMget(app, context);
  AddMset(app, context);
  AddTouch(app, context);
  AddExplain(app, context);
  AddStatus(app, context);
  AddTop(app, context);
  AddDoctor(app, context);
  AddAlerts(app, context);
  AddRecommendations(app, context);
  AddRing(app, context);
  AddDrain(app, context);
  AddPolicies(app, context);
  AddPolicy(app, context);
  AddWhatIf(app, context);
  AddRegion(app, context);
  AddStaleness(app, context);
  AddHotKeys(app, context);
  AddWarm(app, context);
  AddPerf(app, context);
  AddReplay(app, context);
  AddContext(app, context);
  AddCompletion(app, context);
  AddMan(app, context);
  AddVersion(app, context);
}

std::vector<std::pair<std::string, std::string>> EnvironmentMeanings() {
  return {{"MERIDIAN_TARGET", "addresses of nodes, comma separated, when --target gives none"},
          {"MERIDIAN_CLUSTER", "the cluster file, when --cluster gives none"},
          {"MERIDIAN_CONTEXT", "the context, when --context gives none"},
          {"MERIDIAN_CONTEXTS", "the contexts file, instead of ~/.config/meridian/contexts.yaml"},
          {"MERIDIAN_TLS_CA",
           "and _CERT, _KEY and _SERVER_NAME: as --tls-ca and so on, when no option and no context "
           "gives them"},
          {"XDG_CONFIG_HOME", "in place of ~/.config"},
          {"NO_COLOR", "not empty: no colours"}};
}

}  // namespace meridian::cli
