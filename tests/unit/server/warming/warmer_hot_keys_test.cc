// Schedules of hot keys, with a list of them that the test writes.

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/text.h"
#include "tests/support/fake_hot_keys.h"
#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

class WarmerHotKeysTest : public WarmerTest {
 protected:
  void Read(const std::string& text) {
    const absl::Status status = settings_.ReadFile("f.yaml", text);
    ASSERT_TRUE(status.ok()) << status;
  }
  void ReadShipped(const std::string& name) {
    const std::string file = std::string(std::getenv("MERIDIAN_SOURCE_DIR")) + "/config/" + name;
    const absl::StatusOr<std::string> text = ReadSmallFile(file);
    ASSERT_TRUE(text.ok()) << text.status();
    Read(*text);
  }
  Process& NewLeader() {
    Process& process = NewProcess();
    process.warmer.SetHotKeys(hot_);
    process.Lead();
    return process;
  }

  FakeHotKeys hot_;
};

TEST_F(WarmerHotKeysTest, Requirement0_11_TheTop50AreLoadedAnewEveryHalfHour) {
  ReadShipped("warming-persona.yaml");
  for (int i = 0; i < 200; ++i) hot_.Set("persona", absl::StrCat("{p:", i, "}"), 1000 - i);
  clock_.Advance(absl::Minutes(7));
  Process& leader = NewLeader();
  // Whatever it brings: it is promised.
  WarmFigures figures;
  figures.incarnation = 1;
  figures.warmed = {{"schedule", "persona", 0, 0, 0, 0}};
  for (int minute = 0; minute < 120; ++minute) {
    figures.warmed[0].warmed += 100;
    figures.warmed[0].unused += 100;
    leader.warmer.ReportFigures("node-1", figures);
    RunFor(absl::Minutes(1), {&leader});
  }
  EXPECT_THAT(leader.reader.warmed(), SizeIs(50));
  EXPECT_THAT(leader.reader.warmed(), Each(Pair(testing::_, 4)));
  EXPECT_THAT(leader.reader.refreshed(), SizeIs(50)) << "they were only read";
  EXPECT_THAT(leader.reader.warmed(), Contains(Pair("{p:49}", 4)));
  for (const WarmJob& job : leader.AllJobs()) {
    EXPECT_EQ(job.source, "schedule");
    EXPECT_EQ(job.total_keys, 50u);
  }
}

TEST_F(WarmerHotKeysTest, Requirement2_08_ByHotKeysNightlyHourlyAndEveryQuarter) {
  ReadShipped("warming.yaml");
  hot_.Set("project", "p", 1);
  hot_.Set("user", "u", 1);
  hot_.Set("task", "t", 1);
  clock_.Advance(absl::Hours(17));  // 01:00.
  Process& leader = NewLeader();
  RunFor(absl::Hours(2), {&leader});
  const auto times = [&](const std::string& name) {
    const std::vector<WarmJob> jobs = leader.AllJobs();
    return std::count_if(jobs.begin(), jobs.end(),
                         [&](const WarmJob& job) { return job.id.rfind(name + "-", 0) == 0; });
  };
  EXPECT_EQ(times("nightly_projects"), 1);
  EXPECT_EQ(times("nightly_users"), 1);
  EXPECT_EQ(times("hourly_tasks"), 2);
  EXPECT_EQ(times("hot_tasks"), 8);
  EXPECT_EQ(hot_.asked(HotKeyWindow::kDay), 2);
  EXPECT_EQ(hot_.asked(HotKeyWindow::kNextHour), 2);
  EXPECT_EQ(hot_.asked(HotKeyWindow::kNow), 8);
  EXPECT_THAT(leader.reader.refreshed(), UnorderedElementsAre("t")) << "only what is hot now";
}

TEST_F(WarmerHotKeysTest, Requirement2_08_TheHourThatIsWarmedIsTheOneThatBeginsSoon) {
  ReadShipped("warming.yaml");
  hot_.Set("task", "t", 1);
  Process& leader = NewLeader();
  std::vector<absl::CivilMinute> asked_at;
  for (int minute = 0; minute < 180; ++minute) {
    const int before = hot_.asked(HotKeyWindow::kNextHour);
    RunFor(absl::Minutes(1), {&leader});
    if (hot_.asked(HotKeyWindow::kNextHour) == before) continue;
    asked_at.push_back(absl::ToCivilMinute(clock_.Now(), absl::UTCTimeZone()));
  }
  ASSERT_THAT(asked_at, SizeIs(3));
  for (const absl::CivilMinute& at : asked_at) {
    // `next_hour` is the hour after this one: it begins within ten minutes.
    EXPECT_GE(at.minute(), 50) << at.hour() << ":" << at.minute();
  }
}

