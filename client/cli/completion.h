// Scripts that complete commands and options in shells, made from the command table.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_CLIENT_CLI_COMPLETION_H_
#define MERIDIAN_CLIENT_CLI_COMPLETION_H_

#include <string>

#include "client/cli/command_table.h"

namespace meridian::cli {

std::string BashCompletion(const CommandEntry& table);
std::string ZshCompletion(const CommandEntry& table);
std::string FishCompletion(const CommandEntry& table);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_COMPLETION_H_
