#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/coordinator.h"
#include "client/cli/session.h"
#include "client/cli/style.h"
#include "client/cli/suggestion.h"

namespace meridian::cli {
namespace {

using coordinator::v1::ListRecommendationsResponse;
using coordinator::v1::Recommendation;

struct RecommendationsArguments {
  std::string name_space;
  std::string coordinator;
};

// A paragraph: what, why, what to do, what it brings.
std::string Readable(const Recommendation& recommendation, const std::string& region,
                     const Style& style) {
  std::string text =
      absl::StrCat("[", style.Severity(recommendation.severity(), recommendation.severity()), "] ",
                   style.Bold(recommendation.name()), ": ", recommendation.summary());
  const std::map<std::string, std::string> evidence(recommendation.evidence().begin(),
                                                    recommendation.evidence().end());
  for (const auto& [what, value] : evidence) absl::StrAppend(&text, "\n    ", what, ": ", value);
  if (!recommendation.command().empty()) {
    absl::StrAppend(&text, "\n    do:   ", CommandFor(recommendation.command(), region));
  }
  if (!recommendation.gain().empty()) absl::StrAppend(&text, "\n    gain: ", recommendation.gain());
  return text;
}

ExitCode Run(const Session& session, const RecommendationsArguments& arguments) {
  coordinator::v1::ListRecommendationsRequest request;
  request.set_namespace_(arguments.name_space);
  return ShowFromLeader<ListRecommendationsResponse>(
      session, arguments.coordinator,
      &coordinator::v1::CoordinatorService::Stub::ListRecommendations, request,
      [&session](const ListRecommendationsResponse& answer) {
        if (answer.recommendations().empty()) session.Print("nothing to recommend");
        for (const Recommendation& recommendation : answer.recommendations()) {
          session.Print(Readable(recommendation, session.options().region, session.OutStyle()));
        }
      });
}

}  // namespace

void AddRecommendations(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<RecommendationsArguments>();
  CLI::App* command =
      app.add_subcommand("recommendations", "Show what would make a region's cache better");
  command->add_option("namespace", arguments->name_space, "Only of this data type");
  AddCoordinatorOption(*command, arguments->coordinator);
  command->footer(
      "The region's leading coordinator looks at the figures of the last minutes, and asks nodes "
      "what\nanother TTL or size would have brought for the traffic that they have seen.\n\n"
      "Examples:\n"
      "  meridianctl recommendations --region us\n"
      "  meridianctl recommendations session --json");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return Run(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
