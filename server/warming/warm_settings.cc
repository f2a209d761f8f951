#include "server/warming/warm_settings.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"
#include "server/policy/yaml_document.h"

namespace meridian {
namespace {

// Where an error is: "f.yaml:7: schedules.nightly.cron: ...".
struct Place {
  const std::string& file;
  std::string path;

  absl::Status Bad(const YAML::Node& node, const std::string& why) const {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", node.Mark().line + 1, ": ", path, ": ", why));
  }
  absl::Status Bad(const YAML::Node& node, const absl::Status& status) const {
    return Bad(node, std::string(status.message()));
  }
  Place At(const std::string& key) const { return {file, absl::StrCat(path, ".", key)}; }
};

absl::StatusOr<std::string> Scalar(const Place& place, const YAML::Node& node) {
  if (!node.IsScalar()) return place.Bad(node, "must be one value");
  return node.Scalar();
}

// The keys of a map, each a plain word that is given once.
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

absl::StatusOr<MissedRuns> ReadMissed(const Place& place, const YAML::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  if (text == "skip") return MissedRuns::kSkip;
  if (text == "once") return MissedRuns::kOnce;
  if (text == "all") return MissedRuns::kAll;
  return place.Bad(node, absl::StrCat(QuoteKey(text), " is not one of skip, once, all"));
}

// What a schedule says, before its fields are judged together.
struct Draft {
  WarmSchedule schedule;
  std::string cron;
  std::string zone = "UTC";
  YAML::Node cron_node;
  YAML::Node zone_node;
  YAML::Node keys_node;
};

absl::Status ReadField(const Place& place, const std::string& key, const YAML::Node& node,
                       Draft* draft) {
  WarmSchedule& schedule = draft->schedule;
  const auto with_place = [&](const absl::Status& status) {
    return status.ok() ? status : place.Bad(node, status);
  };
  if (key == "keys") {
    ASSIGN_OR_RETURN(schedule.text.keys, Texts(place, node));
    draft->keys_node = node;
    return absl::OkStatus();
  }
  if (key == "parts") return ReadParts(place, node, &schedule.text.parts);
  if (key == "missed") {
    ASSIGN_OR_RETURN(schedule.missed, ReadMissed(place, node));
    return absl::OkStatus();
  }
  static const std::vector<std::string>* const kScalars = new std::vector<std::string>{
      "cron", "time_zone", "missed_limit", "namespace", "priority", "deadline"};
  const std::vector<std::string>& scalars = *kScalars;
  if (std::find(scalars.begin(), scalars.end(), key) == scalars.end()) {
    std::vector<std::string> known = scalars;
    known.insert(known.end(), {"keys", "parts", "missed"});
    return place.Bad(node, absl::StrCat("unknown; did you mean ", NearestOf(key, known), "?"));
  }
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  if (key == "cron") {
    draft->cron = text;
    draft->cron_node = node;
  } else if (key == "time_zone") {
    draft->zone = text;
    draft->zone_node = node;
  } else if (key == "namespace") {
    if (!IsName(text)) {
      return place.Bad(node, absl::StrCat(QuoteKey(text), " is not [a-z0-9_.-]{1,64}"));
    }
    schedule.name_space = text;
  } else if (key == "missed_limit") {
    const absl::StatusOr<uint64_t> limit = ParseInteger(text, 1, 1000);
    RETURN_IF_ERROR(with_place(limit.status()));
    schedule.missed_limit = *limit;
  } else if (key == "priority") {
    const bool negative = !text.empty() && text[0] == '-';
    const absl::StatusOr<uint64_t> size = ParseInteger(text.substr(negative ? 1 : 0), 0, 1000000);
    if (!size.ok()) {
      return place.Bad(node, absl::StrCat(QuoteKey(text), " is not -1000000..1000000"));
    }
    schedule.priority = static_cast<int32_t>(*size) * (negative ? -1 : 1);
  } else {
    const absl::StatusOr<absl::Duration> deadline = ParseDuration(text);
    RETURN_IF_ERROR(with_place(deadline.status()));
    if (*deadline < absl::Seconds(1) || *deadline > absl::Hours(24 * 30)) {
      return place.Bad(node, absl::StrCat(QuoteKey(text), " is not from 1s to 30d"));
    }
    schedule.deadline = *deadline;
  }
  return absl::OkStatus();
}

absl::StatusOr<WarmSchedule> ReadSchedule(const Place& place, const std::string& name,
                                          const YAML::Node& node) {
  Draft draft;
  draft.schedule.name = name;
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  for (const auto& [key, value] : items) {
    RETURN_IF_ERROR(ReadField(place.At(key), key, value, &draft));
  }
  if (draft.cron.empty()) return place.Bad(node, "cron is missing");
  if (draft.schedule.name_space.empty()) return place.Bad(node, "namespace is missing");
  if (draft.schedule.text.keys.empty()) return place.Bad(node, "keys is missing");
  const absl::StatusOr<absl::TimeZone> zone = ParseTimeZone(draft.zone);
  if (!zone.ok()) return place.At("time_zone").Bad(draft.zone_node, zone.status());
  absl::StatusOr<Cron> cron = Cron::Parse(draft.cron, *zone);
  if (!cron.ok()) return place.At("cron").Bad(draft.cron_node, cron.status());
  const absl::StatusOr<KeyList> keys =
      KeyList::Parse(draft.schedule.text.keys, draft.schedule.text.parts);
  if (!keys.ok()) return place.Bad(draft.keys_node, keys.status());
  draft.schedule.cron = *std::move(cron);
  draft.schedule.table = absl::StrCat(draft.cron, "|", draft.zone);
  draft.schedule.total_keys = keys->size();
  return draft.schedule;
}

absl::StatusOr<double> ReadRate(const Place& place, const YAML::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  const absl::StatusOr<double> rate = ParseNumber(text, 0.001, WarmSettings::kMaxRate);
  if (!rate.ok()) return place.Bad(node, rate.status());
  return rate;
}

absl::Status ReadOrigin(const Place& place, const std::string& name, const YAML::Node& node,
                        WarmBudgets* budgets) {
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  bool has_rate = false;
  for (const auto& [key, value] : items) {
    if (key == "keys_per_second") {
      ASSIGN_OR_RETURN(budgets->origins[name], ReadRate(place.At(key), value));
      has_rate = true;
    } else if (key == "namespaces") {
      ASSIGN_OR_RETURN(const std::vector<std::string> names, Texts(place.At(key), value));
      for (const std::string& name_space : names) {
        if (!IsName(name_space)) {
          return place.At(key).Bad(value,
                                   absl::StrCat(QuoteKey(name_space), " is not [a-z0-9_.-]{1,64}"));
        }
        if (!budgets->origin_of.emplace(name_space, name).second) {
          return place.At(key).Bad(value, absl::StrCat(name_space, " has another origin already"));
        }
      }
    } else {
      return place.At(key).Bad(value, "unknown; known are keys_per_second and namespaces");
    }
  }
  if (!has_rate) return place.Bad(node, "keys_per_second is missing");
  return absl::OkStatus();
}

}  // namespace

absl::Status WarmSettings::ReadSchedules(const std::string& file, const YAML::Node& node) {
  const Place place{file, "schedules"};
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  if (items.size() > kMaxSchedules) {
    return place.Bad(node, absl::StrCat("more than ", kMaxSchedules));
  }
  for (const auto& [name, value] : items) {
    if (!IsName(name)) {
      return place.Bad(value, absl::StrCat(QuoteKey(name), " is not [a-z0-9_.-]{1,64}"));
    }
    ASSIGN_OR_RETURN(WarmSchedule schedule, ReadSchedule(place.At(name), name, value));
    schedules.insert_or_assign(name, std::move(schedule));
  }
  return absl::OkStatus();
}

absl::Status WarmSettings::ReadBudgets(const std::string& file, const YAML::Node& node) {
  const Place place{file, "budgets"};
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  for (const auto& [key, value] : items) {
    const Place here = place.At(key);
    if (key != "namespaces" && key != "origins") {
      return here.Bad(value, "unknown; known are namespaces and origins");
    }
    ASSIGN_OR_RETURN(const auto entries, Items(here, value));
    for (const auto& [name, entry] : entries) {
      if (!IsName(name)) {
        return here.Bad(entry, absl::StrCat(QuoteKey(name), " is not [a-z0-9_.-]{1,64}"));
      }
      if (key == "namespaces") {
        ASSIGN_OR_RETURN(budgets.namespaces[name], ReadRate(here.At(name), entry));
      } else {
        RETURN_IF_ERROR(ReadOrigin(here.At(name), name, entry, &budgets));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status WarmSettings::ReadFile(const std::string& file, const std::string& text) {
  try {
    ASSIGN_OR_RETURN(const YAML::Node root, LoadYaml(file, text));
    if (root.IsNull()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const auto items, Items(Place{file, "warming"}, root));
    for (const auto& [key, node] : items) {
      if (key == "schedules") {
        RETURN_IF_ERROR(ReadSchedules(file, node));
      } else if (key == "budgets") {
        RETURN_IF_ERROR(ReadBudgets(file, node));
      } else {
        return Place{file, key}.Bad(node, "unknown; known are schedules and budgets");
      }
    }
    return absl::OkStatus();
  } catch (const YAML::Exception& error) {  // The library throws on wrong types; we do not.
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", error.mark.line + 1, ": ", error.msg));
  }
}

}  // namespace meridian
