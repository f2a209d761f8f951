// Keys that cannot be read for now: of one namespace, of one key, of all.

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class WarmerRetriesTest : public WarmerTest {
 protected:
  static uint64_t Counted(Process& process, const std::string& outcome) {
    return process.metrics.keys
        .With({std::string_view("task"), std::string_view("manual"), std::string_view(outcome)})
        .value();
  }
};

TEST_F(WarmerRetriesTest, AnOriginThatHasTooMuchToDoStopsItsNamespaceOnly) {
  Process& leader = NewLeader();
  leader.reader.SetOriginBusy("task", true);
  const std::string urgent = leader.Run({"t{1..2000}"}, 5, "task")->id;
  const std::string other = leader.Run({"u{1..2000}"}, 0, "user")->id;
  RunFor(absl::Seconds(3), {&leader});
  EXPECT_EQ(leader.Job(other).state, WarmJobState::kDone);
  EXPECT_EQ(leader.Job(urgent).state, WarmJobState::kPaused);
  EXPECT_THAT(leader.Job(urgent).error, HasSubstr("OVERLOADED: by the test"));
  const size_t asked = leader.reader.keys_asked();
  RunFor(absl::Minutes(2), {&leader});
  EXPECT_LE(leader.reader.keys_asked() - asked, 20u * 100u) << "it is not left alone";
  leader.reader.SetOriginBusy("task", false);
  RunFor(absl::Seconds(30), {&leader});
  EXPECT_EQ(leader.Job(urgent).state, WarmJobState::kDone);
  EXPECT_EQ(leader.Job(urgent).warmed_keys, 2000u);
}

TEST_F(WarmerRetriesTest, AnOriginThatIsOutStopsItsNamespaceAndBurnsNoKeys) {
  Process& leader = NewLeader();
  leader.reader.SetOriginOut("task", true);
  const std::string waits = leader.Run({"t{1..2000}"}, 5, "task")->id;
  const std::string other = leader.Run({"u{1..2000}"}, 0, "user")->id;
  RunFor(absl::Seconds(3), {&leader});
  EXPECT_EQ(leader.Job(other).state, WarmJobState::kDone);
  EXPECT_EQ(leader.Job(waits).state, WarmJobState::kPaused);
  EXPECT_THAT(leader.Job(waits).error, HasSubstr("ORIGIN_TIMEOUT: by the test"));
  const size_t asked = leader.reader.keys_asked();
  RunFor(absl::Minutes(2), {&leader});
  EXPECT_LE(leader.reader.keys_asked() - asked, 20u * 100u) << "it is not left alone";
  leader.reader.SetOriginOut("task", false);
  RunFor(absl::Seconds(30), {&leader});
  const WarmJob job = leader.Job(waits);
  EXPECT_EQ(job.state, WarmJobState::kDone);
  EXPECT_EQ(job.warmed_keys, 2000u);
  EXPECT_EQ(job.failed_keys, 0u);
}

TEST_F(WarmerRetriesTest, WhoRefusesAtOnceDoesNotSpeedItUp) {
  options_.runner.pace.max = 8;
  Process& leader = NewLeader();
  leader.reader.Overload(8);
  const std::string task = leader.Run({"t{1..800}"}, 0, "task")->id;
  leader.reader.SetOriginOut("user", true);
  ASSERT_TRUE(leader.Run({"u{1..800}"}, 5, "user").ok());
  RunFor(absl::Seconds(1), {&leader});
  const size_t slow = leader.warmer.counters().reads_at_once;
  EXPECT_LT(slow, 8u);
  leader.reader.SetOriginOut("task", true);
  RunFor(absl::Minutes(1), {&leader});
  ASSERT_TRUE(leader.Run({"x"}, 0, "other").ok());
  EXPECT_LE(leader.warmer.counters().reads_at_once, slow + 1);
}

TEST_F(WarmerRetriesTest, WhatIsAskedAgainTakesFromTheBudgetToo) {
  settings_.budgets.default_rate = 100;
  Process& leader = NewLeader();
  for (int i = 0; i < 5000; i += 2) leader.reader.MakeSilent(absl::StrCat("k", i));
  ASSERT_TRUE(leader.Run({"k{0..4999}"}).ok());
  RunFor(absl::Seconds(20), {&leader});
  EXPECT_GE(leader.reader.keys_asked(), 1800u);
  EXPECT_LE(leader.reader.keys_asked(), 20u * 100u + 100u + 100u);
}

