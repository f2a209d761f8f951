#include "server/warming/cron.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

absl::TimeZone Zone(const std::string& name) {
  const absl::StatusOr<absl::TimeZone> zone = ParseTimeZone(name);
  EXPECT_TRUE(zone.ok()) << zone.status();
  return zone.value_or(absl::UTCTimeZone());
}

Cron Table(const std::string& text, const std::string& zone = "UTC") {
  absl::StatusOr<Cron> cron = Cron::Parse(text, Zone(zone));
  EXPECT_TRUE(cron.ok()) << cron.status();
  return cron.value_or(Cron());
}

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M:%S%Ez", text, &time, &error)) << error;
  return time;
}

// The next `count` runs as local times with their offset.
std::vector<std::string> Runs(const std::string& text, const std::string& zone,
                              const std::string& after, int count) {
  const Cron cron = Table(text, zone);
  std::vector<std::string> runs;
  absl::Time at = At(after);
  for (int i = 0; i < count; ++i) {
    at = cron.Next(at);
    runs.push_back(absl::FormatTime("%m-%d %H:%M %Ez", at, Zone(zone)));
  }
  return runs;
}

std::string ErrorOf(const std::string& text) {
  const absl::StatusOr<Cron> cron = Cron::Parse(text, absl::UTCTimeZone());
  EXPECT_EQ(cron.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(cron.status().message());
}

TEST(CronTest, ReadsValuesRangesStepsListsAndNames) {
  EXPECT_EQ(
      Runs("*/20 1-2,5 * * *", "UTC", "2026-11-21 00:00:00+00:00", 7),
      (std::vector<std::string>{"11-21 01:00 +00:00", "11-21 01:20 +00:00", "11-21 01:40 +00:00",
                                "11-21 02:00 +00:00", "11-21 02:20 +00:00", "11-21 02:40 +00:00",
                                "11-21 05:00 +00:00"}));
  EXPECT_EQ(
      Runs("0 0 * dec Mon-Wed/2", "UTC", "2026-11-21 00:00:00+00:00", 3),
      (std::vector<std::string>{"12-02 00:00 +00:00", "12-07 00:00 +00:00", "12-09 00:00 +00:00"}));
  EXPECT_EQ(Runs("0 0 * * 7", "UTC", "2026-11-21 00:00:00+00:00", 1),
            Runs("0 0 * * SUN", "UTC", "2026-11-21 00:00:00+00:00", 1));
}

TEST(CronTest, EitherDayMatchesWhenBothAreRestricted) {
  EXPECT_EQ(
      Runs("0 0 13 * FRI", "UTC", "2026-11-01 00:00:00+00:00", 3),
      (std::vector<std::string>{"11-06 00:00 +00:00", "11-13 00:00 +00:00", "11-20 00:00 +00:00"}));
  EXPECT_EQ(Runs("0 0 13 * *", "UTC", "2026-11-01 00:00:00+00:00", 1)[0], "11-13 00:00 +00:00");
}

TEST(CronTest, ARunIsAfterTheTimeThatIsGiven) {
  const Cron hourly = Table("@hourly");
  const absl::Time two = At("2026-11-21 02:00:00+00:00");
  EXPECT_EQ(hourly.Next(two), two + absl::Hours(1));
  EXPECT_EQ(hourly.Next(two - absl::Nanoseconds(1)), two);
  EXPECT_EQ(hourly.Next(two - absl::Seconds(1)), two);
}

// 2-08: daily 02:00, hourly :00, every 15 minutes; 0-11: every 30 minutes.
TEST(CronTest, TheSchedulesOfTheRequirements) {
  const std::string from = "2026-11-21 01:59:59+00:00";
  EXPECT_EQ(Runs("0 2 * * *", "UTC", from, 2),
            (std::vector<std::string>{"11-21 02:00 +00:00", "11-22 02:00 +00:00"}));
  EXPECT_EQ(Runs("@hourly", "UTC", from, 2),
            (std::vector<std::string>{"11-21 02:00 +00:00", "11-21 03:00 +00:00"}));
  EXPECT_EQ(Runs("*/15 * * * *", "UTC", from, 2),
            (std::vector<std::string>{"11-21 02:00 +00:00", "11-21 02:15 +00:00"}));
  EXPECT_EQ(Runs("@every 30m", "UTC", from, 2),
            (std::vector<std::string>{"11-21 02:00 +00:00", "11-21 02:30 +00:00"}));
}

TEST(CronTest, LeapDays) {
  const Cron leap = Table("0 12 29 2 *");
  EXPECT_EQ(leap.Next(At("2026-03-01 00:00:00+00:00")), At("2028-02-29 12:00:00+00:00"));
  EXPECT_EQ(leap.Next(At("2096-03-01 00:00:00+00:00")), At("2104-02-29 12:00:00+00:00"));
  EXPECT_EQ(Table("59 23 31 12 *").Next(At("2028-01-01 00:00:00+00:00")),
            At("2028-12-31 23:59:00+00:00"));
}

TEST(CronTest, ATimeThatIsSkippedRunsOnceAfterTheGap) {
  // New York, 2027-03-14: 02:00 EST is 03:00 EDT.
  EXPECT_EQ(Runs("30 2 * * *", "America/New_York", "2027-03-13 12:00:00+00:00", 2),
            (std::vector<std::string>{"03-14 03:00 -04:00", "03-15 02:30 -04:00"}));
  // Many skipped times are one run, and one with the time after the gap.
  EXPECT_EQ(Runs("*/10 2,3 * * *", "America/New_York", "2027-03-14 06:59:00+00:00", 2),
            (std::vector<std::string>{"03-14 03:00 -04:00", "03-14 03:10 -04:00"}));
  // Asked a second before the gap.
  EXPECT_EQ(Runs("30 2 * * *", "America/New_York", "2027-03-14 06:59:59+00:00", 1)[0],
            "03-14 03:00 -04:00");
}

TEST(CronTest, ATimeThatComesTwiceRunsAtItsFirstPass) {
  // Berlin, 2027-10-31: 03:00 CEST is 02:00 CET.
  EXPECT_EQ(Runs("30 2 * * *", "Europe/Berlin", "2027-10-30 12:00:00+00:00", 2),
            (std::vector<std::string>{"10-31 02:30 +02:00", "11-01 02:30 +01:00"}));
  // From within the second pass on.
  EXPECT_EQ(Runs("30 2 * * *", "Europe/Berlin", "2027-10-31 01:10:00+00:00", 1)[0],
            "11-01 02:30 +01:00");
}

TEST(CronTest, ATableForEveryHourFollowsElapsedTime) {
  EXPECT_EQ(
      Runs("30 * * * *", "Europe/Berlin", "2027-10-31 00:00:00+00:00", 3),
      (std::vector<std::string>{"10-31 02:30 +02:00", "10-31 02:30 +01:00", "10-31 03:30 +01:00"}));
  EXPECT_EQ(Runs("30 * * * *", "Europe/Berlin", "2027-03-28 00:00:00+00:00", 2),
            (std::vector<std::string>{"03-28 01:30 +01:00", "03-28 03:30 +02:00"}));
}

// A table, and by which hours and minutes it should run.
struct Yearly {
  const char* text;
  bool every_hour;
  std::function<bool(absl::CivilMinute)> matches;
};

// What the header promises, minute by minute: slow, and nothing like Next.
std::vector<absl::Time> Oracle(const Yearly& table, absl::TimeZone zone, absl::Time from,
                               absl::Time to) {
  std::vector<absl::Time> runs;
  std::set<absl::CivilMinute> seen;
  const auto local = [&](absl::Time at) { return absl::ToCivilMinute(at, zone); };
  for (absl::Time at = from; at <= to; at += absl::Minutes(1)) {
    const absl::CivilMinute now = local(at);
    bool runs_now = table.matches(now) && (table.every_hour || seen.count(now) == 0);
    for (absl::CivilMinute skipped = local(at - absl::Minutes(1)) + 1; skipped < now; ++skipped) {
      runs_now |= !table.every_hour && table.matches(skipped);
    }
    if (runs_now) runs.push_back(at);
    seen.insert(now);
    if (seen.size() > 1000) seen.erase(seen.begin());
  }
  return runs;
}

TEST(CronTest, AFakeClockDrivesALeapYearInSeveralZones) {
  const std::vector<Yearly> tables = {
      {"0 2 * * *", false, [](absl::CivilMinute m) { return m.hour() == 2 && m.minute() == 0; }},
      {"*/15 * * * *", true, [](absl::CivilMinute m) { return m.minute() % 15 == 0; }},
      {"15,45 1-3 * * *", false,
       [](absl::CivilMinute m) {
         return m.hour() >= 1 && m.hour() <= 3 && (m.minute() == 15 || m.minute() == 45);
       }},
      {"10 */2 29 2,3,10,11 SUN", false,
       [](absl::CivilMinute m) {
         const int month = m.month();
         const bool sunday = absl::GetWeekday(absl::CivilDay(m)) == absl::Weekday::sunday;
         return m.minute() == 10 && m.hour() % 2 == 0 && (m.day() == 29 || sunday) &&
                (month == 2 || month == 3 || month == 10 || month == 11);
       }},
  };
  for (const char* name :
       {"America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"}) {
    const absl::TimeZone zone = Zone(name);
    const absl::Time from = At("2028-01-01 00:00:00+00:00");
    const absl::Time to = At("2029-01-01 00:00:00+00:00");
    for (const Yearly& table : tables) {
      SCOPED_TRACE(std::string(name) + " " + table.text);
      const Cron cron = Table(table.text, name);
      FakeClock clock(from - absl::Minutes(1));
      std::vector<absl::Time> runs;
      while (true) {
        const absl::Time next = cron.Next(clock.Now());
        if (next > to) break;
        clock.JumpTo(next);
        runs.push_back(next);
      }
      const std::vector<absl::Time> expected = Oracle(table, zone, from, to);
      ASSERT_GT(expected.size(), 100u);
      ASSERT_EQ(runs.size(), expected.size());
      for (size_t i = 0; i < runs.size(); ++i) {
        ASSERT_EQ(runs[i], expected[i]) << absl::FormatTime(expected[i], zone);
      }
    }
  }
}

TEST(CronTest, ErrorsNameTheFieldAndTheReason) {
  EXPECT_THAT(ErrorOf("60 * * * *"), AllOf(HasSubstr("minute"), HasSubstr("is not 0..59")));
  EXPECT_THAT(ErrorOf("* 24 * * *"), AllOf(HasSubstr("hour"), HasSubstr("'24'")));
  EXPECT_THAT(ErrorOf("* * 0 * *"), HasSubstr("day of month"));
  EXPECT_THAT(ErrorOf("* * * 13 *"), AllOf(HasSubstr("month"), HasSubstr("JAN..DEC")));
  EXPECT_THAT(ErrorOf("* * * * 8"), HasSubstr("day of week"));
  EXPECT_THAT(ErrorOf("* * * * FUN"), AllOf(HasSubstr("day of week"), HasSubstr("FUN")));
  EXPECT_THAT(ErrorOf("5-1 * * * *"), AllOf(HasSubstr("minute"), HasSubstr("backwards")));
  EXPECT_THAT(ErrorOf("*/0 * * * *"), AllOf(HasSubstr("minute"), HasSubstr("step")));
  EXPECT_THAT(ErrorOf("5/10 * * * *"), HasSubstr("write 5-59/10"));
  EXPECT_THAT(ErrorOf("1,,2 * * * *"), HasSubstr("minute"));
  EXPECT_THAT(ErrorOf("-1 * * * *"), HasSubstr("minute"));
  EXPECT_THAT(ErrorOf("* * * *"), HasSubstr("has 4 fields, not 5"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("has 0 fields"));
  EXPECT_THAT(ErrorOf("0 0 30 2 *"), AllOf(HasSubstr("day of month"), HasSubstr("never comes")));
  EXPECT_THAT(ErrorOf("0 0 31 4,6 *"), HasSubstr("never comes"));
  EXPECT_THAT(ErrorOf("@fortnightly"), HasSubstr("@hourly"));
  EXPECT_THAT(ErrorOf("@every 500ms"), HasSubstr("whole seconds from 1s"));
  EXPECT_THAT(ErrorOf("@every soon"), HasSubstr("soon"));
  EXPECT_THAT(ErrorOf(std::string(600, '*')), HasSubstr("longer than"));
}

TEST(CronTest, ZonesAreNamesOfTheTimeZoneDatabase) {
  EXPECT_TRUE(ParseTimeZone("Europe/Berlin").ok());
  for (const char* name : {"", "Mars/Olympus", "/etc/passwd", "../../etc/passwd"}) {
    EXPECT_EQ(ParseTimeZone(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

}  // namespace
}  // namespace meridian
