#include "server/policy/option_set.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/build_info.h"
#include "server/policy/redis_url.h"
#include "server/policy/text.h"
#include "server/policy/yaml_document.h"

namespace meridian {
namespace {

std::string EnvironmentName(const std::string& option) {
  return absl::StrCat("MERIDIAN_",
                      absl::AsciiStrToUpper(absl::StrReplaceAll(option, {{"-", "_"}})));
}

std::string Where(const std::string& file, const YAML::Node& node) {
  return absl::StrCat(file, ":", node.Mark().line + 1);
}

absl::Status Prefixed(const std::string& where, const std::string& what,
                      const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": ", what, ": ", std::string(status.message())));
}

std::vector<std::string> SplitList(const std::vector<std::string>& texts) {
  std::vector<std::string> items;
  for (const std::string& text : texts) {
    for (absl::string_view item : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
      items.emplace_back(absl::StripAsciiWhitespace(item));
    }
  }
  return items;
}

}  // namespace

OptionSet::OptionSet(std::string program, std::string description, std::string examples)
    : program_(std::move(program)),
      description_(std::move(description)),
      examples_(std::move(examples)) {}

void OptionSet::Add(Option option) { options_.push_back(std::move(option)); }

void OptionSet::AddString(std::string* target, Option option) {
  option.set = [target](const std::vector<std::string>& texts) {
    *target = texts.empty() ? "" : texts[0];
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void OptionSet::AddBytes(uint64_t* target, uint64_t minimum, Option option) {
  option.set = [target, minimum](const std::vector<std::string>& texts) -> absl::Status {
    ASSIGN_OR_RETURN(*target, ParseBytes(texts[0]));
    if (*target < minimum) {
      return absl::InvalidArgumentError(
          absl::StrCat(QuoteKey(texts[0]), " is less than ", minimum, " bytes"));
    }
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void OptionSet::AddAddress(std::string* target, Option option) {
  option.set = [target](const std::vector<std::string>& texts) {
    RETURN_IF_ERROR(CheckAddress(texts[0]));
    *target = texts[0];
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void OptionSet::AddRedisUrl(std::string* target, Option option) {
  option.set = [target](const std::vector<std::string>& texts) {
    if (!texts[0].empty()) RETURN_IF_ERROR(ParseRedisUrl(texts[0]).status());
    *target = texts[0];
    return absl::OkStatus();
  };
  option.secret = true;
  Add(std::move(option));
}

void OptionSet::AddSection(
    std::string key, std::function<absl::Status(const std::string&, const YAML::Node&)> read) {
  sections_[std::move(key)] = std::move(read);
}

absl::StatusOr<OptionSet::Action> OptionSet::Parse(
    int argc, const char* const* argv, const std::map<std::string, std::string>& environment) {
  CLI::App app(description_, program_);
  app.set_version_flag("--version", BuildInfoText(program_));
  app.footer(examples_);
  std::string& file = file_;
  bool print_config = false;
  bool check_config = false;
  app.add_option("--config", file, "YAML file with settings (MERIDIAN_CONFIG)");
  app.add_flag("--print-config", print_config, "Print every setting with its origin, then exit");
  app.add_flag("--check-config", check_config, "Check the settings, then exit: 0 fine, 2 not");
  std::map<std::string, std::vector<std::string>> flags;
  for (const Option& option : options_) {
    CLI::Option* flag = app.add_option("--" + option.name, flags[option.name],
                                       absl::StrCat(option.help, " [", option.default_text, "] (",
                                                    EnvironmentName(option.name), ")"));
    if (option.list) {
      flag->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    } else {
      flag->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)->expected(1);
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help and --version.
    app.exit(success);
    return Action::kExit;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(error.what(), "; ", program_, " --help lists the flags"));
  }

  std::map<std::string, Value> values;
  for (const Option& option : options_) {
    values[option.name] = Value{option.list ? SplitList({option.default_text})
                                            : std::vector<std::string>{option.default_text},
                                "default"};
    if (option.alias.empty()) continue;
    if (const auto it = environment.find(option.alias); it != environment.end()) {
      values[option.name] = Value{{it->second}, option.alias};
    }
  }
  if (const auto it = environment.find("MERIDIAN_CONFIG");
      file.empty() && it != environment.end()) {
    file = it->second;
  }
  if (!file.empty()) RETURN_IF_ERROR(ReadFile(file, &values));
  for (const Option& option : options_) {
    const std::string variable = EnvironmentName(option.name);
    if (const auto it = environment.find(variable); it != environment.end()) {
      values[option.name] = Value{
          option.list ? SplitList({it->second}) : std::vector<std::string>{it->second}, variable};
    }
    if (app.count("--" + option.name) > 0) {
      const std::vector<std::string>& texts = flags[option.name];
      values[option.name] = Value{option.list ? SplitList(texts) : texts, "--" + option.name};
    }
  }
  for (const Option& option : options_) {
    const Value& value = values[option.name];
    const absl::Status status = option.set(value.texts);
    if (!status.ok()) {
      refused_ = option.yaml_path;
      return Prefixed(value.origin, option.yaml_path, status);
    }
  }
  if (print_config) Print(values);
  return print_config || check_config ? Action::kCheck : Action::kRun;
}

absl::Status OptionSet::ReadFile(const std::string& path, std::map<std::string, Value>* values) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path));
  try {
    ASSIGN_OR_RETURN(const YAML::Node root, LoadYaml(path, text));
    if (root.IsNull()) return absl::OkStatus();
    if (!root.IsMap()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":1: must be a map of settings"));
    }
    return ReadYaml(path, "", root, values);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", error.mark.line + 1, ": ", error.msg));
  }
}

