// The commands of meridianctl: one function and one file each. A function adds its command to the
// parser; Run tells which one was typed.

#ifndef MERIDIAN_CLIENT_CLI_COMMANDS_H_
#define MERIDIAN_CLIENT_CLI_COMMANDS_H_

#include <functional>
#include <string>

#include "client/cli/exit_code.h"
#include "client/cli/session.h"

namespace CLI {
class App;
}

namespace meridian::cli {

// What a parsed command does. Set by the command that was typed.
using Action = std::function<ExitCode()>;

// Outlive the parsing and the action.
struct CommandContext {
  Session& session;
  Action& action;
};

void AddGet(CLI::App& app, CommandContext context);
void AddSet(CLI::App& app, CommandContext context);
void AddInvalidate(CLI::App& app, CommandContext context);
void AddMget(CLI::App& app, CommandContext context);
void AddMset(CLI::App& app, CommandContext context);
void AddTouch(CLI::App& app, CommandContext context);
void AddExplain(CLI::App& app, CommandContext context);
void AddRing(CLI::App& app, CommandContext context);
void AddDrain(CLI::App& app, CommandContext context);
void AddPolicies(CLI::App& app, CommandContext context);
void AddPolicy(CLI::App& app, CommandContext context);
void AddStatus(CLI::App& app, CommandContext context);
void AddRegion(CLI::App& app, CommandContext context);
void AddHotKeys(CLI::App& app, CommandContext context);
void AddAlerts(CLI::App& app, CommandContext context);
void AddRecommendations(CLI::App& app, CommandContext context);
void AddStaleness(CLI::App& app, CommandContext context);
void AddPerf(CLI::App& app, CommandContext context);
void AddReplay(CLI::App& app, CommandContext context);
void AddWhatIf(CLI::App& app, CommandContext context);
void AddVersion(CLI::App& app, CommandContext context);
void AddCompletion(CLI::App& app, CommandContext context);
void AddContext(CLI::App& app, CommandContext context);
void AddDoctor(CLI::App& app, CommandContext context);
void AddMan(CLI::App& app, CommandContext context);
void AddTop(CLI::App& app, CommandContext context);
void AddWarm(CLI::App& app, CommandContext context);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_COMMANDS_H_
