#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/results.h"
#include "client/cli/session.h"
#include "client/cli/text_input.h"

namespace meridian::cli {
namespace {

struct SetArguments {
  std::string name_space;
  std::string key;
  std::string value;
  std::string ttl;
  std::string expected_version;
  std::string state_hint;
  std::vector<std::string> tags;
  std::vector<std::string> depends_on;
  bool if_absent = false;
};

ExitCode RunSet(const Session& session, const SetArguments& arguments) {
  auto options = session.Call<SetOptions>();
  options.tags = arguments.tags;
  options.depends_on = arguments.depends_on;
  options.if_absent = arguments.if_absent;
  options.state_hint = arguments.state_hint;
  // The parser has checked both.
  if (!arguments.ttl.empty()) options.ttl = *ParseDuration(arguments.ttl);
  if (!arguments.expected_version.empty()) {
    options.expected_version = Version::FromText(arguments.expected_version);
  }
  auto value = ReadValue(arguments.value);
  if (!value.ok()) return session.Fail(value.status());
  const auto client = session.Connect();
  if (!client.ok()) return session.Fail(client.status());
  return PrintWrite(
      session, arguments.key,
      (*client)->Set(arguments.name_space, arguments.key, *std::move(value), options));
}

std::string VersionProblem(const std::string& text) {
  if (Version::FromText(text)) return "";
  return "\"" + text + "\" is not a version: 20 lower-case hex digits, as `get --json` prints them";
}

}  // namespace

void AddSet(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<SetArguments>();
  CLI::App* command = app.add_subcommand("set", "Store a value");
  command->add_option("namespace", arguments->name_space, "data type")->required();
  command->add_option("key", arguments->key, "key")->required();
  command
      ->add_option("value", arguments->value,
                   "value; @FILE: its bytes; -: standard input; @@x: the text @x")
      ->required();
  command
      ->add_option("--ttl", arguments->ttl,
                   "life, such as 500ms, 30s, 5m, 2h, 7d (default: the namespace's)")
      ->check(PositiveDurationProblem);
  command->add_option("--tag", arguments->tags, "name for invalidation by tag (repeatable)")
      ->take_all()
      ->expected(1);
  command
      ->add_option("--depends-on", arguments->depends_on,
                   "what it is made from, key:KEY or tag:TAG: it dies with it (repeatable)")
      ->take_all()
      ->expected(1);
  command->add_flag("--if-absent", arguments->if_absent, "only when there is no live entry");
  command
      ->add_option("--expected-version", arguments->expected_version,
                   "only when exactly this version is stored")
      ->check(VersionProblem);
  command->add_option("--state-hint", arguments->state_hint,
                      "a word for the TTL policy, such as in_progress");
  command->footer(
      "Prints nothing, with -v the new version. A condition that does not hold changes nothing and "
      "ends with exit code 1.\n\n"
      "Examples:\n"
      "  meridianctl set task task:42 hello --ttl 5m\n"
      "  meridianctl set page home @index.html --tag site --tag front\n"
      "  date | meridianctl set task now - -v\n"
      "  meridianctl set task list @list.json --depends-on key:task:42\n"
      "  meridianctl set task task:42 new --expected-version 0196f3a2b4c50000a3f1");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunSet(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
