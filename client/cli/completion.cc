#include "client/cli/completion.h"

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace meridian::cli {
namespace {

// Options of the command, and those of all commands, by which it may be followed.
std::vector<OptionEntry> OptionsOf(const CommandEntry& table, const CommandEntry& entry) {
  std::vector<OptionEntry> options = entry.options;
  std::set<std::string> known;
  for (const OptionEntry& option : options) known.insert(option.long_name);
  // Those of `warm` are known to `warm list` as well.
  for (const CommandEntry* above : AllCommands(table)) {
    const bool is_above = above->path.empty() || entry.path.rfind(above->path + "/", 0) == 0;
    if (!is_above || above == &entry) continue;
    for (const OptionEntry& option : above->options) {
      if (known.insert(option.long_name).second) options.push_back(option);
    }
  }
  return options;
}

// "--timeout", "-v": all names that are followed by a value somewhere.
std::set<std::string> WordsWithValue(const CommandEntry& table) {
  std::set<std::string> words;
  for (const CommandEntry* entry : AllCommands(table)) {
    for (const OptionEntry& option : entry->options) {
      if (!option.takes_value) continue;
      if (!option.long_name.empty()) words.insert("--" + option.long_name);
      if (!option.short_name.empty()) words.insert("-" + option.short_name);
    }
  }
  return words;
}

std::string Paths(const CommandEntry& table, const char* separator) {
  std::vector<std::string> paths;
  for (const CommandEntry* entry : AllCommands(table)) {
    if (!entry->path.empty()) paths.push_back(entry->path);
  }
  return absl::StrJoin(paths, separator);
}

// For a text between single quotes.
std::string Quoted(const std::string& text) {
  return absl::StrReplaceAll(text, {{"'", "'\\''"}, {"\n", " "}});
}

std::string ForFish(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}, {"\n", " "}}),
                      "'");
}

std::string ForZsh(const std::string& name, const std::string& help) {
  return absl::StrCat("'", absl::StrReplaceAll(Quoted(name), {{":", "\\:"}}), ":", Quoted(help),
                      "'");
}

}  // namespace

std::string BashCompletion(const CommandEntry& table) {
  std::string script = absl::StrCat(
      "# Completion of meridianctl for bash: source <(meridianctl completion bash)\n"
      "_meridianctl() {\n"
      "  local cur prev at word i words\n"
      "  COMPREPLY=()\n"
      "  cur=\"${COMP_WORDS[COMP_CWORD]}\"\n"
      "  prev=\"${COMP_WORDS[COMP_CWORD - 1]}\"\n"
      "  at=\"\"\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    word=\"${COMP_WORDS[i]}\"\n"
      "    case \"$word\" in\n"
      "      ",
      absl::StrJoin(WordsWithValue(table), "|"),
      ") ((i++)); continue ;;\n"
      "    esac\n"
      "    case \"$at/$word\" in\n"
      "      ",
      Paths(table, "|"),
      ") at=\"$at/$word\" ;;\n"
      "    esac\n"
      "  done\n"
      "  case \"$at $prev\" in\n");
  for (const CommandEntry* entry : AllCommands(table)) {
    for (const OptionEntry& option : OptionsOf(table, *entry)) {
      if (option.values.empty()) continue;
      absl::StrAppend(&script, "    \"", entry->path, " --", option.long_name,
                      "\") COMPREPLY=($(compgen -W '", absl::StrJoin(option.values, " "),
                      "' -- \"$cur\")); return ;;\n");
    }
  }
  absl::StrAppend(&script, "  esac\n  case \"$prev\" in\n    ",
                  absl::StrJoin(WordsWithValue(table), "|"),
                  ") return ;;\n  esac\n  words=\"\"\n  case \"$at\" in\n");
  for (const CommandEntry* entry : AllCommands(table)) {
    std::vector<std::string> words;
    for (const CommandEntry& command : entry->commands) words.push_back(command.name);
    for (const ArgumentEntry& argument : entry->arguments) {
      words.insert(words.end(), argument.values.begin(), argument.values.end());
    }
    for (const OptionEntry& option : OptionsOf(table, *entry)) {
      if (!option.long_name.empty()) words.push_back("--" + option.long_name);
      if (!option.short_name.empty()) words.push_back("-" + option.short_name);
    }
    absl::StrAppend(&script, "    \"", entry->path, "\") words='", absl::StrJoin(words, " "),
                    "' ;;\n");
  }
  return absl::StrCat(script,
                      "  esac\n"
                      "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                      "}\n"
                      "complete -o default -F _meridianctl meridianctl\n");
}

