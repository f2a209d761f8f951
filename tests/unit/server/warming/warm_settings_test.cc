#include "server/warming/warm_settings.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ErrorOf(const std::string& text) {
  WarmSettings settings;
  const absl::Status status = settings.ReadFile("f.yaml", text);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

// One schedule with one more line.
std::string With(const std::string& line) {
  return "schedules:\n  s:\n    cron: '@hourly'\n    namespace: task\n    keys: [a]\n    " + line +
         "\n";
}

TEST(WarmSettingsTest, ReadsSchedulesAndBudgets) {
  WarmSettings settings;
  const absl::Status status = settings.ReadFile("f.yaml", R"(
schedules:
  nightly:
    cron: "0 2 * * *"
    time_zone: Europe/Berlin
    missed: all
    missed_limit: 7
    namespace: persona
    keys: ["{tone}-{pace}", "user:{1..500}"]
    parts: {tone: [calm, frustrated], pace: "1..3"}
    priority: -10
    deadline: 10m
budgets:
  namespaces: {persona: 500, task: 0.5}
  origins:
    users: {keys_per_second: 100, namespaces: [user, session]}
)");
  ASSERT_TRUE(status.ok()) << status;
  const WarmSchedule& schedule = settings.schedules.at("nightly");
  EXPECT_EQ(schedule.missed, MissedRuns::kAll);
  EXPECT_EQ(schedule.missed_limit, 7u);
  EXPECT_EQ(schedule.name_space, "persona");
  EXPECT_EQ(schedule.total_keys, 506u);
  EXPECT_EQ(schedule.priority, -10);
  EXPECT_EQ(schedule.deadline, absl::Minutes(10));
  // 02:00 in Berlin in winter.
  const absl::Time night = absl::FromCivil(absl::CivilSecond(2027, 1, 5), absl::UTCTimeZone());
  EXPECT_EQ(schedule.cron.Next(night), night + absl::Hours(1));
  EXPECT_EQ(settings.budgets.namespaces.at("task"), 0.5);
  EXPECT_EQ(settings.budgets.origins.at("users"), 100);
  EXPECT_EQ(settings.budgets.origin_of.at("session"), "users");
}

TEST(WarmSettingsTest, PartsMayStandInHashTags) {
  WarmSettings settings;
  const absl::Status status = settings.ReadFile(
      "f.yaml", "rules: {r: {on: access, key: 'task:{{id}}', warm: {t: ['a:{{id}}']}}}");
  EXPECT_TRUE(status.ok()) << status;
}

TEST(WarmSettingsTest, ErrorsNameFileLineFieldValueAndRule) {
  EXPECT_THAT(
      ErrorOf("schedules:\n  s:\n    cron: '99 * * * *'\n    namespace: t\n    keys: [a]"),
      AllOf(StartsWith("f.yaml:3: schedules.s.cron: minute: '99'"), HasSubstr("is not 0..59")));
  EXPECT_THAT(ErrorOf(With("time_zone: Mars/Olympus")),
              StartsWith("f.yaml:6: schedules.s.time_zone: 'Mars/Olympus' is not a time zone"));
  EXPECT_THAT(ErrorOf(With("missed: sometimes")), HasSubstr("is not one of skip, once, all"));
  EXPECT_THAT(ErrorOf(With("budget: none")), HasSubstr("'none' is not one of earned, fixed"));
  EXPECT_THAT(ErrorOf(With("missed_limit: 0")), StartsWith("f.yaml:6: schedules.s.missed_limit: "));
  EXPECT_THAT(ErrorOf(With("priority: high")), HasSubstr("-1000000..1000000"));
  EXPECT_THAT(ErrorOf(With("deadline: 1ms")), HasSubstr("is not from 1s to 30d"));
  EXPECT_THAT(ErrorOf(With("time_zon: UTC")), HasSubstr("unknown; did you mean time_zone?"));
  EXPECT_THAT(ErrorOf(With("parts: {x: [a]}")), HasSubstr("parts.x: no key has {x}"));
  EXPECT_THAT(ErrorOf(With("cron: '@daily'")), HasSubstr("given twice"));
  EXPECT_THAT(ErrorOf("schedules: {s: {cron: '@daily', namespace: t, keys: ['user:{1..500']}}"),
              AllOf(HasSubstr("schedules.s: keys[0]: 'user:{1..500'"), HasSubstr("no } closes")));
  EXPECT_THAT(ErrorOf("rules: {r: {on: access, key: 'task:{id', warm: {t: ['a']}}}"),
              AllOf(HasSubstr("rules.r.key: 'task:{id'"), HasSubstr("no } closes")));
  EXPECT_THAT(ErrorOf("rules: {r: {on: access, warm: {t: ['a:b}']}}}"),
              AllOf(HasSubstr("rules.r.warm.t[0]: 'a:b}'"), HasSubstr("no { opens")));
  EXPECT_THAT(ErrorOf("schedules: {s: {namespace: t, keys: [a]}}"), HasSubstr("cron is missing"));
  EXPECT_THAT(ErrorOf("schedules: {s: {cron: '@daily', keys: [a]}}"),
              HasSubstr("namespace is missing"));
  EXPECT_THAT(ErrorOf("schedules: {s: {cron: '@daily', namespace: t}}"),
              HasSubstr("keys is missing"));
  EXPECT_THAT(ErrorOf("schedules: {S P: {cron: '@daily', namespace: t, keys: [a]}}"),
              HasSubstr("[a-z0-9_.-]"));
  for (const char* list : {"schedules", "startup"}) {
    const char* const when = list[1] == 'c' ? "cron: '@daily', " : "";
    EXPECT_THAT(ErrorOf(absl::StrCat(list, ": {s: {", when, "namespace: _meridian, keys: [a]}}")),
                HasSubstr(absl::StrCat(list, ".s.namespace: NAMESPACE_RESERVED: ")));
  }
  EXPECT_THAT(ErrorOf("schedules: [a]"), HasSubstr("schedules: must be a map"));
  EXPECT_THAT(ErrorOf("budgets: {namespaces: {task: 0}}"), HasSubstr("budgets.namespaces.task"));
  EXPECT_THAT(ErrorOf("budgets: {origins: {o: {namespaces: [a]}}}"),
              HasSubstr("keys_per_second is missing"));
  EXPECT_THAT(ErrorOf("budgets: {origins: {o: {keys_per_second: 1, namespaces: [a, a]}}}"),
              HasSubstr("a has another origin already"));
  EXPECT_THAT(ErrorOf("rulez: {}"),
              HasSubstr("unknown; known are schedules, startup, rules and budgets"));
}

}  // namespace
}  // namespace meridian
