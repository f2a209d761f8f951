#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/results.h"
#include "client/cli/session.h"
#include "client/cli/text_input.h"
#include "common/base/status_macros.h"

namespace meridian::cli {
namespace {

struct MsetArguments {
  std::string name_space;
  std::vector<std::string> pairs;
  std::string file;
  std::string ttl;
};

absl::StatusOr<absl::Duration> TtlOf(const std::string& text) {
  const auto ttl = ParseDuration(text);
  if (ttl && *ttl > absl::ZeroDuration()) return *ttl;
  return absl::InvalidArgumentError(
      absl::StrCat("ttl \"", text, "\" is not a duration such as 500ms, 30s, 5m, 7d"));
}

absl::StatusOr<SetItem> ItemOfPair(const std::string& pair) {
  const size_t equals = pair.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(absl::StrCat("\"", pair, "\" is not KEY=VALUE"));
  }
  SetItem item;
  item.key = pair.substr(0, equals);
  ASSIGN_OR_RETURN(item.value, ReadValue(pair.substr(equals + 1)));
  return item;
}

constexpr const char* kFields[] = {"key", "value", "value_base64", "ttl", "tags"};

bool IsField(const std::string& name) {
  return std::find(std::begin(kFields), std::end(kFields), name) != std::end(kFields);
}

// {"key": ..., "value": ... or "value_base64": ..., "ttl": "5m", "tags": [...]}
absl::StatusOr<SetItem> ItemOfLine(const std::string& line) {
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("not a JSON object");
  SetItem item;
  for (const auto& [name, field] : json.items()) {
    if (name == "tags") {
      if (!field.is_array()) return absl::InvalidArgumentError("\"tags\" is not a list of texts");
      for (const auto& tag : field) {
        if (!tag.is_string()) return absl::InvalidArgumentError("a tag is not a text");
        item.tags.push_back(tag.get<std::string>());
      }
      continue;
    }
    if (!IsField(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown field \"", name, "\"; there are ", absl::StrJoin(kFields, ", ")));
    }
    if (!field.is_string()) {
      return absl::InvalidArgumentError(absl::StrCat("field \"", name, "\" is not a text"));
    }
    const auto text = field.get<std::string>();
    if (name == "key") {
      item.key = text;
    } else if (name == "value") {
      item.value = text;
    } else if (name == "value_base64") {
      if (!absl::Base64Unescape(text, &item.value)) {
        return absl::InvalidArgumentError("value_base64 is not base64");
      }
    } else {
      ASSIGN_OR_RETURN(item.ttl, TtlOf(text));
    }
  }
  if (item.key.empty()) return absl::InvalidArgumentError("no \"key\"");
  return item;
}

absl::StatusOr<std::vector<SetItem>> ItemsOf(const MsetArguments& arguments) {
  std::vector<SetItem> items;
  for (const std::string& pair : arguments.pairs) {
    ASSIGN_OR_RETURN(SetItem item, ItemOfPair(pair));
    items.push_back(std::move(item));
  }
  if (!arguments.file.empty()) {
    const std::string source = arguments.file == "-" ? "-" : "@" + arguments.file;
    ASSIGN_OR_RETURN(const std::vector<std::string> lines, ReadList({source}));
    for (size_t i = 0; i < lines.size(); ++i) {
      absl::StatusOr<SetItem> item = ItemOfLine(lines[i]);
      if (!item.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat(arguments.file, ", entry ", i + 1, ": ", item.status().message()));
      }
      items.push_back(*std::move(item));
    }
  }
  if (!arguments.ttl.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration ttl, TtlOf(arguments.ttl));
    for (SetItem& item : items) {
      if (item.ttl == absl::ZeroDuration()) item.ttl = ttl;
    }
  }
  if (items.empty())
    return absl::InvalidArgumentError("nothing to store: KEY=VALUE... or --file F");
  return items;
}

ExitCode RunMset(const Session& session, const MsetArguments& arguments) {
  absl::StatusOr<std::vector<SetItem>> items = ItemsOf(arguments);
  if (!items.ok()) {
    session.Fail(items.status());
    return kExitUsage;
  }
  const auto client = session.Connect();
  if (!client.ok()) return session.Fail(client.status());
  std::vector<std::string> keys;
  for (const SetItem& item : *items) keys.push_back(item.key);
  return PrintWrites(session, keys,
                     (*client)->BatchSet(arguments.name_space, *std::move(items), session.Call()));
}

}  // namespace

void AddMset(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<MsetArguments>();
  CLI::App* command = app.add_subcommand("mset", "Store many values of one namespace");
  command->add_option("namespace", arguments->name_space, "data type")->required();
  command->add_option("pair", arguments->pairs, "KEY=VALUE; VALUE may be @FILE or -");
  command
      ->add_option("--file", arguments->file,
                   "JSON lines {\"key\", \"value\" or \"value_base64\", \"ttl\", \"tags\"}; -: "
                   "standard input")
      ->check(EmptyProblem);
  command->add_option("--ttl", arguments->ttl, "life of entries that name none, such as 5m")
      ->check(PositiveDurationProblem);
  command->footer(
      "Every entry succeeds or fails for itself; failures go to standard error.\n\n"
      "Examples:\n"
      "  meridianctl mset task task:1=one task:2=two --ttl 5m\n"
      "  meridianctl mset task --file tasks.jsonl --json");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunMset(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
