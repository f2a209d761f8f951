#include "server/warming/warm_schedule.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace meridian {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'799'996'400);  // A whole hour.

WarmSchedule Schedule(const std::string& cron, MissedRuns missed, uint64_t limit = 100) {
  WarmSchedule schedule;
  schedule.name = "s";
  absl::StatusOr<Cron> table = Cron::Parse(cron, absl::UTCTimeZone());
  EXPECT_TRUE(table.ok()) << table.status();
  schedule.cron = *std::move(table);
  schedule.missed = missed;
  schedule.missed_limit = limit;
  return schedule;
}

std::vector<absl::Time> Hours(int first, int last) {
  std::vector<absl::Time> times;
  for (int i = first; i <= last; ++i) times.push_back(kStart + absl::Hours(i));
  return times;
}

TEST(WarmScheduleTest, OnTimeEveryPolicyRuns) {
  for (const MissedRuns missed : {MissedRuns::kSkip, MissedRuns::kOnce, MissedRuns::kAll}) {
    const WarmSchedule hourly = Schedule("@hourly", missed);
    EXPECT_TRUE(FindDueRuns(hourly, kStart, kStart + absl::Minutes(59)).runs.empty());
    const DueRuns due = FindDueRuns(hourly, kStart, kStart + absl::Hours(1) + absl::Seconds(30));
    EXPECT_EQ(due.runs, Hours(1, 1));
    EXPECT_EQ(due.seen, kStart + absl::Hours(1));
    EXPECT_FALSE(due.missed);
    EXPECT_TRUE(FindDueRuns(hourly, due.seen, kStart + absl::Minutes(119)).runs.empty());
  }
}

TEST(WarmScheduleTest, MissedRunsFollowThePolicy) {
  const absl::Time now = kStart + absl::Minutes(5 * 60 + 30);
  const DueRuns skipped = FindDueRuns(Schedule("@hourly", MissedRuns::kSkip), kStart, now);
  EXPECT_TRUE(skipped.runs.empty());
  EXPECT_TRUE(skipped.missed);
  EXPECT_EQ(skipped.missed, 5u);
  EXPECT_EQ(skipped.seen, kStart + absl::Hours(5)) << "they would run later all the same";
  const DueRuns once = FindDueRuns(Schedule("@hourly", MissedRuns::kOnce), kStart, now);
  EXPECT_EQ(once.runs, Hours(5, 5));
  EXPECT_EQ(once.missed, 4u);
  const DueRuns all = FindDueRuns(Schedule("@hourly", MissedRuns::kAll), kStart, now);
  EXPECT_EQ(all.runs, Hours(1, 5));
  EXPECT_FALSE(all.missed);
  const DueRuns bounded = FindDueRuns(Schedule("@hourly", MissedRuns::kAll, 2), kStart, now);
  EXPECT_EQ(bounded.runs, Hours(4, 5));
  EXPECT_EQ(bounded.missed, 3u);
}

TEST(WarmScheduleTest, ALeaderThatIsAFewSecondsLateHasMissedNothing) {
  const WarmSchedule fast = Schedule("@every 1s", MissedRuns::kAll);
  const DueRuns due = FindDueRuns(fast, kStart, kStart + absl::Milliseconds(7300));
  EXPECT_EQ(due.runs.size(), 7u);
  EXPECT_EQ(due.runs.front(), kStart + absl::Seconds(1));
  EXPECT_FALSE(due.missed);
}

TEST(WarmScheduleTest, RunsOfTheLastMinuteAreNotMissedWhateverThePolicy) {
  for (const MissedRuns missed : {MissedRuns::kSkip, MissedRuns::kOnce, MissedRuns::kAll}) {
    const WarmSchedule fast = Schedule("@every 1s", missed, 2);
    const DueRuns takeover = FindDueRuns(fast, kStart, kStart + absl::Milliseconds(5300));
    EXPECT_EQ(takeover.runs.size(), 5u);
    EXPECT_EQ(takeover.runs.front(), kStart + absl::Seconds(1));
    EXPECT_EQ(takeover.missed, 0u);
    const DueRuns longer = FindDueRuns(fast, kStart, kStart + absl::Milliseconds(65'500));
    EXPECT_EQ(longer.runs.size(), 60u);
    EXPECT_EQ(longer.missed, 5u);
    const DueRuns day = FindDueRuns(fast, kStart, kStart + absl::Hours(24));
    EXPECT_EQ(day.missed, kMostMissedCounted);
  }
}

TEST(WarmScheduleTest, YearsOfAbsenceCostNoMoreThanTheLimit) {
  const absl::Time now = kStart + absl::Hours(24 * 365 * 5);
  const DueRuns due = FindDueRuns(Schedule("@every 1s", MissedRuns::kAll, 1000), kStart, now);
  EXPECT_EQ(due.runs.size(), 1000u);
  EXPECT_EQ(due.runs.back(), now);
  EXPECT_EQ(due.runs.front(), now - absl::Seconds(999));
  const DueRuns leap = FindDueRuns(Schedule("0 0 29 2 *", MissedRuns::kOnce), kStart, now);
  ASSERT_EQ(leap.runs.size(), 1u) << "a rare one is found all the same";
}

TEST(WarmScheduleTest, AClockThatWentBackRepeatsNothing) {
  const DueRuns due = FindDueRuns(Schedule("@hourly", MissedRuns::kAll), kStart + absl::Hours(3),
                                  kStart + absl::Hours(1));
  EXPECT_TRUE(due.runs.empty());
  EXPECT_EQ(due.seen, kStart + absl::Hours(3));
}

TEST(WarmScheduleTest, ARunHasItsTimeInItsName) {
  WarmSchedule schedule = Schedule("@hourly", MissedRuns::kOnce);
  schedule.name = "nightly";
  EXPECT_EQ(RunId(schedule, absl::FromUnixSeconds(0)), "nightly-19700101T000000Z");
}

}  // namespace
}  // namespace meridian
