// CommandTable is what the parser knows of the commands: the one source of completion and of the
// man page, so that neither goes stale.
//
// Thread safety: a pure function.

#ifndef MERIDIAN_CLIENT_CLI_COMMAND_TABLE_H_
#define MERIDIAN_CLIENT_CLI_COMMAND_TABLE_H_

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace meridian::cli {

struct OptionEntry {
  std::string long_name;   // Without dashes; empty: there is none.
  std::string short_name;  // Without a dash; empty: there is none.
  std::string help;
  bool takes_value = false;
  std::string default_value = {};        // As --help shows it.
  std::vector<std::string> values = {};  // All that are allowed; empty: any.
};

struct ArgumentEntry {
  std::string name;
  std::string help;
  bool required = false;
  bool repeated = false;
  std::vector<std::string> values = {};  // All that are allowed; empty: any.
};

struct CommandEntry {
  std::string name;
  std::string path;  // "" of meridianctl itself, "/warm/list" of `meridianctl warm list`.
  std::string help;
  std::string details;  // What --help prints at the end: exit codes, examples.
  std::vector<OptionEntry> options = {};
  std::vector<ArgumentEntry> arguments = {};
  std::vector<CommandEntry> commands = {};

  // "warm list"
  std::string Words() const;
};

CommandEntry TableOf(const CLI::App& app);

// The entry and all below it, in order.
std::vector<const CommandEntry*> AllCommands(const CommandEntry& table);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_COMMAND_TABLE_H_
