// Cron is a time table: "0 2 * * *" in a time zone, a name such as @hourly, or "@every 30m".
//
// Fields: minute 0-59, hour 0-23, day of month 1-31, month 1-12 or JAN-DEC, day of week 0-7 or
//   SUN-SAT (0 and 7 are Sunday). A field is *, a value, a range a-b, each with /step, or a list of
//   these. When day of month and day of week are both restricted, either may match, as in Vixie's
//   cron; a field is restricted when it lacks a value. A table that never comes (30 February) is
//   refused. @every runs at whole multiples since 1970-01-01 UTC, from 1 s to 365 d: every process
//   computes the same times.
// Where the clock is changed (DST):
//   - a table for every hour follows elapsed time: it runs in both passes of a repeated hour, and
//     a skipped hour has no run;
//   - any other table follows the wall clock: a repeated time runs at its first pass only; times
//     that are skipped run once, at the first instant after the gap.
// Cost: a few hundred bytes; Next is some microseconds. Thread safety: a value; const methods may
//   run concurrently.

#ifndef MERIDIAN_SERVER_WARMING_CRON_H_
#define MERIDIAN_SERVER_WARMING_CRON_H_

#include <array>
#include <bitset>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace meridian {

class Cron {
 public:
  // A table without runs.
  Cron() = default;
  // kInvalidArgument names the field ("hour"), the text and the rule.
  static absl::StatusOr<Cron> Parse(std::string_view text, absl::TimeZone zone);

  // The first run after `after`.
  absl::Time Next(absl::Time after) const;

 private:
  static constexpr size_t kFields = 5;
  enum Field { kMinute, kHour, kDay, kMonth, kWeekday };

  // The first matching time that is not before `from`. Each table has one within 8 years, or 40
  // around a century that is no leap year.
  std::optional<absl::CivilSecond> NextCivil(absl::CivilSecond from) const;
  bool MatchesDay(absl::CivilDay day) const;
  bool every_hour() const { return fields_[kHour].count() == 24; }

  absl::TimeZone zone_;
  absl::Duration every_ = absl::ZeroDuration();  // 0: the fields count.
  std::array<std::bitset<64>, kFields> fields_;
  bool any_day_ = false;  // Day of month, and day of week, lack no value.
  bool any_weekday_ = false;
};

// The IANA zone of this name ("Europe/Berlin", "UTC"). kInvalidArgument when this machine has none.
absl::StatusOr<absl::TimeZone> ParseTimeZone(std::string_view name);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_CRON_H_
