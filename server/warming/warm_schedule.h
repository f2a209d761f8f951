// WarmSchedule is a job that is queued again and again, by a time table.
//
// A run is missed when nobody could queue it within a minute of its time: all coordinators were
// away, or none led. `missed` says what happens then: skip it; run the newest missed one, once,
// unless one that is not missed runs now; or run all, at most the newest `missed_limit`. With `all`
// every run is a job of its own; otherwise a run finds the job of an earlier run that has not
// begun, and joins it.
// Thread safety: values; pure functions.

#ifndef MERIDIAN_SERVER_WARMING_WARM_SCHEDULE_H_
#define MERIDIAN_SERVER_WARMING_WARM_SCHEDULE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/warming/cron.h"
#include "server/warming/hot_key_source.h"
#include "server/warming/warm_job.h"

namespace meridian {

enum class MissedRuns : uint8_t { kSkip, kOnce, kAll };

inline constexpr absl::Duration kMissedAfter = absl::Minutes(1);

struct WarmSchedule {
  std::string name;
  std::string table;  // Cron and zone as text: when it changes, the runs begin anew.
  Cron cron;
  MissedRuns missed = MissedRuns::kOnce;
  uint64_t missed_limit = 100;  // Of kAll.
  std::string name_space;
  WarmText text;
  std::string keys_hash;    // Of what it warms: runs of before a change of it are not joined.
  uint64_t total_keys = 0;  // Of `text`.
  size_t top = 0;           // Other than 0: not `text`, but so many hot keys of the namespace.
  HotKeyWindow window = HotKeyWindow::kNow;  // In which they are hot.
  bool refresh = false;                      // Load them anew, whoever has them.
  bool has_fixed_budget = false;             // See WarmJob.
  int32_t priority = 0;
  absl::Duration deadline = absl::Hours(1);  // Of each job, from when it is queued.
};

struct DueRuns {
  std::vector<absl::Time> runs;  // To be queued now, ascending.
  absl::Time seen;               // Runs up to here need never be looked at again.
  uint64_t missed = 0;           // Others that were left out, as the policy says.
};

inline constexpr uint64_t kMostMissedCounted = 1000;

// The runs after `last` up to `now`. Cost: bounded by missed_limit and kMostMissedCounted, however
// long ago `last` is.
DueRuns FindDueRuns(const WarmSchedule& schedule, absl::Time last, absl::Time now);

// "nightly-20261121T020000Z".
std::string RunId(const WarmSchedule& schedule, absl::Time run);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_SCHEDULE_H_
