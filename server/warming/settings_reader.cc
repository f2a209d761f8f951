#include "server/warming/settings_reader.h"

#include <yaml-cpp/yaml.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"
#include "server/warming/warm_job.h"

namespace meridian::warm_yaml {

absl::Status Place::Bad(const YAML::Node& node, const std::string& why) const {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", node.Mark().line + 1, ": ", path, ": ", why));
}

absl::Status Place::Bad(const YAML::Node& node, const absl::Status& status) const {
  return Bad(node, std::string(status.message()));
}

Place Place::At(const std::string& key) const { return {file, absl::StrCat(path, ".", key)}; }

absl::StatusOr<std::string> Scalar(const Place& place, const YAML::Node& node) {
  if (!node.IsScalar()) return place.Bad(node, "must be one value");
  return node.Scalar();
}

absl::StatusOr<std::vector<std::pair<std::string, YAML::Node>>> Items(const Place& place,
                                                                      const YAML::Node& node) {
  if (!node.IsMap()) return place.Bad(node, "must be a map");
  std::vector<std::pair<std::string, YAML::Node>> items;
  std::set<std::string> seen;
  for (const auto& item : node) {
    if (!item.first.IsScalar()) return place.Bad(item.first, "a key must be a plain word");
    const std::string key = item.first.Scalar();
    if (!seen.insert(key).second) return place.At(key).Bad(item.first, "given twice");
    items.emplace_back(key, item.second);
  }
  return items;
}

absl::StatusOr<std::vector<std::string>> Texts(const Place& place, const YAML::Node& node) {
  std::vector<std::string> texts;
  if (node.IsScalar()) return std::vector<std::string>{node.Scalar()};
  if (!node.IsSequence()) return place.Bad(node, "must be a list");
  for (const auto& element : node) {
    ASSIGN_OR_RETURN(std::string text, Scalar(place, element));
    texts.push_back(std::move(text));
  }
  return texts;
}

absl::Status ReadParts(const Place& place, const YAML::Node& node, KeyParts* parts) {
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  for (const auto& [name, values] : items) {
    ASSIGN_OR_RETURN(const std::vector<std::string> texts, Texts(place.At(name), values));
    (*parts)[name] = absl::StrJoin(texts, ",");
  }
  return absl::OkStatus();
}

absl::Status CheckName(const Place& place, const YAML::Node& node, std::string_view name) {
  const absl::Status status = meridian::CheckName(name);
  return status.ok() ? status : place.Bad(node, status);
}

absl::StatusOr<std::string> ReadName(const Place& place, const YAML::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  RETURN_IF_ERROR(CheckName(place, node, text));
  return text;
}

absl::Status CheckNamespace(const Place& place, const YAML::Node& node, std::string_view name) {
  RETURN_IF_ERROR(CheckName(place, node, name));
  const absl::Status status = CheckWarmNamespace(name);
  return status.ok() ? status : place.Bad(node, status);
}

absl::StatusOr<std::string> ReadNamespace(const Place& place, const YAML::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  RETURN_IF_ERROR(CheckNamespace(place, node, text));
  return text;
}

absl::StatusOr<int32_t> ReadPriority(const Place& place, const YAML::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  const bool negative = !text.empty() && text[0] == '-';
  const absl::StatusOr<uint64_t> size = ParseInteger(text.substr(negative ? 1 : 0), 0, 1000000);
  if (!size.ok()) {
    return place.Bad(node, absl::StrCat(QuoteKey(text), " is not -1000000..1000000"));
  }
  return static_cast<int32_t>(*size) * (negative ? -1 : 1);
}

absl::StatusOr<uint64_t> ReadCount(const Place& place, const YAML::Node& node, uint64_t low,
                                   uint64_t high) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  const absl::StatusOr<uint64_t> count = ParseInteger(text, low, high);
  if (!count.ok()) return place.Bad(node, count.status());
  return count;
}

absl::StatusOr<absl::Duration> ReadDuration(const Place& place, const YAML::Node& node,
                                            absl::Duration low, absl::Duration high) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  const absl::StatusOr<absl::Duration> duration = ParseDuration(text);
  if (!duration.ok()) return place.Bad(node, duration.status());
  if (*duration < low || *duration > high) {
    return place.Bad(node, absl::StrCat(QuoteKey(text), " is not from ", DurationText(low), " to ",
                                        DurationText(high)));
  }
  return duration;
}

absl::Status Unknown(const Place& place, const YAML::Node& node, const std::string& key,
                     const std::vector<std::string>& known) {
  return place.Bad(node, absl::StrCat("unknown; did you mean ", NearestOf(key, known), "?"));
}

}  // namespace meridian::warm_yaml