TEST_F(WarmerRetriesTest, AKeyThatNobodyAnswersForFailsAndTheOthersGoOn) {
  Process& leader = NewLeader();
  leader.reader.MakeSilent("k7");
  const std::string id = leader.Run({"k{1..100}"})->id;
  RunFor(absl::Seconds(10), {&leader});
  const WarmJob job = leader.Job(id);
  EXPECT_EQ(job.state, WarmJobState::kDone);
  EXPECT_EQ(job.warmed_keys, 99u);
  EXPECT_EQ(job.failed_keys, 1u);
  EXPECT_THAT(job.error, HasSubstr("ORIGIN_TIMEOUT: by the test"));
}

TEST_F(WarmerRetriesTest, AJobOfOneKeyThatNobodyAnswersForDoesNotHoldUpItsNamespace) {
  Process& leader = NewLeader();
  leader.reader.MakeSilent("silent");
  const std::string silent = leader.Run({"silent"}, 5)->id;
  RunFor(absl::Minutes(1), {&leader});
  EXPECT_FALSE(leader.Job(silent).over()) << "nothing says that it is not the origin";
  const std::string next = leader.Run({"k{1..1000}"})->id;
  RunFor(absl::Seconds(25), {&leader});
  EXPECT_EQ(leader.Job(next).state, WarmJobState::kDone);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(leader.Run({absl::StrCat("more", i)}).ok());
    RunFor(absl::Seconds(10), {&leader});
  }
  EXPECT_EQ(leader.Job(silent).state, WarmJobState::kFailed);
  EXPECT_EQ(leader.Job(silent).failed_keys, 1u);
}

TEST_F(WarmerRetriesTest, WhatWaitsForLongIsCountedAsFailedOnceAndTheRestAtTheDeadline) {
  options_.job_deadline = absl::Minutes(6);
  Process& leader = NewLeader();
  leader.reader.SetOriginOut("task", true);
  const std::string id = leader.Run({"k{1..1000}"})->id;
  RunFor(absl::Minutes(1), {&leader});
  EXPECT_GE(Counted(leader, "failed"), 100u) << "somebody should know by now";
  RunFor(absl::Minutes(4), {&leader});
  EXPECT_FALSE(leader.Job(id).over());
  EXPECT_EQ(Counted(leader, "failed"), 400u) << "those that were asked for";
  RunFor(absl::Seconds(62), {&leader});
  EXPECT_EQ(leader.Job(id).state, WarmJobState::kFailed);
  EXPECT_THAT(leader.Job(id).error, StartsWith("DEADLINE_EXCEEDED: 1000 keys were left"));
  EXPECT_THAT(leader.Job(id).error, HasSubstr("ORIGIN_TIMEOUT: by the test"));
  EXPECT_EQ(Counted(leader, "failed"), 400u);
  EXPECT_EQ(Counted(leader, "late"), 600u);
}

TEST_F(WarmerRetriesTest, ANodeThatComesBackIsAskedAgain) {
  Process& leader = NewLeader();
  leader.reader.GoAway(6);
  const std::string id = leader.Run({"a{1..10}"})->id;
  RunFor(absl::Minutes(1), {&leader});
  EXPECT_EQ(leader.Job(id).warmed_keys, 10u);
  EXPECT_EQ(leader.Job(id).failed_keys, 0u);
}

TEST_F(WarmerRetriesTest, TheBudgetOfAnOriginHoldsHoweverManyNamespacesThereAre) {
  settings_.budgets.origins = {{"users", 100}};
  settings_.budgets.origin_of = {{"user", "users"}};
  settings_.budgets.namespaces = {{"user", 1000}};
  settings_.budgets.default_rate = 0.5;
  options_.queue.max_live = 3000;
  options_.runner.max_loaded = 3000;
  Process& leader = NewLeader();
  const std::string user = leader.Run({"u{1..2000}"}, 0, "user")->id;
  for (int i = 0; i < 1010; ++i) {
    ASSERT_TRUE(leader.Run({"k{1..1500}"}, -1, absl::StrCat("n", i)).ok());
  }
  RunFor(absl::Seconds(1), {&leader});
  const uint64_t before = leader.Job(user).warmed_keys;
  RunFor(absl::Seconds(1), {&leader});
  EXPECT_LE(leader.Job(user).warmed_keys - before, 210u);
}

}  // namespace
}  // namespace meridian
