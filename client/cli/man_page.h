// The man page of meridianctl in roff, made from the command table. Thread safety: a pure function.

#ifndef MERIDIAN_CLIENT_CLI_MAN_PAGE_H_
#define MERIDIAN_CLIENT_CLI_MAN_PAGE_H_

#include <string>
#include <string_view>

#include "client/cli/command_table.h"

namespace meridian::cli {

std::string ManPage(const CommandEntry& table, std::string_view version);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_MAN_PAGE_H_
