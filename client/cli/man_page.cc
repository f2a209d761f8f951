#include "client/cli/man_page.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/all_commands.h"
#include "client/cli/exit_code.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

// Text as roff takes it: dashes are dashes, and no line begins a request.
std::string Roff(std::string_view text) {
  std::vector<std::string> lines =
      absl::StrSplit(absl::StrReplaceAll(ToAbsl(text), {{"\\", "\\e"}, {"-", "\\-"}}), '\n');
  for (std::string& line : lines) {
    if (!line.empty() && (line[0] == '.' || line[0] == '\'')) line.insert(0, "\\&");
  }
  return absl::StrJoin(lines, "\n");
}

std::string Bold(std::string_view text) { return absl::StrCat("\\fB", Roff(text), "\\fR"); }
std::string Italic(std::string_view text) { return absl::StrCat("\\fI", Roff(text), "\\fR"); }

std::string Item(std::string tag, std::string_view text) {
  return absl::StrCat(".TP\n", tag, "\n", Roff(text), "\n");
}

std::string OptionItem(const OptionEntry& option) {
  std::vector<std::string> names;
  if (!option.short_name.empty()) names.push_back(Bold("-" + option.short_name));
  if (!option.long_name.empty()) names.push_back(Bold("--" + option.long_name));
  std::string value;
  if (option.takes_value) {
    value = " " + Italic(option.values.empty() ? "VALUE" : absl::StrJoin(option.values, "|"));
  }
  return Item(absl::StrJoin(names, ", ") + value,
              option.default_value.empty()
                  ? option.help
                  : absl::StrCat(option.help, " [", option.default_value, "]"));
}

std::string Usage(const CommandEntry& entry) {
  std::string usage = Bold(absl::StrCat("meridianctl ", entry.Words()));
  if (!entry.commands.empty()) usage += " " + Italic("COMMAND");
  for (const ArgumentEntry& argument : entry.arguments) {
    const std::string name = absl::StrCat(argument.name, argument.repeated ? "..." : "");
    absl::StrAppend(&usage, " ", argument.required ? Italic(name) : "[" + Italic(name) + "]");
  }
  if (!entry.options.empty()) usage += " [" + Italic("OPTION") + "...]";
  return usage;
}

std::string Section(const CommandEntry& entry) {
  std::string text = absl::StrCat(".SS \"", Roff(entry.Words()), "\"\n", Usage(entry), "\n.PP\n",
                                  Roff(entry.help), ".\n");
  for (const ArgumentEntry& argument : entry.arguments) {
    text += Item(Italic(argument.name), argument.help);
  }
  for (const OptionEntry& option : entry.options) {
    if (option.long_name != "help") text += OptionItem(option);
  }
  if (!entry.details.empty()) {
    absl::StrAppend(&text, ".PP\n.nf\n", Roff(entry.details), "\n.fi\n");
  }
  return text;
}

}  // namespace

std::string ManPage(const CommandEntry& table, std::string_view version) {
  std::string page = absl::StrCat(
      ".TH MERIDIANCTL 1 \"\" \"meridianctl ", Roff(version), "\" \"Meridian\"\n",
      ".SH NAME\nmeridianctl \\- reads, writes, measures and looks after a Meridian cache "
      "cluster\n",
      ".SH SYNOPSIS\n", Bold("meridianctl"), " [", Italic("OPTION"), "...] ", Italic("COMMAND"),
      " ...\n", ".SH DESCRIPTION\n", Roff(table.help),
      "\nData goes to standard output, messages to standard error.\n",
      ".SH OPTIONS\nThese may stand before and behind every command.\n");
  for (const OptionEntry& option : table.options) page += OptionItem(option);
  page += ".SH COMMANDS\n";
  for (const CommandEntry* entry : AllCommands(table)) {
    if (!entry->path.empty()) page += Section(*entry);
  }
  page += ".SH EXIT STATUS\n";
  for (const ExitCodeMeaning& code : kExitCodeMeanings) {
    page += Item(Bold(absl::StrCat(code.code)), code.meaning);
  }
  page += ".SH ENVIRONMENT\n";
  for (const auto& [name, meaning] : EnvironmentMeanings()) page += Item(Bold(name), meaning);
  absl::StrAppend(&page, ".SH FILES\n",
                  Item(Bold("~/.config/meridian/contexts.yaml"), "clusters by name"),
                  Item(Bold(".cluster/cluster.json"),
                       "where the nodes of a local cluster are; found here or in a folder above"));
  return page;
}

}  // namespace meridian::cli
