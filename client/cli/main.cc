// meridianctl: reads, writes and explains a Meridian cluster from the command line.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "client/cli/all_commands.h"
#include "client/cli/exit_code.h"
#include "client/cli/session.h"
#include "client/cli/suggestion.h"

namespace meridian::cli {
namespace {

// What the options and the environment say together.
absl::Status Settle(const CLI::App& app, Session& session) {
  if (session.offline()) return absl::OkStatus();
  const absl::Status context =
      session.ApplyContext(/*timeout_given=*/app.get_option("--timeout")->count() > 0);
  return context.ok() ? session.Prepare() : context;
}

ExitCode Run(int argc, char** argv) {
  CLI::App app("Meridian, a multi-region cache, from the command line.", "meridianctl");
  Session session;
  Action action;
  AddAllCommands(app, CommandContext{session, action});
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help) == 0 ? kExitOk : kExitUsage;
  } catch (const CLI::ParseError& error) {
    std::string advice = SuggestCommand(app, argc, argv);
    if (advice.empty() && error.get_name() == "RequiredError") advice = MissingCommand(app);
    if (advice.empty()) {
      app.exit(error);
    } else {
      session.Note(advice);
    }
    return kExitUsage;
  }
  if (const absl::Status status = Settle(app, session); !status.ok()) {
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
