// Settings that change while a coordinator leads.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_hot_keys.h"
#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class WarmerSettingsTest : public WarmerTest {
 protected:
  static WarmSettings Read(const std::string& text) {
    WarmSettings settings;
    const absl::Status status = settings.ReadFile("f.yaml", text);
    EXPECT_TRUE(status.ok()) << status;
    return settings;
  }
  static void Change(Process& process, const std::string& text) {
    process.warmer.SetSettings(std::make_shared<const WarmSettings>(Read(text)));
    process.executor.RunDue();
  }
  static size_t JobsOf(Process& process, const std::string& name) {
    size_t count = 0;
    for (const WarmJob& job : process.AllJobs()) count += job.name == name ? 1 : 0;
    return count;
  }
  static std::shared_ptr<std::optional<absl::StatusOr<EventIntake::Taken>>> Report(
      Process& process, const WarmEvent& event) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<EventIntake::Taken>>>();
    process.warmer.Report({event}, [answer](const auto& taken) { *answer = taken; });
    process.executor.RunDue();
    return answer;
  }
};

TEST_F(WarmerSettingsTest, ASchedulesRunsGoOnThoughOthersComeAndGo) {
  const std::string same = "same: {cron: '@every 10s', namespace: task, keys: [a], missed: all}";
  settings_ = Read(absl::StrCat("schedules: {", same,
                                ", old: {cron: '@every 10s', namespace: task, keys: [b]}}"));
  Process& leader = NewLeader();
  for (int i = 0; i < 10; ++i) {
    RunFor(absl::Seconds(3), {&leader});
    Change(leader, absl::StrCat("schedules: {", same,
                                ", new: {cron: '@every 10s', namespace: task, keys: [c]}}"));
  }
  EXPECT_EQ(JobsOf(leader, "same"), 3u) << "a change repeats or loses runs";
  EXPECT_EQ(JobsOf(leader, "old"), 0u);
  EXPECT_EQ(JobsOf(leader, "new"), 3u) << "it begins when it is there, and misses nothing before";
  EXPECT_EQ(leader.Ask({"new", "", {}, 0}).status(), absl::OkStatus());
  EXPECT_EQ(leader.Ask({"old", "", {}, 0}).status().code(), absl::StatusCode::kNotFound);
  // Also for whoever follows: the marks are in the store.
  leader.Die();
  settings_ = Read(absl::StrCat("schedules: {", same, "}"));
  Process& next = NewLeader();
  RunFor(absl::Seconds(10), {&next});
  EXPECT_EQ(JobsOf(next, "same"), 4u);
}

TEST_F(WarmerSettingsTest, AStandbyTakesThemToo) {
  Process& standby = NewProcess();
  Change(standby, "schedules: {tick: {cron: '@every 1s', namespace: task, keys: [a]}}");
  standby.Lead();
  RunFor(absl::Seconds(2), {&standby});
  EXPECT_THAT(standby.reader.warmed(), ElementsAre(Pair("a", ::testing::Ge(1))));
}

// The list of hot keys that was asked for is of a schedule that is not there any more.
TEST_F(WarmerSettingsTest, AnAnswerForASchedulesOfBeforeIsNotHeard) {
  FakeHotKeys hot;
  hot.Set("task", "k", 1);
  hot.Hold();
  settings_ = Read("schedules: {hot: {cron: '@every 5s', namespace: task, top: 1}}");
  Process& leader = NewProcess();
  leader.warmer.SetHotKeys(hot);
  leader.Lead();
  RunFor(absl::Seconds(6), {&leader});
  ASSERT_EQ(hot.waiting(), 1u);
  Change(leader, "schedules: {}");
  hot.Release();
  leader.executor.RunDue();
  EXPECT_THAT(leader.AllJobs(), IsEmpty());
  // And of one that is there still, it is asked for again.
  Change(leader, "schedules: {hot: {cron: '@every 5s', namespace: task, top: 1}}");
  RunFor(absl::Seconds(6), {&leader});
  EXPECT_THAT(leader.AllJobs(), SizeIs(1));
}

TEST_F(WarmerSettingsTest, WhatWasReportedIsWarmedByTheRulesOfThen) {
  settings_ = Read("rules: {r: {on: login, fields: [u], warm: {task: ['old:{u}']}}}");
  Process& leader = NewLeader();
  const auto before = Report(leader, {"login", "", "", {{"u", "1"}}});
  Change(leader, "rules: {r: {on: login, fields: [u], warm: {task: ['new:{u}', 'old:{u}']}}}");
  const auto after = Report(leader, {"login", "", "", {{"u", "2"}}});
  RunFor(absl::Seconds(1), {&leader});
  ASSERT_TRUE(before->has_value() && after->has_value());
  EXPECT_TRUE((*before)->ok() && (*after)->ok());
  EXPECT_THAT(leader.reader.warmed(),
              UnorderedElementsAre(Pair("old:1", 1), Pair("old:2", 1), Pair("new:2", 1)));
  // The rule of the same name has not forgotten what it warmed a moment ago.
  Report(leader, {"login", "", "", {{"u", "1"}}});
  RunFor(absl::Seconds(1), {&leader});
  EXPECT_EQ(leader.reader.warmed().at("old:1"), 1);
  EXPECT_EQ(leader.reader.warmed().at("new:1"), 1);
  Change(leader, "rules: {}");
  const auto none = Report(leader, {"login", "", "", {{"u", "3"}}});
  ASSERT_TRUE(none->has_value() && (*none)->ok());
  EXPECT_EQ((**none)->matched, 0u);
}

TEST_F(WarmerSettingsTest, BudgetsAreOfTheNewestSettingsAlsoForAJobThatRuns) {
  settings_ = Read("budgets: {namespaces: {task: 10}}");
  Process& leader = NewLeader();
  ASSERT_TRUE(leader.Run({"k:{1..100000}"}).ok());
  RunFor(absl::Seconds(10), {&leader});
  const size_t slow = leader.reader.keys_asked();
  EXPECT_NEAR(slow, 110, 11);
  Change(leader, "budgets: {namespaces: {task: 100}}");
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_NEAR(leader.reader.keys_asked() - slow, 1000, 110);
  const size_t fast = leader.reader.keys_asked();
  Change(leader, "budgets: {namespaces: {task: 5}}");
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_NEAR(leader.reader.keys_asked() - fast, 50, 11);
}

// A source that has earned all that its namespace may read keeps it; others gain nothing.
TEST_F(WarmerSettingsTest, SourcesHaveTheNewCeiling) {
  settings_ = Read("budgets: {namespaces: {task: 10}}");
  Process& leader = NewLeader();
  const auto budget = [&] {
    const auto views = leader.warmer.ListSources("task");
    return views.ok() && !views->empty() ? (*views)[0].budget : -1;
  };
  EXPECT_EQ(leader.warmer.TakeRoom("rule", "task", 100'000), 50u);
  EXPECT_EQ(budget(), 10);
  Change(leader, "budgets: {namespaces: {task: 100}}");
  EXPECT_EQ(budget(), 100);
  EXPECT_EQ(leader.warmer.TakeRoom("rule", "task", 100'000), 500u);
  Change(leader, "budgets: {namespaces: {task: 1}}");
  EXPECT_EQ(budget(), 1);
  EXPECT_EQ(leader.warmer.TakeRoom("rule", "task", 100'000), 5u);
}

}  // namespace
}  // namespace meridian