TEST_F(WarmerHotKeysTest, WhenNothingIsHotTheRunPasses) {
  Read("schedules: {hot: {cron: '@every 1s', namespace: task, top: 5}}");
  Process& leader = NewLeader();
  RunFor(absl::Seconds(5), {&leader});
  EXPECT_THAT(leader.AllJobs(), IsEmpty());
  hot_.Set("task", "a", 1);
  RunFor(absl::Seconds(2), {&leader});
  EXPECT_THAT(leader.AllJobs(), SizeIs(2));
}

TEST_F(WarmerHotKeysTest, ARunWaitsForAListThatCannotBeRead) {
  Read("schedules: {hot: {cron: '@hourly', namespace: task, top: 5, window: day}}");
  hot_.Set("task", "a", 1);
  Process& leader = NewLeader();
  hot_.Fail(absl::UnavailableError("by the test"));
  RunFor(absl::Hours(1) + absl::Seconds(5), {&leader});
  EXPECT_THAT(leader.AllJobs(), IsEmpty());
  hot_.Fail(absl::OkStatus());
  RunFor(absl::Seconds(2), {&leader});
  ASSERT_THAT(leader.AllJobs(), SizeIs(1));
  EXPECT_THAT(leader.AllJobs()[0].id, StartsWith("hot-20270115T090000Z"));
}

TEST_F(WarmerHotKeysTest, ALeaderThatDiesWhileItLooksUpLosesAndRepeatsNothing) {
  Read("schedules: {hot: {cron: '@hourly', namespace: task, top: 5, window: day}}");
  hot_.Set("task", "a", 1);
  Process& first = NewLeader();
  hot_.Hold();
  RunFor(absl::Hours(1) + absl::Seconds(1), {&first});
  EXPECT_EQ(hot_.waiting(), 1u) << "it asks anew every second";
  first.Die();
  hot_.Release();  // Too late.
  Process& second = NewLeader();
  RunFor(absl::Seconds(5), {&second});
  EXPECT_THAT(first.reader.warmed(), IsEmpty());
  EXPECT_THAT(second.reader.warmed(), UnorderedElementsAre(Pair("a", 1)));
  EXPECT_THAT(second.AllJobs(), SizeIs(1));
}

TEST_F(WarmerHotKeysTest, PeopleRunItByItsName) {
  Read("schedules: {hot: {cron: '@hourly', namespace: task, top: 5}}");
  Process& leader = NewLeader();
  const absl::StatusOr<WarmJob> none = leader.Ask(WarmRequest{"hot", "", {}, 0});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(none.status().message()), StartsWith("NO_HOT_KEYS: of task"));
  hot_.Set("task", "a", 1);
  hot_.Set("task", "b", 2);
  hot_.Set("user", "c", 3);
  const absl::StatusOr<WarmJob> job = leader.Ask(WarmRequest{"hot", "", {}, 3});
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->total_keys, 2u);
  EXPECT_EQ(job->priority, 3);
  RunFor(absl::Seconds(1), {&leader});
  EXPECT_THAT(leader.reader.refreshed(), UnorderedElementsAre("a", "b"));
}

TEST_F(WarmerHotKeysTest, ErrorsNameTheFieldAndTheReason) {
  const auto error_of = [](const std::string& fields) {
    WarmSettings settings;
    return std::string(settings
                           .ReadFile("f.yaml", absl::StrCat("schedules: {s: {cron: '@daily', "
                                                            "namespace: t, ",
                                                            fields, "}}"))
                           .message());
  };
  EXPECT_THAT(error_of("top: 5, keys: [a]"), HasSubstr("schedules.s: has both keys and top"));
  EXPECT_THAT(error_of("top: 0"), StartsWith("f.yaml:1: schedules.s.top: "));
  EXPECT_THAT(error_of("top: 1001"), StartsWith("f.yaml:1: schedules.s.top: "));
  EXPECT_THAT(error_of("keys: [a], window: day"), HasSubstr("has window without top"));
  EXPECT_THAT(error_of("top: 5, parts: {a: [b]}"), HasSubstr("has parts without keys"));
  EXPECT_THAT(error_of("top: 5, window: week"),
              AllOf(HasSubstr("schedules.s.window: 'week'"), HasSubstr("now, next_hour, day")));
  EXPECT_THAT(error_of("top: 5, refresh: maybe"), HasSubstr("schedules.s.refresh: "));
}

}  // namespace
}  // namespace meridian
