#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/results.h"
#include "client/cli/session.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

struct GetArguments {
  std::string name_space;
  std::string key;
  std::string max_stale;
  bool force_refresh = false;
};

ExitCode RunGet(const Session& session, const GetArguments& arguments) {
  auto options = session.Call<GetOptions>();
  options.force_refresh = arguments.force_refresh;
  if (!arguments.max_stale.empty()) {
    options.max_stale = *ParseDuration(arguments.max_stale);  // The parser has checked it.
  }
  const auto client = session.Connect();
  if (!client.ok()) return session.Fail(client.status());
  const GetResult result = (*client)->Get(arguments.name_space, arguments.key, options);
  if (session.json()) session.PrintJson(ToJson(arguments.key, result));
  switch (result.status) {
    case ResultStatus::kOk:
      if (!session.json()) session.PrintValue(result.value);
      if (session.verbose()) session.Note(Describe(result));
      return kExitOk;
    case ResultStatus::kError:
      return session.Fail(*result.error);
    default:
      session.Note(
          absl::StrCat("there is no ", QuoteKey(arguments.key), " in ", arguments.name_space));
      return kExitMiss;
  }
}

}  // namespace

void AddGet(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<GetArguments>();
  CLI::App* command = app.add_subcommand("get", "Print a value");
  command->add_option("namespace", arguments->name_space, "data type")->required();
  command->add_option("key", arguments->key, "key")->required();
  command->add_flag("--force-refresh", arguments->force_refresh,
                    "load the value anew from the namespace's origin; without one, answer from the "
                    "regional Redis (L2), not from memory (L1)");
  command
      ->add_option("--max-stale", arguments->max_stale,
                   "accept an entry that expired at most so long ago, such as 30s")
      ->check(DurationProblem);
  command->footer(
      "The value alone goes to standard output, byte for byte; a line end follows only on a "
      "terminal.\nExit code 3 when there is none.\n\n"
      "Examples:\n"
      "  meridianctl get task task:42\n"
      "  meridianctl get page home > index.html\n"
      "  meridianctl get task task:42 --json --region eu\n"
      "  meridianctl get -v task task:42            # where it came from, on standard error");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunGet(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
