#include "client/cli/command_table.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace meridian::cli {
namespace {

// CLI11 keeps what IsMember allows in the type's name only: "TEXT:{split,each}".
std::vector<std::string> AllowedValues(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{');
  const size_t end = type.find('}', begin);
  if (begin == std::string::npos || end == std::string::npos) return {};
  return absl::StrSplit(type.substr(begin + 1, end - begin - 1), ',');
}

OptionEntry EntryOf(const CLI::Option& option) {
  OptionEntry entry;
  if (!option.get_lnames().empty()) entry.long_name = option.get_lnames().front();
  if (!option.get_snames().empty()) entry.short_name = option.get_snames().front();
  entry.help = option.get_description();
  entry.takes_value = option.get_items_expected_max() > 0;
  entry.default_value = option.get_default_str();
  entry.values = AllowedValues(option);
  return entry;
}

CommandEntry EntryOf(const CLI::App& app, const std::string& path) {
  CommandEntry entry;
  entry.name = app.get_name();
  entry.path = path;
  entry.help = app.get_description();
  entry.details = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (option->nonpositional()) {
      entry.options.push_back(EntryOf(*option));
    } else {
      entry.arguments.push_back({option->get_name(true), option->get_description(),
                                 option->get_required(), option->get_items_expected_max() > 1,
                                 AllowedValues(*option)});
    }
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    entry.commands.push_back(EntryOf(*command, absl::StrCat(path, "/", command->get_name())));
  }
  return entry;
}

void AddAll(const CommandEntry& entry, std::vector<const CommandEntry*>* all) {
  all->push_back(&entry);
  for (const CommandEntry& command : entry.commands) AddAll(command, all);
}

}  // namespace

std::string CommandEntry::Words() const {
  return path.empty() ? "" : absl::StrReplaceAll(path.substr(1), {{"/", " "}});
}

CommandEntry TableOf(const CLI::App& app) { return EntryOf(app, ""); }

std::vector<const CommandEntry*> AllCommands(const CommandEntry& table) {
  std::vector<const CommandEntry*> all;
  AddAll(table, &all);
  return all;
}

}  // namespace meridian::cli
