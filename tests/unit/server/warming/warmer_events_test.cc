#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class WarmerEventsTest : public WarmerTest {
 protected:
  using Answer = std::optional<absl::StatusOr<EventIntake::Taken>>;

  void SetUp() override {
    const absl::Status status = settings_.ReadFile("f.yaml", R"(
rules:
  login: {on: login, fields: [user], warm: {user: ["user:{user}"], task: ["task:{user}:{1..3}"]}}
)");
    ASSERT_TRUE(status.ok()) << status;
  }
  static WarmEvent Login(const std::string& user) { return {"login", "", "", {{"user", user}}}; }
  // The answer, which may come later.
  static std::shared_ptr<Answer> Report(Process& process, std::vector<WarmEvent> events) {
    auto answer = std::make_shared<Answer>();
    process.warmer.Report(events, [answer](const auto& taken) { *answer = taken; });
    process.executor.RunDue();
    return answer;
  }
};

TEST_F(WarmerEventsTest, WhatIsReportedIsWarmedBySourceRule) {
  Process& leader = NewLeader();
  const auto answer = Report(leader, {Login("ann"), Login("{1..100}")});
  RunFor(absl::Seconds(1), {&leader});
  ASSERT_TRUE(answer->has_value() && (*answer)->ok());
  EXPECT_EQ((**answer)->matched, 2u);
  EXPECT_THAT(leader.reader.warmed(), SizeIs(8));
  EXPECT_EQ(leader.reader.warmed().count("task:ann:3"), 1u);
  EXPECT_EQ(leader.reader.warmed().count("user:{1..100}"), 1u) << "a value became a template";
  for (const WarmJob& job : leader.AllJobs()) {
    EXPECT_EQ(job.source, "rule");
    EXPECT_EQ(job.id.substr(0, 6), "login-");
    EXPECT_EQ(job.state, WarmJobState::kDone);
  }
}

TEST_F(WarmerEventsTest, WhatWasAnsweredIsWarmedByTheNextLeaderOnce) {
  Process& first = NewLeader();
  first.warmer.SetNodes({});  // Nothing is read yet.
  const auto taken = Report(first, {Login("ann")});
  RunFor(absl::Milliseconds(150), {&first});
  ASSERT_TRUE(taken->has_value() && (*taken)->ok());
  const auto late = Report(first, {Login("bob")});  // It dies while it gathers.
  first.Die();
  ASSERT_TRUE(late->has_value());
  EXPECT_EQ((*late)->status().code(), absl::StatusCode::kUnavailable);
  Process& second = NewLeader();
  RunFor(absl::Seconds(1), {&second});
  EXPECT_THAT(second.reader.warmed(), SizeIs(4));
  for (const auto& [key, times] : second.reader.warmed()) EXPECT_EQ(times, 1) << key;
  EXPECT_THAT(first.reader.warmed(), IsEmpty());
}

TEST_F(WarmerEventsTest, OneThatIsReportedAgainJoinsTheJobThatWaits) {
  settings_.rules.at("login").not_again_for = absl::ZeroDuration();
  Process& leader = NewLeader();
  leader.warmer.SetNodes({});
  for (int i = 0; i < 2; ++i) {
    const auto answer = Report(leader, {Login("ann")});
    RunFor(absl::Milliseconds(150), {&leader});
    ASSERT_TRUE(answer->has_value() && (*answer)->ok());
  }
  EXPECT_EQ(leader.AllJobs().size(), 2u) << "of two namespaces";
}

TEST_F(WarmerEventsTest, AFloodLeavesRoomForOthersAndTheirHistory) {
  options_.queue.max_history = 20;
  Process& leader = NewLeader();
  const std::string mine = leader.Run({"mine"})->id;
  RunFor(absl::Seconds(1), {&leader});
  for (int i = 0; i < 40; ++i) {
    Report(leader, {Login(absl::StrCat("u", i))});
    RunFor(absl::Milliseconds(200), {&leader});
  }
  EXPECT_EQ(leader.Job(mine).state, WarmJobState::kDone) << "it is forgotten";
  leader.warmer.SetNodes({});
  int limited = 0;
  for (int i = 100; i < 200; ++i) {
    const auto answer = Report(leader, {Login(absl::StrCat("u", i))});
    limited += answer->has_value() && !(*answer)->ok();
    RunFor(absl::Milliseconds(100), {&leader});
  }
  EXPECT_GT(limited, 40);
  EXPECT_LE(leader.warmer.counters().jobs.queued, options_.events.max_jobs + 2);
  EXPECT_TRUE(leader.Run({"mine", "too"}).ok());
}

TEST_F(WarmerEventsTest, WhoDoesNotLeadTakesNoEvents) {
  Process& standby = NewProcess();
  const auto answer = Report(standby, {Login("ann")});
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(WarmerEventsTest, WhatCannotBeStoredIsNotTaken) {
  Process& leader = NewLeader();
  leader.view->SetReachable(false);
  const auto answer = Report(leader, {Login("ann")});
  RunFor(absl::Seconds(1), {&leader});
  ASSERT_TRUE(answer->has_value());
  EXPECT_FALSE((*answer)->ok());
  leader.view->SetReachable(true);
  RunFor(absl::Seconds(2), {&leader});
  EXPECT_THAT(leader.AllJobs(), IsEmpty());
}

}  // namespace
}  // namespace meridian
