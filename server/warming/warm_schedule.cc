#include "server/warming/warm_schedule.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace meridian {

DueRuns FindDueRuns(const WarmSchedule& schedule, absl::Time last, absl::Time now) {
  DueRuns due;
  due.seen = last;
  const size_t limit = schedule.missed == MissedRuns::kAll ? schedule.missed_limit : 1;
  // From `now` back, in stretches that grow until one holds enough: a coordinator that was away for
  // a year does not walk through the year. The first holds all that are not missed.
  absl::Duration stretch = 2 * kMissedAfter;
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
  const auto on_time = std::lower_bound(due.runs.begin(), due.runs.end(), now - kMissedAfter);
  size_t kept = static_cast<size_t>(due.runs.end() - on_time);
  if (schedule.missed != MissedRuns::kSkip) kept = std::max(kept, limit);
  if (kept < due.runs.size()) {
    due.runs.erase(due.runs.begin(), due.runs.end() - static_cast<ptrdiff_t>(kept));
  }
  for (absl::Time run = schedule.cron.Next(last);
       run <= due.seen && (due.runs.empty() || run < due.runs.front()) &&
       due.missed < kMostMissedCounted;
       run = schedule.cron.Next(run)) {
    ++due.missed;
  }
  return due;
}

std::string RunId(const WarmSchedule& schedule, absl::Time run) {
  return absl::StrCat(schedule.name, "-",
                      absl::FormatTime("%E4Y%m%dT%H%M%SZ", run, absl::UTCTimeZone()));
}

}  // namespace meridian
