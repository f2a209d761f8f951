// "Did you mean": for mistyped commands.

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

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_SUGGESTION_H_
