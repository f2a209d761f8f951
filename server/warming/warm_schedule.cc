#include "server/warming/warm_schedule.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace meridian {

DueRuns FindDueRuns(const WarmSchedule& schedule, absl::Time last, absl::Time now) {
  DueRuns due;
  due.seen = last;
  const size_t limit = schedule.missed == MissedRuns::kAll ? schedule.missed_limit : 1;
  // From `now` back, in stretches that grow until one holds enough: a coordinator that was away for
  // a year does not walk through the year.
  absl::Duration stretch = absl::Minutes(1);
  absl::Time begin;
  do {
    begin = std::max(last, now - stretch);
    due.runs.clear();
    for (absl::Time run = schedule.cron.Next(begin); run <= now; run = schedule.cron.Next(run)) {
      due.runs.push_back(run);
    }
    stretch *= 4;
  } while (begin > last && due.runs.size() < limit);
  if (due.runs.empty()) return due;
  due.seen = due.runs.back();
  due.missed = due.runs.size() > limit || schedule.cron.Next(last) <= begin;
  if (due.runs.size() > limit) {
    due.runs.erase(due.runs.begin(), due.runs.end() - static_cast<ptrdiff_t>(limit));
  }
  if (schedule.missed == MissedRuns::kSkip && now - due.runs.back() > kMissedAfter) {
    due.runs.clear();
    due.missed = true;
  }
  return due;
}

std::string RunId(const WarmSchedule& schedule, absl::Time run) {
  return absl::StrCat(schedule.name, "-",
                      absl::FormatTime("%E4Y%m%dT%H%M%SZ", run, absl::UTCTimeZone()));
}

}  // namespace meridian