std::string ZshCompletion(const CommandEntry& table) {
  std::string script = absl::StrCat(
      "#compdef meridianctl\n"
      "# Completion of meridianctl for zsh: meridianctl completion zsh > a folder of "
      "$fpath/_meridianctl\n"
      "_meridianctl() {\n"
      "  local at=\"\" word skip=0\n"
      "  local -a commands options values\n"
      "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
      "    if ((skip)); then skip=0; continue; fi\n"
      "    case \"$word\" in\n"
      "      (",
      absl::StrJoin(WordsWithValue(table), "|"),
      ") skip=1; continue ;;\n"
      "    esac\n"
      "    case \"$at/$word\" in\n"
      "      (",
      Paths(table, "|"),
      ") at=\"$at/$word\" ;;\n"
      "    esac\n"
      "  done\n"
      "  case \"$at ${words[CURRENT-1]}\" in\n");
  for (const CommandEntry* entry : AllCommands(table)) {
    for (const OptionEntry& option : OptionsOf(table, *entry)) {
      if (option.values.empty()) continue;
      absl::StrAppend(&script, "    (\"", entry->path, " --", option.long_name, "\") values=('",
                      absl::StrJoin(option.values, "' '"), "'); compadd -a values; return ;;\n");
    }
  }
  absl::StrAppend(&script, "  esac\n  if ((skip)); then _files; return; fi\n  case \"$at\" in\n");
  for (const CommandEntry* entry : AllCommands(table)) {
    std::vector<std::string> commands, options;
    for (const CommandEntry& command : entry->commands) {
      commands.push_back(ForZsh(command.name, command.help));
    }
    for (const ArgumentEntry& argument : entry->arguments) {
      for (const std::string& value : argument.values) {
        commands.push_back(ForZsh(value, argument.help));
      }
    }
    for (const OptionEntry& option : OptionsOf(table, *entry)) {
      if (!option.long_name.empty()) {
        options.push_back(ForZsh("--" + option.long_name, option.help));
      }
      if (!option.short_name.empty())
        options.push_back(ForZsh("-" + option.short_name, option.help));
    }
    absl::StrAppend(&script, "    (\"", entry->path, "\")\n      commands=(",
                    absl::StrJoin(commands, " "), ")\n      options=(", absl::StrJoin(options, " "),
                    ")\n      ;;\n");
  }
  return absl::StrCat(script,
                      "  esac\n"
                      "  (($#commands)) && _describe -t commands command commands\n"
                      "  _describe -o -t options option options\n"
                      "  (($#commands)) || _files\n"
                      "}\n"
                      "compdef _meridianctl meridianctl\n");
}

std::string FishCompletion(const CommandEntry& table) {
  std::string script = absl::StrCat(
      "# Completion of meridianctl for fish: meridianctl completion fish | source\n"
      "function __meridianctl_at\n"
      "  set -l at ''\n"
      "  set -l skip 0\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    if test $skip -eq 1\n"
      "      set skip 0\n"
      "      continue\n"
      "    end\n"
      "    switch $word\n"
      "      case ",
      absl::StrJoin(WordsWithValue(table), " "),
      "\n"
      "        set skip 1\n"
      "        continue\n"
      "    end\n"
      "    switch \"$at/$word\"\n"
      "      case ",
      Paths(table, " "),
      "\n"
      "        set at \"$at/$word\"\n"
      "    end\n"
      "  end\n"
      "  test \"$at\" = \"$argv[1]\"\n"
      "end\n"
      "complete -c meridianctl -n '__meridianctl_at \"\"' -f\n");
  for (const CommandEntry* entry : AllCommands(table)) {
    const std::string line =
        absl::StrCat("complete -c meridianctl -n '__meridianctl_at \"", entry->path, "\"'");
    for (const CommandEntry& command : entry->commands) {
      absl::StrAppend(&script, line, " -f -a ", command.name, " -d ", ForFish(command.help), "\n");
    }
    for (const ArgumentEntry& argument : entry->arguments) {
      for (const std::string& value : argument.values) {
        absl::StrAppend(&script, line, " -f -a ", value, "\n");
      }
    }
    for (const OptionEntry& option : OptionsOf(table, *entry)) {
      absl::StrAppend(
          &script, line, option.long_name.empty() ? "" : absl::StrCat(" -l ", option.long_name),
          option.short_name.empty() ? "" : absl::StrCat(" -s ", option.short_name),
          option.takes_value ? " -r" : "",
          option.values.empty() ? ""
                                : absl::StrCat(" -f -a '", absl::StrJoin(option.values, " "), "'"),
          " -d ", ForFish(option.help), "\n");
    }
  }
  return script;
}

}  // namespace meridian::cli
