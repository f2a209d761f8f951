#include "client/cli/suggestion.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace meridian::cli {
namespace {

// Optimal string alignment distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

// The first word that is neither an option nor an option's value; empty when there is none.
std::string FirstWord(const CLI::App& app, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.empty() || word[0] != '-') return word;
    const CLI::Option* option = app.get_option_no_throw(word);
    if (option != nullptr && option->get_items_expected_min() > 0) ++i;
  }
  return "";
}

std::vector<std::string> NamesIn(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

}  // namespace

std::string NearestWord(std::string_view typed, const std::vector<std::string>& words) {
  std::string nearest;
  size_t best = 3;
  for (const std::string& word : words) {
    const size_t distance = Distance(typed, word);
    if (distance < best && 2 * distance < word.size() + 1) {
      best = distance;
      nearest = word;
    }
  }
  return nearest;
}

std::string MissingCommand(const CLI::App& app) {
  const CLI::App* at = &app;
  std::string words = app.get_name();
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    absl::StrAppend(&words, " ", at->get_name());
  }
  if (at->get_require_subcommand_min() == 0) return "";
  return absl::StrCat("error: name a command of ", words, ": ", absl::StrJoin(NamesIn(*at), ", "),
                      " (", words, " --help)");
}

std::string SuggestCommand(const CLI::App& app, int argc, char** argv) {
  const std::vector<std::string> names = NamesIn(app);
  const std::string typed = FirstWord(app, argc, argv);
  if (typed == "help") return "error: help is meridianctl --help, or meridianctl COMMAND --help";
  if (typed.empty() || std::find(names.begin(), names.end(), typed) != names.end()) return "";
  const std::string nearest = NearestWord(typed, names);
  return absl::StrCat("error: there is no command \"", typed, "\"",
                      nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?"),
                      "\ncommands: ", absl::StrJoin(names, ", "), " (meridianctl --help)");
}

std::string CommandFor(const std::string& command, const std::string& region) {
  if (region.empty() || !absl::StartsWith(command, "meridianctl ")) return command;
  return absl::StrCat(command, " --region ", region);
}

}  // namespace meridian::cli
