#include "server/warming/cron.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

constexpr size_t kLongestText = 512;
constexpr int kYearsAhead = 41;  // 29 February on a Sunday, with 2100 in between.

struct FieldRule {
  const char* name;
  int low;
  int high;
  int names_from;  // The value of the first of `names`.
  std::vector<std::string> names;
};

const std::array<FieldRule, 5>& Rules() {
  static const auto* const rules = new std::array<FieldRule, 5>{{
      {"minute", 0, 59, 0, {}},
      {"hour", 0, 23, 0, {}},
      {"day of month", 1, 31, 0, {}},
      {"month",
       1,
       12,
       1,
       {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
      {"day of week", 0, 7, 0, {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
  }};
  return *rules;
}

struct Alias {
  const char* name;
  const char* text;
};
constexpr Alias kAliases[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

absl::Status Bad(const FieldRule& rule, absl::string_view text, const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat(rule.name, ": ", QuoteKey(std::string(text)), " ", why));
}

absl::StatusOr<int> ParseValue(const FieldRule& rule, absl::string_view text) {
  for (size_t i = 0; i < rule.names.size(); ++i) {
    if (absl::EqualsIgnoreCase(text, rule.names[i])) return rule.names_from + static_cast<int>(i);
  }
  int value = 0;
  const bool digits = !text.empty() && text.size() <= 4 &&
                      std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
  if (!digits || !absl::SimpleAtoi(text, &value) || value < rule.low || value > rule.high) {
    std::string names;
    if (!rule.names.empty()) names = absl::StrCat(" or ", rule.names[0], "..", rule.names.back());
    return Bad(rule, text, absl::StrCat("is not ", rule.low, "..", rule.high, names));
  }
  return value;
}

// One member of a list: *, a, a-b, with /step.
absl::Status ParsePart(const FieldRule& rule, absl::string_view part, std::bitset<64>* set) {
  const std::vector<absl::string_view> halves = absl::StrSplit(part, '/');
  int step = 1;
  if (halves.size() > 2) return Bad(rule, part, "has more than one /");
  if (halves.size() == 2) {
    const bool digits = !halves[1].empty() && halves[1].size() <= 4 &&
                        std::all_of(halves[1].begin(), halves[1].end(), absl::ascii_isdigit);
    if (!digits || !absl::SimpleAtoi(halves[1], &step) || step < 1 || step > rule.high) {
      return Bad(rule, part, absl::StrCat("has a step that is not 1..", rule.high));
    }
  }
  int low = rule.low;
  int high = rule.high == 7 ? 6 : rule.high;
  if (halves[0] != "*") {
    const std::vector<absl::string_view> ends = absl::StrSplit(halves[0], '-');
    if (ends.size() > 2) return Bad(rule, part, "has more than one -");
    ASSIGN_OR_RETURN(low, ParseValue(rule, ends[0]));
    high = low;
    if (ends.size() == 2) {
      ASSIGN_OR_RETURN(high, ParseValue(rule, ends[1]));
      if (high < low) return Bad(rule, part, "runs backwards");
    } else if (halves.size() == 2) {
      return Bad(rule, part,
                 absl::StrCat("has a step but no range; write ", low, "-", rule.high, "/", step));
    }
  }
  for (int value = low; value <= high; value += step) {
    set->set(rule.high == 7 && value == 7 ? 0 : static_cast<size_t>(value));
  }
  return absl::OkStatus();
}

size_t ValuesOf(const FieldRule& rule) {
  return static_cast<size_t>(rule.high == 7 ? 7 : rule.high - rule.low + 1);
}

// Seconds between two civil times.
absl::Duration Difference(absl::CivilSecond a, absl::CivilSecond b) { return absl::Seconds(a - b); }

}  // namespace

absl::StatusOr<Cron> Cron::Parse(std::string_view text, absl::TimeZone zone) {
  if (text.size() > kLongestText) {
    return absl::InvalidArgumentError(absl::StrCat("is longer than ", kLongestText, " characters"));
  }
  absl::string_view rest = absl::StripAsciiWhitespace(ToAbsl(text));
  Cron cron;
  cron.zone_ = zone;
  if (absl::StartsWith(rest, "@every ")) {
    const std::string duration(absl::StripAsciiWhitespace(rest.substr(7)));
    ASSIGN_OR_RETURN(cron.every_, ParseDuration(duration));
    if (cron.every_ < absl::Seconds(1) || cron.every_ > absl::Hours(24 * 365) ||
        cron.every_ % absl::Seconds(1) != absl::ZeroDuration()) {
      return absl::InvalidArgumentError(
          absl::StrCat("@every: ", QuoteKey(duration), " is not whole seconds from 1s to 365d"));
    }
    return cron;
  }
  if (absl::StartsWith(rest, "@")) {
    const auto* const alias = std::find_if(std::begin(kAliases), std::end(kAliases),
                                           [&](const Alias& known) { return rest == known.name; });
    if (alias == std::end(kAliases)) {
      return absl::InvalidArgumentError(
          absl::StrCat(QuoteKey(std::string(rest)),
                       " is not @yearly, @monthly, @weekly, @daily, @hourly or @every DURATION"));
    }
    rest = alias->text;
  }
  const std::vector<absl::string_view> fields =
      absl::StrSplit(rest, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != kFields) {
    return absl::InvalidArgumentError(
        absl::StrCat(QuoteKey(std::string(rest)), " has ", fields.size(),
                     " fields, not 5: minute, hour, day of month, month, day of week"));
  }
  for (size_t i = 0; i < kFields; ++i) {
    for (const absl::string_view part : absl::StrSplit(fields[i], ',')) {
      RETURN_IF_ERROR(ParsePart(Rules()[i], part, &cron.fields_[i]));
    }
  }
  cron.any_day_ = cron.fields_[kDay].count() == ValuesOf(Rules()[kDay]);
  cron.any_weekday_ = cron.fields_[kWeekday].count() == ValuesOf(Rules()[kWeekday]);
  if (!cron.NextCivil(absl::CivilSecond(2024, 1, 1)).has_value()) {
    return Bad(Rules()[kDay], fields[kDay],
               absl::StrCat("never comes in month ", QuoteKey(std::string(fields[kMonth]))));
  }
  return cron;
}

bool Cron::MatchesDay(absl::CivilDay day) const {
  if (!fields_[kMonth][static_cast<size_t>(day.month())]) return false;
  // absl counts from Monday = 0, cron from Sunday = 0.
  const auto weekday = (static_cast<size_t>(absl::GetWeekday(day)) + 1) % 7;
  const bool by_day = fields_[kDay][static_cast<size_t>(day.day())];
  const bool by_weekday = fields_[kWeekday][weekday];
  if (any_day_) return by_weekday;
  if (any_weekday_) return by_day;
  return by_day || by_weekday;
}

std::optional<absl::CivilSecond> Cron::NextCivil(absl::CivilSecond from) const {
  absl::CivilMinute minute(from);
  if (absl::CivilSecond(minute) < from) ++minute;
  const absl::CivilDay last_day(from.year() + kYearsAhead, 1, 1);
  absl::CivilDay day(minute);
  while (day < last_day) {
    if (!fields_[kMonth][static_cast<size_t>(day.month())]) {
      day = absl::CivilDay(absl::CivilMonth(day) + 1);
      continue;
    }
    if (MatchesDay(day)) {
      const bool today = day == absl::CivilDay(minute);
      for (int hour = today ? minute.hour() : 0; hour < 24; ++hour) {
        if (!fields_[kHour][static_cast<size_t>(hour)]) continue;
        for (int m = today && hour == minute.hour() ? minute.minute() : 0; m < 60; ++m) {
          if (!fields_[kMinute][static_cast<size_t>(m)]) continue;
          return absl::CivilSecond(day.year(), day.month(), day.day(), hour, m, 0);
        }
      }
    }
    ++day;
  }
  return std::nullopt;
}

absl::Time Cron::Next(absl::Time after) const {
  if (every_ > absl::ZeroDuration()) {
    const absl::Time epoch = absl::UnixEpoch();
    return epoch + (absl::Floor(after - epoch, every_) + every_);
  }
  // Between two changes of the clock the offset is constant, so instants and local times have the
  // same order: one stretch after the other.
  absl::Time from = absl::FromUnixSeconds(absl::ToUnixSeconds(after));
  absl::CivilSecond local = absl::ToCivilSecond(from, zone_) + 1;
  while (true) {
    const absl::Duration offset = absl::Seconds(zone_.At(from).offset);
    absl::TimeZone::CivilTransition change;
    absl::Time end = absl::InfiniteFuture();
    if (zone_.NextTransition(from, &change)) end = zone_.At(change.to).trans;
    std::optional<absl::CivilSecond> next = NextCivil(local);
    while (next.has_value()) {
      const absl::Time at =
          absl::UnixEpoch() + Difference(*next, absl::CivilSecond(1970, 1, 1)) - offset;
      if (at >= end) break;
      const absl::TimeZone::TimeInfo info = zone_.At(*next);
      const bool second_pass = info.kind == absl::TimeZone::TimeInfo::REPEATED && at == info.post;
      if (every_hour() || !second_pass) return at;
      next = NextCivil(*next + 1);
    }
    if (end == absl::InfiniteFuture()) return end;  // Not reached: Parse saw a run.
    // `change.from` is what the clock would have shown at `end`, `change.to` what it shows.
    if (!every_hour() && change.to > change.from) {
      const std::optional<absl::CivilSecond> skipped = NextCivil(change.from);
      if (skipped.has_value() && *skipped < change.to) return end;
    }
    from = end;
    local = absl::ToCivilSecond(end, zone_);
  }
}

absl::StatusOr<absl::TimeZone> ParseTimeZone(std::string_view name) {
  absl::TimeZone zone;
  // Names only, never paths: absl would read "/etc/..." and "../..".
  const bool plain = !name.empty() && name.size() <= 64 && name.front() != '/' &&
                     name.find("..") == std::string_view::npos && name.front() != ':';
  if (!plain || !absl::LoadTimeZone(ToAbsl(name), &zone)) {
    return absl::InvalidArgumentError(
        absl::StrCat(QuoteKey(name),
                     " is not a time zone of this machine, such as UTC or "
                     "Europe/Berlin"));
  }
  return zone;
}

}  // namespace meridian
