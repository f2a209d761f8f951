// The section rules: of WarmSettings.

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "server/policy/text.h"
#include "server/warming/settings_reader.h"
#include "server/warming/warm_settings.h"

namespace meridian {
namespace {

using warm_yaml::Items;
using warm_yaml::Place;
using warm_yaml::Texts;

constexpr size_t kMaxFields = 32;  // As of an event.

// What a rule says, before its fields are judged together.
struct Draft {
  WarmRule rule;
  KeyParts parts;
  YAML::Node parts_node;
  YAML::Node warm_node;
};

absl::Status ReadFields(const Place& place, const YAML::Node& node, WarmRule* rule) {
  ASSIGN_OR_RETURN(rule->fields, Texts(place, node));
  if (rule->fields.size() > kMaxFields) {
    return place.Bad(node, absl::StrCat("more than ", kMaxFields));
  }
  for (const std::string& field : rule->fields) {
    RETURN_IF_ERROR(warm_yaml::CheckName(place, node, field));
  }
  return absl::OkStatus();
}

absl::Status ReadField(const Place& place, const std::string& key, const YAML::Node& node,
                       Draft* draft) {
  WarmRule& rule = draft->rule;
  if (key == "on") {
    ASSIGN_OR_RETURN(rule.kind, warm_yaml::ReadName(place, node));
  } else if (key == "of") {
    ASSIGN_OR_RETURN(rule.of, warm_yaml::ReadNamespace(place, node));
  } else if (key == "key") {
    ASSIGN_OR_RETURN(const std::string text, warm_yaml::Scalar(place, node));
    absl::StatusOr<KeyPattern> pattern = KeyPattern::Parse(text);
    if (!pattern.ok()) return place.Bad(node, pattern.status());
    rule.key = *std::move(pattern);
  } else if (key == "fields") {
    return ReadFields(place, node, &rule);
  } else if (key == "parts") {
    draft->parts_node = node;
    return warm_yaml::ReadParts(place, node, &draft->parts);
  } else if (key == "warm") {
    draft->warm_node = node;
  } else if (key == "priority") {
    ASSIGN_OR_RETURN(rule.priority, warm_yaml::ReadPriority(place, node));
  } else if (key == "deadline") {
    ASSIGN_OR_RETURN(rule.deadline,
                     warm_yaml::ReadDuration(place, node, absl::Seconds(1), absl::Hours(24 * 30)));
  } else if (key == "not_again_for") {
    ASSIGN_OR_RETURN(rule.not_again_for,
                     warm_yaml::ReadDuration(place, node, absl::ZeroDuration(), absl::Hours(1)));
  } else if (key == "max_keys") {
    ASSIGN_OR_RETURN(rule.max_keys, warm_yaml::ReadCount(place, node, 1, WarmRule::kMaxKeys));
  } else {
    return warm_yaml::Unknown(place, node, key,
                              {"on", "of", "key", "fields", "parts", "warm", "priority", "deadline",
                               "not_again_for", "max_keys"});
  }
  return absl::OkStatus();
}

// A name must mean one thing.
absl::Status CheckNames(const Place& place, const YAML::Node& node, const Draft& draft) {
  std::vector<std::string> names = draft.rule.key.names();
  names.insert(names.end(), draft.rule.fields.begin(), draft.rule.fields.end());
  for (const auto& [name, values] : draft.parts) names.push_back(name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return absl::OkStatus();
  return place.Bad(node, absl::StrCat(*twice,
                                      " is more than one of: a part of key, one of fields, "
                                      "one of parts"));
}

absl::Status ReadPartValues(const Place& place, Draft* draft) {
  for (const auto& [name, text] : draft->parts) {
    const auto keys = KeyList::Parse({absl::StrCat("{", name, "}")}, {{name, text}});
    if (!keys.ok()) return place.Bad(draft->parts_node, keys.status());
    if (keys->size() > draft->rule.max_keys) {
      return place.At(name).Bad(
          draft->parts_node,
          absl::StrCat("has ", keys->size(), " values; max_keys is ", draft->rule.max_keys));
    }
    std::vector<std::string>& values = draft->rule.parts[name];
    for (uint64_t i = 0; i < keys->size(); ++i) values.push_back(keys->At(i));
  }
  return absl::OkStatus();
}

absl::Status CheckParts(const Place& place, const YAML::Node& node, const Draft& draft,
                        const KeyTemplate& text) {
  const WarmRule& rule = draft.rule;
  for (const std::string& name : text.names()) {
    std::vector<std::string> known = rule.key.names();
    known.insert(known.end(), rule.fields.begin(), rule.fields.end());
    for (const auto& [part, values] : rule.parts) known.push_back(part);
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return place.Bad(
        node,
        absl::StrCat("{", name, "} is no part of key, none of fields and none of ",
                     "parts: known are ", known.empty() ? "none" : absl::StrJoin(known, ", ")));
  }
  return absl::OkStatus();
}

absl::Status ReadWarm(const Place& place, Draft* draft) {
  ASSIGN_OR_RETURN(const auto items, Items(place, draft->warm_node));
  if (items.empty()) return place.Bad(draft->warm_node, "names no namespace");
  for (const auto& [name_space, node] : items) {
    const Place here = place.At(name_space);
    RETURN_IF_ERROR(warm_yaml::CheckNamespace(here, node, name_space));
    ASSIGN_OR_RETURN(const std::vector<std::string> texts, Texts(here, node));
    if (texts.empty()) return here.Bad(node, "has no keys");
    for (size_t i = 0; i < texts.size(); ++i) {
      const Place at{here.file, absl::StrCat(here.path, "[", i, "]")};
      absl::StatusOr<KeyTemplate> text = KeyTemplate::Parse(texts[i], draft->rule.max_keys);
      if (!text.ok()) return at.Bad(node, text.status());
      RETURN_IF_ERROR(CheckParts(at, node, *draft, *text));
      draft->rule.warm[name_space].push_back(*std::move(text));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<WarmRule> ReadRule(const Place& place, const std::string& name,
                                  const YAML::Node& node) {
  Draft draft;
  draft.rule.name = name;
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  bool has_warm = false;
  for (const auto& [key, value] : items) {
    RETURN_IF_ERROR(ReadField(place.At(key), key, value, &draft));
    has_warm |= key == "warm";
  }
  if (draft.rule.kind.empty()) return place.Bad(node, "on is missing");
  if (!has_warm) return place.Bad(node, "warm is missing");
  RETURN_IF_ERROR(CheckNames(place, node, draft));
  RETURN_IF_ERROR(ReadPartValues(place.At("parts"), &draft));
  RETURN_IF_ERROR(ReadWarm(place.At("warm"), &draft));
  return std::move(draft.rule);
}

}  // namespace

absl::Status WarmSettings::ReadRules(const std::string& file, const YAML::Node& node) {
  const Place place{file, "rules"};
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  if (items.size() > kMaxRules) return place.Bad(node, absl::StrCat("more than ", kMaxRules));
  for (const auto& [name, value] : items) {
    RETURN_IF_ERROR(warm_yaml::CheckName(place, value, name));
    ASSIGN_OR_RETURN(WarmRule rule, ReadRule(place.At(name), name, value));
    rules.insert_or_assign(name, std::move(rule));
  }
  return absl::OkStatus();
}

}  // namespace meridian
