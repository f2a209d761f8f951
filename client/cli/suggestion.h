// What to type: "did you mean" for mistyped commands, and commands that others suggest.

#ifndef MERIDIAN_CLIENT_CLI_SUGGESTION_H_
#define MERIDIAN_CLIENT_CLI_SUGGESTION_H_

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace meridian::cli {

// The one of `words` that is nearest to `typed`, by the fewest letters inserted, removed, replaced
// or swapped; empty when none is near (at most 2, and less than half of the word).
std::string NearestWord(std::string_view typed, const std::vector<std::string>& words);

// What to tell somebody whose first word is no command; empty when it is one.
std::string SuggestCommand(const CLI::App& app, int argc, char** argv);

// What to tell somebody who ended before a command, as in `meridianctl warm`; empty when one was
// named. To be asked after the parser.
std::string MissingCommand(const CLI::App& app);

// The command of a recommendation for the region that was asked for (--region): another one may be
// the first of the cluster file. What is no command of meridianctl stays as it is.
std::string CommandFor(const std::string& command, const std::string& region);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_SUGGESTION_H_