absl::Status OptionSet::ReadYaml(const std::string& file, const std::string& path,
                                 const YAML::Node& node, std::map<std::string, Value>* values) {
  std::map<std::string, bool> seen;
  for (const auto& item : node) {
    if (!item.first.IsScalar()) {
      return absl::InvalidArgumentError(
          absl::StrCat(Where(file, item.first), ": a key must be a plain word"));
    }
    const std::string key = item.first.Scalar();
    const std::string child = path.empty() ? key : absl::StrCat(path, ".", key);
    const std::string where = Where(file, item.first);
    refused_ = child;  // Unless all goes well.
    if (std::exchange(seen[key], true)) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": ", child, ": given twice"));
    }
    if (const auto section = sections_.find(child); section != sections_.end()) {
      if (item.second.IsNull()) {
        return absl::InvalidArgumentError(
            absl::StrCat(where, ": ", child, ": is empty; for none, write {}"));
      }
      RETURN_IF_ERROR(section->second(file, item.second));
      continue;
    }
    const Option* option = FindByYamlPath(child);
    if (option == nullptr) {
      const bool prefix = std::any_of(options_.begin(), options_.end(), [&](const Option& o) {
        return o.yaml_path.rfind(child + ".", 0) == 0;
      });
      if (prefix && item.second.IsMap()) {
        RETURN_IF_ERROR(ReadYaml(file, child, item.second, values));
        continue;
      }
      return absl::InvalidArgumentError(prefix ? absl::StrCat(where, ": ", child, ": must be a map")
                                               : absl::StrCat(where, ": ", child,
                                                              ": unknown; did you mean ",
                                                              NearestYamlPath(child), "?"));
    }
    Value value;
    value.origin = where;
    if (item.second.IsScalar()) {
      value.texts = option->list ? SplitList({item.second.Scalar()})
                                 : std::vector<std::string>{item.second.Scalar()};
    } else if (option->list && item.second.IsSequence()) {
      for (const auto& element : item.second) value.texts.push_back(element.as<std::string>());
    } else if (option->list && item.second.IsMap()) {
      for (const auto& element : item.second) {
        value.texts.push_back(
            absl::StrCat(element.first.as<std::string>(), "=", element.second.as<std::string>()));
      }
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", child, ": must be ", option->list ? "a list" : "one value"));
    }
    (*values)[option->name] = std::move(value);
  }
  refused_.clear();
  return absl::OkStatus();
}

void OptionSet::Print(const std::map<std::string, Value>& values) const {
  for (const Option& option : options_) {
    const Value& value = values.at(option.name);
    const std::string text = absl::StrJoin(value.texts, ",");
    std::cout << option.yaml_path << ": " << (option.secret && !text.empty() ? "***" : text)
              << "  # " << value.origin << "\n";
  }
}

const Option* OptionSet::FindByYamlPath(std::string_view path) const {
  for (const Option& option : options_) {
    if (option.yaml_path == path) return &option;
  }
  return nullptr;
}

std::string OptionSet::NearestYamlPath(std::string_view path) const {
  std::vector<std::string> known;
  for (const Option& option : options_) known.push_back(option.yaml_path);
  for (const auto& [key, read] : sections_) known.push_back(key);
  return NearestOf(path, known);
}

std::string OptionSet::MarkdownTable() const {
  std::string table = "| flag | environment | file | default | meaning |\n|---|---|---|---|---|\n";
  for (const Option& option : options_) {
    absl::StrAppend(&table, "| `--", option.name, "` | `", EnvironmentName(option.name), "`",
                    option.alias.empty() ? "" : absl::StrCat(", last `", option.alias, "`"), " | `",
                    option.yaml_path, "` | ",
                    option.default_text.empty() ? "" : absl::StrCat("`", option.default_text, "`"),
                    " | ", option.help, " |\n");
  }
  return table;
}

std::map<std::string, std::string> ProcessEnvironment() {
  std::map<std::string, std::string> map;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) {
      map.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return map;
}

}  // namespace meridian
