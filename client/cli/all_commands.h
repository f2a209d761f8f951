// All commands and global options of meridianctl, in the order of --help.

#ifndef MERIDIAN_CLIENT_CLI_ALL_COMMANDS_H_
#define MERIDIAN_CLIENT_CLI_ALL_COMMANDS_H_

#include <string>
#include <utility>
#include <vector>

#include "client/cli/commands.h"

namespace CLI {
class App;
}

namespace meridian::cli {

// `app` and what `context` refers to outlive the parsing and the action.
void AddAllCommands(CLI::App& app, CommandContext context);

// Variables that meridianctl reads, and what they say.
std::vector<std::pair<std::string, std::string>> EnvironmentMeanings();

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_ALL_COMMANDS_H_
