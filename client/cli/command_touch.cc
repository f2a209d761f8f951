#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/results.h"
#include "client/cli/session.h"

namespace meridian::cli {
namespace {

struct TouchArguments {
  std::string name_space;
  std::string key;
  std::string ttl;
};

ExitCode RunTouch(const Session& session, const TouchArguments& arguments) {
  absl::Duration ttl;
  if (!arguments.ttl.empty()) ttl = *ParseDuration(arguments.ttl);  // The parser has checked it.
  const auto client = session.Connect();
  if (!client.ok()) return session.Fail(client.status());
  return PrintWrite(session, arguments.key,
                    (*client)->Touch(arguments.name_space, arguments.key, ttl, session.Call()));
}

}  // namespace

void AddTouch(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<TouchArguments>();
  CLI::App* command = app.add_subcommand("touch", "Give an entry a new TTL, counted from now");
  command->add_option("namespace", arguments->name_space, "data type")->required();
  command->add_option("key", arguments->key, "key")->required();
  command
      ->add_option("--ttl", arguments->ttl,
                   "life from now, such as 30s, 5m (default: the namespace's)")
      ->check(PositiveDurationProblem);
  command->footer(
      "Exit code 3 when there is no such entry.\n\n"
      "Examples:\n"
      "  meridianctl touch session user:7 --ttl 30m");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunTouch(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
