#include "server/warming/warm_settings.h"

#include <yaml-cpp/yaml.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/hash.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"
#include "server/policy/yaml_document.h"
#include "server/warming/settings_reader.h"

namespace meridian {
namespace {

using warm_yaml::Items;
using warm_yaml::Place;
using warm_yaml::ReadParts;
using warm_yaml::Scalar;
using warm_yaml::Texts;

absl::StatusOr<MissedRuns> ReadMissed(const Place& place, const YAML::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  if (text == "skip") return MissedRuns::kSkip;
  if (text == "once") return MissedRuns::kOnce;
  if (text == "all") return MissedRuns::kAll;
  return place.Bad(node, absl::StrCat(QuoteKey(text), " is not one of skip, once, all"));
}

absl::StatusOr<HotKeyWindow> ReadWindow(const Place& place, const YAML::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  if (text == "now") return HotKeyWindow::kNow;
  if (text == "next_hour") return HotKeyWindow::kNextHour;
  if (text == "day") return HotKeyWindow::kDay;
  if (text == "two_days") return HotKeyWindow::kTwoDays;
  return place.Bad(node,
                   absl::StrCat(QuoteKey(text), " is not one of now, next_hour, day, two_days"));
}

// True: fixed.
absl::StatusOr<bool> ReadBudget(const Place& place, const YAML::Node& node) {
  ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
  if (text != "earned" && text != "fixed") {
    return place.Bad(node, absl::StrCat(QuoteKey(text), " is not one of earned, fixed"));
  }
  return text == "fixed";
}

// One key a line, as it is.
absl::Status ReadKeyFile(const Place& place, const YAML::Node& node, WarmText* text) {
  ASSIGN_OR_RETURN(const std::string path, Scalar(place, node));
  const absl::StatusOr<std::string> lines = ReadSmallFile(path);
  if (!lines.ok()) return place.Bad(node, lines.status());
  text->is_literal = true;
  for (const absl::string_view line : absl::StrSplit(*lines, '\n')) {
    const absl::string_view key = absl::StripSuffix(line, "\r");
    if (!key.empty()) text->keys.emplace_back(key);
  }
  if (text->keys.empty()) return place.Bad(node, absl::StrCat(QuoteKey(path), " has no keys"));
  if (text->bytes() > kMaxWarmTextBytes) {
    return place.Bad(
        node, absl::StrCat(QuoteKey(path), " has more than ", kMaxWarmTextBytes, " bytes of keys"));
  }
  return absl::OkStatus();
}

// What a schedule says, before its fields are judged together.
struct Draft {
  WarmSchedule schedule;
  std::string cron;
  std::string zone = "UTC";
  YAML::Node cron_node;
  YAML::Node zone_node;
  YAML::Node keys_node;
  bool has_keys = false;
  bool has_window = false;
  std::optional<bool> refresh;
};

absl::Status ReadField(const Place& place, const std::string& key, const YAML::Node& node,
                       Draft* draft) {
  WarmSchedule& schedule = draft->schedule;
  if (key == "keys" || key == "file") {
    if (draft->has_keys) return place.Bad(node, "has both keys and file");
    draft->has_keys = true;
    draft->keys_node = node;
    if (key == "file") return ReadKeyFile(place, node, &schedule.text);
    ASSIGN_OR_RETURN(schedule.text.keys, Texts(place, node));
  } else if (key == "parts") {
    return ReadParts(place, node, &schedule.text.parts);
  } else if (key == "missed") {
    ASSIGN_OR_RETURN(schedule.missed, ReadMissed(place, node));
  } else if (key == "cron") {
    ASSIGN_OR_RETURN(draft->cron, Scalar(place, node));
    draft->cron_node = node;
  } else if (key == "time_zone") {
    ASSIGN_OR_RETURN(draft->zone, Scalar(place, node));
    draft->zone_node = node;
  } else if (key == "top") {
    ASSIGN_OR_RETURN(schedule.top, warm_yaml::ReadCount(place, node, 1, WarmSettings::kMaxTop));
  } else if (key == "window") {
    ASSIGN_OR_RETURN(schedule.window, ReadWindow(place, node));
    draft->has_window = true;
  } else if (key == "refresh") {
    ASSIGN_OR_RETURN(const std::string text, Scalar(place, node));
    const absl::StatusOr<bool> refresh = ParseBool(text);
    if (!refresh.ok()) return place.Bad(node, refresh.status());
    draft->refresh = *refresh;
  } else if (key == "budget") {
    ASSIGN_OR_RETURN(schedule.has_fixed_budget, ReadBudget(place, node));
  } else if (key == "namespace") {
    ASSIGN_OR_RETURN(schedule.name_space, warm_yaml::ReadNamespace(place, node));
  } else if (key == "missed_limit") {
    ASSIGN_OR_RETURN(schedule.missed_limit, warm_yaml::ReadCount(place, node, 1, 1000));
  } else if (key == "priority") {
    ASSIGN_OR_RETURN(schedule.priority, warm_yaml::ReadPriority(place, node));
  } else if (key == "deadline") {
    ASSIGN_OR_RETURN(schedule.deadline,
                     warm_yaml::ReadDuration(place, node, absl::Seconds(1), absl::Hours(24 * 30)));
  } else {
    return warm_yaml::Unknown(
        place, node, key,
        {"cron", "time_zone", "missed_limit", "namespace", "priority", "deadline", "keys", "file",
         "parts", "missed", "top", "window", "refresh", "budget"});
  }
  return absl::OkStatus();
}

// Keys that are written, or a number of hot ones.
absl::Status CheckKeys(const Place& place, const YAML::Node& node, Draft* draft) {
  WarmSchedule& schedule = draft->schedule;
  const bool has_keys = !schedule.text.keys.empty();
  if (!has_keys && schedule.top == 0) return place.Bad(node, "keys is missing, or top, or file");
  if (has_keys && schedule.top > 0) return place.Bad(node, "has both keys and top");
  if ((!has_keys || schedule.text.is_literal) && !schedule.text.parts.empty()) {
    return place.Bad(node, "has parts without keys");
  }
  if (draft->has_window && schedule.top == 0) return place.Bad(node, "has window without top");
  // What is hot now is in memory: only loading it anew lets it stay.
  schedule.refresh =
      draft->refresh.value_or(schedule.top > 0 && schedule.window == HotKeyWindow::kNow);
  schedule.keys_hash =
      HexHash128(absl::StrCat(schedule.name_space, "\n", schedule.refresh, "\n", schedule.top, "\n",
                              static_cast<int>(schedule.window), "\n", schedule.text.ToJsonText()));
  if (!has_keys) return absl::OkStatus();
  const absl::StatusOr<KeyList> keys = schedule.text.ToKeyList();
  if (!keys.ok()) return place.Bad(draft->keys_node, keys.status());
  schedule.total_keys = keys->size();
  return absl::OkStatus();
}

absl::Status ReadFields(const Place& place, const YAML::Node& node, Draft* draft) {
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  for (const auto& [key, value] : items) {
    RETURN_IF_ERROR(ReadField(place.At(key), key, value, draft));
  }
  if (draft->schedule.name_space.empty()) return place.Bad(node, "namespace is missing");
  return absl::OkStatus();
}

absl::StatusOr<WarmSchedule> ReadSchedule(const Place& place, const std::string& name,
                                          const YAML::Node& node) {
  Draft draft;
  draft.schedule.name = name;
  RETURN_IF_ERROR(ReadFields(place, node, &draft));
  if (draft.cron.empty()) return place.Bad(node, "cron is missing");
  RETURN_IF_ERROR(CheckKeys(place, node, &draft));
  const absl::StatusOr<absl::TimeZone> zone = ParseTimeZone(draft.zone);
  if (!zone.ok()) return place.At("time_zone").Bad(draft.zone_node, zone.status());
  absl::StatusOr<Cron> cron = Cron::Parse(draft.cron, *zone);
  if (!cron.ok()) return place.At("cron").Bad(draft.cron_node, cron.status());
  draft.schedule.cron = *std::move(cron);
  draft.schedule.table = absl::StrCat(draft.cron, "|", draft.zone);
  return draft.schedule;
}

// What a cold cluster is given: fields of a schedule without those of time.
absl::StatusOr<WarmSchedule> ReadStart(const Place& place, const std::string& name,
                                       const YAML::Node& node) {
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  for (const auto& [key, value] : items) {
    for (const char* const of_time : {"cron", "time_zone", "missed", "missed_limit"}) {
      if (key == of_time) return place.At(key).Bad(value, "is for schedules: this runs at a start");
    }
  }
  Draft draft;
  draft.schedule.name = name;
  draft.schedule.window = HotKeyWindow::kDay;  // Nothing is hot now.
  RETURN_IF_ERROR(ReadFields(place, node, &draft));
  RETURN_IF_ERROR(CheckKeys(place, node, &draft));
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
        RETURN_IF_ERROR(warm_yaml::CheckName(place.At(key), value, name_space));
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

namespace {

// A section of named entries, each read by `read`.
template <typename Entry, typename Read>
absl::Status ReadSection(const Place& place, const YAML::Node& node, Read read,
                         std::map<std::string, Entry>* entries) {
  ASSIGN_OR_RETURN(const auto items, Items(place, node));
  if (items.size() > WarmSettings::kMaxSchedules) {
    return place.Bad(node, absl::StrCat("more than ", WarmSettings::kMaxSchedules));
  }
  for (const auto& [name, value] : items) {
    RETURN_IF_ERROR(warm_yaml::CheckName(place, value, name));
    ASSIGN_OR_RETURN(Entry entry, read(place.At(name), name, value));
    entries->insert_or_assign(name, std::move(entry));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WarmSettings::ReadSchedules(const std::string& file, const YAML::Node& node) {
  return ReadSection(Place{file, "schedules"}, node, ReadSchedule, &schedules);
}

absl::Status WarmSettings::ReadStartup(const std::string& file, const YAML::Node& node) {
  return ReadSection(Place{file, "startup"}, node, ReadStart, &startup);
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
      RETURN_IF_ERROR(warm_yaml::CheckName(here, entry, name));
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
      } else if (key == "startup") {
        RETURN_IF_ERROR(ReadStartup(file, node));
      } else if (key == "rules") {
        RETURN_IF_ERROR(ReadRules(file, node));
      } else {
        return Place{file, key}.Bad(node,
                                    "unknown; known are schedules, startup, rules and budgets");
      }
    }
    return absl::OkStatus();
  } catch (const YAML::Exception& error) {  // The library throws on wrong types; we do not.
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", error.mark.line + 1, ": ", error.msg));
  }
}

}  // namespace meridian
