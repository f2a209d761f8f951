#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/results.h"
#include "client/cli/session.h"
#include "client/cli/text_input.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

struct MgetArguments {
  std::string name_space;
  std::vector<std::string> keys;
};

// Miss before failure: scripts that only look for 0 see both.
ExitCode CodeOf(const Session& session, const std::string& key, const GetResult& result) {
  if (result.hit()) return kExitOk;
  if (result.status == ResultStatus::kMiss) return kExitMiss;
  session.Note(QuoteKey(key) + ":");
  return session.Fail(*result.error);
}

ExitCode RunMget(const Session& session, const MgetArguments& arguments) {
  const auto keys = ReadList(arguments.keys);
  if (!keys.ok()) return session.Fail(keys.status());
  const auto client = session.Connect();
  if (!client.ok()) return session.Fail(client.status());
  const std::vector<std::string_view> views(keys->begin(), keys->end());
  const std::vector<GetResult> results =
      (*client)->BatchGet(arguments.name_space, views, session.Call<GetOptions>());
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  bool missed = false;
  ExitCode failure = kExitOk;
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string& key = (*keys)[i];
    if (session.json()) {
      list.push_back(ToJson(key, results[i]));
    } else {
      session.Print(
          absl::StrCat(key, "\t", ToAbsl(StatusName(results[i].status)), "\t", results[i].value));
    }
    const ExitCode code = CodeOf(session, key, results[i]);
    if (code == kExitMiss) {
      missed = true;
    } else {
      failure = std::max(failure, code);
    }
  }
  if (session.json()) session.PrintJson(list);
  return failure != kExitOk ? failure : missed ? kExitMiss : kExitOk;
}

}  // namespace

void AddMget(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<MgetArguments>();
  CLI::App* command = app.add_subcommand("mget", "Print many values of one namespace");
  command->add_option("namespace", arguments->name_space, "data type")->required();
  command->add_option("key", arguments->keys, "keys; @FILE or -: one a line")->required();
  command->footer(
      "One line a key: key, status and value, separated by TABs; --json for values with TABs or "
      "line "
      "ends.\nExit code 3 when some are missing, 1, 4 or 5 when some failed.\n\n"
      "Examples:\n"
      "  meridianctl mget task task:1 task:2 task:3\n"
      "  meridianctl mget task @keys.txt --json");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunMget(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
