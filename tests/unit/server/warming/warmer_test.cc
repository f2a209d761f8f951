#include "server/warming/warmer.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(WarmerTest, EveryKeyIsReadOnceThroughAllNodes) {
  Process& leader = NewLeader();
  const absl::StatusOr<WarmJob> queued = leader.Run({"key:{1..250}", "x"});
  ASSERT_TRUE(queued.ok()) << queued.status();
  EXPECT_EQ(queued->total_keys, 251u);
  leader.reader.MakeAbsent("key:7");
  RunFor(absl::Seconds(2), {&leader});
  const WarmJob job = leader.Job(queued->id);
  EXPECT_EQ(job.state, WarmJobState::kDone);
  EXPECT_EQ(job.warmed_keys + job.absent_keys, 251u);
  EXPECT_THAT(leader.reader.warmed(), SizeIs(251));
  for (const auto& [key, times] : leader.reader.warmed()) EXPECT_EQ(times, 1) << key;
  EXPECT_THAT(leader.reader.reads_by_address(), SizeIs(2));
}

TEST_F(WarmerTest, AMillionKeysAreStreamedShowProgressAndCanBeCancelled) {
  settings_.budgets.default_rate = 20000;
  Process& leader = NewLeader();
  const std::string id = leader.Run({"key:{1..1000000}"})->id;
  RunFor(absl::Seconds(5), {&leader});
  const WarmJob job = leader.Job(id);
  EXPECT_EQ(job.state, WarmJobState::kRunning);
  EXPECT_GE(job.warmed_keys, 100'000u);
  EXPECT_LE(job.warmed_keys, 121'000u) << "faster than the budget";
  EXPECT_LE(leader.reader.most_keys(), options_.runner.batch_keys);
  EXPECT_LE(leader.reader.most_at_once(), options_.runner.pace.max);
  EXPECT_EQ(leader.warmer.counters().jobs.running, 1u);
  EXPECT_GT(leader.warmer.counters().jobs.keys_left, 800'000u);
  ASSERT_TRUE(leader.Control(id, WarmAction::kCancel).ok());
  const int reads = leader.reader.reads();
  RunFor(absl::Seconds(2), {&leader});
  EXPECT_EQ(leader.reader.reads(), reads);
  EXPECT_EQ(leader.Job(id).state, WarmJobState::kCancelled);
  EXPECT_FALSE(store_.Value("warm/keys/" + id).has_value()) << "its keys stay in the store";
}

TEST_F(WarmerTest, BudgetsOfNamespaceAndOriginBoundTheRate) {
  settings_.budgets.namespaces = {{"user", 1000}, {"session", 1000}};
  settings_.budgets.origins = {{"users", 100}};
  settings_.budgets.origin_of = {{"user", "users"}, {"session", "users"}};
  Process& leader = NewLeader();
  const std::string user = leader.Run({"u{1..2000}"}, 0, "user")->id;
  const std::string session = leader.Run({"s{1..2000}"}, 0, "session")->id;
  const std::string other = leader.Run({"o{1..2000}"}, 0, "task")->id;
  RunFor(absl::Seconds(4), {&leader});
  const uint64_t together = leader.Job(user).warmed_keys + leader.Job(session).warmed_keys;
  EXPECT_GE(together, 400u);
  EXPECT_LE(together, 500u);
  EXPECT_EQ(leader.Job(other).state, WarmJobState::kDone) << "it waits for another's budget";
}

TEST_F(WarmerTest, AJobOfHigherPriorityNeedNotWaitForALongOne) {
  settings_.budgets.default_rate = 1000;
  Process& leader = NewLeader();
  const std::string slow = leader.Run({"slow:{1..100000}"})->id;
  RunFor(absl::Seconds(2), {&leader});
  const std::string urgent = leader.Run({"urgent:{1..500}"}, 5)->id;
  RunFor(absl::Seconds(1), {&leader});
  EXPECT_EQ(leader.Job(urgent).state, WarmJobState::kDone);
  EXPECT_EQ(leader.Job(slow).state, WarmJobState::kRunning);
}

TEST_F(WarmerTest, TheOldestJobIsCancelledLastAndAnswersAll) {
  options_.queue.max_history = 3;
  Process& leader = NewLeader();
  leader.warmer.SetNodes({});
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(leader.Run({absl::StrCat("job", i)})->id);
    RunFor(absl::Seconds(1), {&leader});
  }
  for (size_t i = ids.size(); i-- > 0;) {
    const absl::Status status = leader.Control(ids[i], WarmAction::kCancel);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(leader.Job(ids[i]).state, WarmJobState::kCancelled);
    EXPECT_FALSE(store_.Value("warm/keys/" + ids[i]).has_value()) << "its keys stay in the store";
  }
  EXPECT_THAT(leader.AllJobs(), SizeIs(3));
}

TEST_F(WarmerTest, PauseStopsAfterTheKeysInFlightAndResumeGoesOnThere) {
  Process& leader = NewLeader();
  leader.reader.Hold();
  const std::string id = leader.Run({"key:{1..1000}"})->id;
  RunFor(absl::Milliseconds(100), {&leader});
  EXPECT_EQ(leader.reader.waiting(), options_.runner.pace.max);
  ASSERT_TRUE(leader.Control(id, WarmAction::kPause).ok());
  leader.reader.Release();
  RunFor(absl::Seconds(1), {&leader});
  EXPECT_EQ(leader.reader.waiting(), 0u);
  EXPECT_EQ(leader.Job(id).warmed_keys, 400u);
  EXPECT_EQ(leader.Job(id).state, WarmJobState::kPaused);
  ASSERT_TRUE(leader.Control(id, WarmAction::kResume).ok());
  for (int i = 0; i < 5; ++i) {
    RunFor(absl::Seconds(1), {&leader});
    leader.reader.Release();
  }
  RunFor(absl::Seconds(1), {&leader});
  EXPECT_EQ(leader.Job(id).state, WarmJobState::kDone);
  for (const auto& [key, times] : leader.reader.warmed()) EXPECT_EQ(times, 1) << key;
}

TEST_F(WarmerTest, NodesThatHaveTooMuchToDoAreLeftAloneAndNothingIsLost) {
  Process& leader = NewLeader();
  leader.reader.Overload(8, absl::Seconds(2));
  const std::string id = leader.Run({"key:{1..500}"})->id;
  RunFor(absl::Milliseconds(100), {&leader});
  EXPECT_EQ(leader.Job(id).state, WarmJobState::kPaused);
  EXPECT_THAT(leader.Job(id).error, HasSubstr("the nodes have too much to do"));
  const int reads = leader.reader.reads();
  EXPECT_LE(reads, 4);
  RunFor(absl::Milliseconds(1800), {&leader});
  EXPECT_EQ(leader.reader.reads(), reads) << "it does not leave them alone";
  RunFor(absl::Seconds(60), {&leader});
  const WarmJob job = leader.Job(id);
  EXPECT_EQ(job.state, WarmJobState::kDone);
  EXPECT_EQ(job.warmed_keys, 500u);
  EXPECT_EQ(job.failed_keys, 0u);
}

TEST_F(WarmerTest, AKeyThatFailsIsCountedAndTheOthersGoOn) {
  Process& leader = NewLeader();
  leader.reader.MakeBroken("key:3");
  const std::string id = leader.Run({"key:{1..10}"})->id;
  RunFor(absl::Seconds(1), {&leader});
  EXPECT_EQ(leader.Job(id).state, WarmJobState::kDone);
  EXPECT_EQ(leader.Job(id).warmed_keys, 9u);
  EXPECT_EQ(leader.Job(id).failed_keys, 1u);
  EXPECT_THAT(leader.Job(id).error, HasSubstr("ORIGIN_ERROR"));
}

TEST_F(WarmerTest, AJobGivesUpAtItsDeadline) {
  options_.job_deadline = absl::Seconds(10);
  settings_.budgets.default_rate = 10;
  Process& leader = NewLeader();
  const std::string id = leader.Run({"key:{1..100000}"})->id;
  RunFor(absl::Seconds(12), {&leader});
  EXPECT_EQ(leader.Job(id).state, WarmJobState::kFailed);
  EXPECT_THAT(leader.Job(id).error, StartsWith("DEADLINE_EXCEEDED"));
  EXPECT_GT(leader.Job(id).warmed_keys, 0u);
}

TEST_F(WarmerTest, TheNextLeaderGoesOnWhereTheLastOneDied) {
  settings_.budgets.default_rate = 1000;
  Process& first = NewLeader();
  const std::string running = first.Run({"key:{1..10000}"})->id;
  const std::string waiting = first.Run({"later:{1..100}"}, -1)->id;
  RunFor(absl::Seconds(4), {&first});
  const std::map<std::string, int> warmed = first.reader.warmed();
  EXPECT_GT(warmed.size(), 3000u);
  first.Die();
  Process& second = NewLeader();
  RunFor(absl::Seconds(20), {&second});
  EXPECT_EQ(second.Job(running).state, WarmJobState::kDone);
  EXPECT_EQ(second.Job(waiting).state, WarmJobState::kDone);
  size_t repeated = 0;
  for (int i = 1; i <= 10000; ++i) {
    const std::string key = absl::StrCat("key:", i);
    ASSERT_EQ(warmed.count(key) + second.reader.warmed().count(key) >= 1, true) << key;
    repeated += warmed.count(key) * second.reader.warmed().count(key);
  }
  EXPECT_LE(repeated, 1500u) << "more than a save's interval is repeated";
}

TEST_F(WarmerTest, ALeaderThatIsElectedAgainUnderItsTokenGoesOn) {
  AddSchedule("cron: '@every 1s', missed: all");
  Process& leader = NewLeader();
  const std::string id = leader.Run({"key:{1..5000}"})->id;
  RunFor(absl::Milliseconds(2100), {&leader});
  // Its renewal was late for itself, but not for the store; what it did last is on its way.
  std::optional<absl::Status> last;
  leader.warmer.Run({"", "task", {"last"}, 0},
                    [&](const absl::StatusOr<WarmJob>& job) { last = job.status(); });
  leader.warmer.StepDown();
  leader.Lead();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->code(), absl::StatusCode::kUnavailable);
  const absl::StatusOr<WarmJob> next = leader.Run({"next"});
  ASSERT_TRUE(next.ok()) << next.status();
  RunFor(absl::Seconds(6), {&leader});
  EXPECT_EQ(leader.Job(id).state, WarmJobState::kDone);
  EXPECT_EQ(leader.reader.warmed().at("next"), 1);
  EXPECT_LE(leader.reader.warmed().at("a"), 9) << "its schedule runs twice a second";
}

TEST_F(WarmerTest, APausedLeaderThatWakesUpChangesNothing) {
  Process& first = NewLeader();
  const std::string id = first.Run({"key:{1..10}"})->id;
  RunFor(absl::Seconds(2), {&first});
  first.view->Release("coordinator", first.name, [](const absl::Status&) {});
  Process& second = NewLeader();
  RunFor(absl::Seconds(1), {&second});
  const std::optional<std::string> state = store_.Value("warm/state");
  // It still believes that it leads, and somebody asks it.
  std::optional<absl::Status> answer;
  first.warmer.Run({"", "task", {"other"}, 0},
                   [&](const absl::StatusOr<WarmJob>& job) { answer = job.status(); });
  first.executor.RunDue();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(store_.Value("warm/state"), state);
  EXPECT_EQ(first.reader.warmed().count("other"), 0u);
  EXPECT_EQ(first.warmer.List().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.Job(id).state, WarmJobState::kDone);
}

TEST_F(WarmerTest, ARunOfAScheduleIsOneJobWhoeverLeads) {
  AddSchedule("cron: '@every 1s', missed: all");
  Process& first = NewLeader();
  const absl::Time from = clock_.Now();
  RunFor(absl::Milliseconds(5300), {&first});
  const size_t first_ran = first.AllJobs().size();
  first.Die();
  clock_.Advance(absl::Milliseconds(3400));  // Nobody leads.
  Process& second = NewLeader();
  RunFor(absl::Milliseconds(5300), {&second});
  const absl::Time to = clock_.Now();
  std::map<std::string, WarmJob> jobs;
  for (const WarmJob& job : second.AllJobs()) jobs[job.id] = job;
  const WarmSchedule& schedule = settings_.schedules.at("tick");
  size_t runs = 0;
  for (absl::Time at = schedule.cron.Next(from); at <= to; at = schedule.cron.Next(at)) {
    ++runs;
    const auto job = jobs.find(RunId(schedule, at));
    ASSERT_NE(job, jobs.end()) << "lost: " << RunId(schedule, at);
    EXPECT_EQ(job->second.state, WarmJobState::kDone) << job->first;
  }
  EXPECT_EQ(jobs.size(), runs);
  EXPECT_GE(runs, 13u);
  EXPECT_GE(first_ran, 5u);
  const int reads = first.reader.reads() + second.reader.reads();
  EXPECT_EQ(static_cast<size_t>(reads), runs) << "a run was carried out twice";
}

TEST_F(WarmerTest, MissedRunsFollowThePolicyAfterALongAbsence) {
  AddSchedule("cron: '@hourly', missed: once");
  Process& first = NewLeader();
  RunFor(absl::Seconds(1), {&first});
  first.Die();
  clock_.Advance(absl::Hours(30));
  Process& second = NewLeader();
  RunFor(absl::Seconds(2), {&second});
  EXPECT_THAT(second.AllJobs(), SizeIs(1));
}

TEST_F(WarmerTest, AScheduleThatIsNewOrChangedBeginsNow) {
  AddSchedule("cron: '@hourly', missed: all");
  Process& first = NewLeader();
  RunFor(absl::Seconds(1), {&first});
  first.Die();
  clock_.Advance(absl::Hours(30));
  settings_ = WarmSettings();
  AddSchedule("cron: '@every 1m', missed: all");
  Process& second = NewLeader();
  RunFor(absl::Seconds(1), {&second});
  EXPECT_LE(second.AllJobs().size(), 1u);
}

TEST_F(WarmerTest, ARunThatFindsTheLastOneWaitingJoinsIt) {
  AddSchedule("cron: '@every 1s'");
  Process& leader = NewLeader();
  leader.warmer.SetNodes({});
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_THAT(leader.AllJobs(), SizeIs(1));
  leader.warmer.SetNodes({"node-1:7400"});
  RunFor(absl::Milliseconds(100), {&leader});
  EXPECT_EQ(leader.reader.warmed().at("a"), 1);
}

TEST_F(WarmerTest, AScheduleWhoseKeysChangedDoesNotJoinWhatWaits) {
  AddSchedule("cron: '@every 1s'");
  Process& first = NewLeader();
  first.warmer.SetNodes({});
  RunFor(absl::Seconds(2), {&first});
  ASSERT_THAT(first.AllJobs(), SizeIs(1));
  ASSERT_TRUE(first.Control(first.AllJobs()[0].id, WarmAction::kPause).ok());
  first.Die();
  settings_ = WarmSettings();
  const absl::Status status = settings_.ReadFile(
      "f.yaml", "schedules: {tick: {namespace: task, keys: [c], cron: '@every 1s'}}");
  ASSERT_TRUE(status.ok()) << status;
  Process& second = NewLeader();
  RunFor(absl::Seconds(3), {&second});
  EXPECT_GE(second.reader.warmed().count("c"), 1u);
  EXPECT_EQ(second.reader.warmed().count("a"), 0u) << "somebody has paused it";
}

TEST_F(WarmerTest, AClockThatJumpsAheadAndBackStopsAndRepeatsNoSchedule) {
  AddSchedule("cron: '@every 1m', missed: all");
  Process& leader = NewLeader();
  RunFor(absl::Minutes(2), {&leader});
  const absl::Time before = clock_.Now();
  clock_.JumpTo(before + absl::Hours(5));
  RunFor(absl::Minutes(2), {&leader});
  clock_.JumpTo(before);
  leader.reader.Forget();
  RunFor(absl::Minutes(5) + absl::Seconds(2), {&leader});
  EXPECT_GE(leader.reader.warmed().at("a"), 4) << "it waits for five hours";
  // Runs of these minutes there were before.
  clock_.JumpTo(clock_.Now() - absl::Minutes(11));
  leader.reader.Forget();
  RunFor(absl::Minutes(10), {&leader});
  EXPECT_GE(leader.reader.warmed().at("a"), 9) << "a run of the same name is lost";
}

TEST_F(WarmerTest, FiguresAreThoseOfNowAlsoWhileNothingIsStored) {
  Process& leader = NewLeader();
  leader.reader.Overload(100, absl::Seconds(10));
  ASSERT_TRUE(leader.Run({"key:{1..100}"}).ok());
  RunFor(absl::Seconds(3), {&leader});
  EXPECT_EQ(leader.warmer.counters().reads_at_once, 0u) << "as it was when it was stored last";
}

TEST_F(WarmerTest, PeopleStartASchedulesJobByItsName) {
  AddSchedule("cron: '0 0 1 1 *', priority: 3");
  Process& leader = NewLeader();
  const absl::StatusOr<WarmJob> job = leader.Ask(WarmRequest{"tick", "", {}, 0});
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->source, "manual");
  EXPECT_EQ(job->priority, 3);
  RunFor(absl::Milliseconds(100), {&leader});
  EXPECT_EQ(leader.Job(job->id).state, WarmJobState::kDone);
}

TEST_F(WarmerTest, TheSameKeysWaitOnce) {
  Process& leader = NewLeader();
  leader.warmer.SetNodes({});
  const std::string id = leader.Run({"key:{1..10}"})->id;
  EXPECT_EQ(leader.Run({"key:{1..10}"})->id, id);
  EXPECT_NE(leader.Run({"key:{1..11}"})->id, id);
  EXPECT_NE(leader.Run({"key:{1..10}"}, 0, "other")->id, id);
}

TEST_F(WarmerTest, AFloodOfJobsIsBoundedAndComesThrough) {
  options_.queue.max_live = 50;
  settings_.budgets.default_rate = 100000;
  Process& leader = NewLeader();
  leader.warmer.SetNodes({});
  int refused = 0;
  for (int i = 0; i < 80; ++i) {
    const absl::StatusOr<WarmJob> job = leader.Run({absl::StrCat("job", i, ":{1..300}")});
    if (job.ok()) continue;
    EXPECT_THAT(std::string(job.status().message()), StartsWith("WARM_QUEUE_FULL"));
    ++refused;
  }
  EXPECT_EQ(refused, 30);
  leader.warmer.SetNodes({"node-1:7400"});
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_THAT(leader.reader.warmed(), SizeIs(50 * 300));
  for (const WarmJob& job : leader.AllJobs()) EXPECT_EQ(job.state, WarmJobState::kDone);
}

TEST_F(WarmerTest, WhatIsNotStoredIsNotQueued) {
  Process& leader = NewLeader();
  leader.view->FailPuts(1);
  EXPECT_EQ(leader.Run({"key"}).status().code(), absl::StatusCode::kUnavailable);
  RunFor(absl::Seconds(2), {&leader});
  EXPECT_THAT(leader.AllJobs(), IsEmpty());
  EXPECT_EQ(leader.reader.reads(), 0);
}

TEST_F(WarmerTest, AScheduleWaitsForAStoreThatIsAway) {
  AddSchedule("cron: '@every 1s', missed: all");
  Process& leader = NewLeader();
  leader.view->SetReachable(false);
  RunFor(absl::Seconds(5), {&leader});
  EXPECT_EQ(leader.reader.reads(), 0) << "a run that the next leader would repeat";
  leader.view->SetReachable(true);
  RunFor(absl::Seconds(3), {&leader});
  EXPECT_GE(leader.reader.reads(), 7);
  EXPECT_LE(leader.reader.reads(), 8);
}

TEST_F(WarmerTest, AStateThatCannotBeReadIsWaitedForAndOneThatIsBrokenIsLeft) {
  Process& first = NewProcess();
  first.view->FailGets(3);
  first.Lead();
  EXPECT_EQ(first.warmer.List().status().code(), absl::StatusCode::kUnavailable);
  RunFor(absl::Seconds(1), {&first});
  EXPECT_TRUE(first.warmer.List().ok());
  const std::string id = first.Run({"gone:{1..10}"}, -5)->id;
  first.Die();
  store_.SetValue("warm/keys/" + id, "{}");
  store_.SetValue("warm/state", "[");
  Process& second = NewLeader();
  EXPECT_TRUE(second.Run({"key"}).ok());
  RunFor(absl::Seconds(1), {&second});
  EXPECT_EQ(second.reader.warmed().at("key"), 1);
}

TEST_F(WarmerTest, BadRequestsNameTheFieldAndTheReason) {
  Process& leader = NewLeader();
  const auto error = [&](const WarmRequest& request) {
    return std::string(leader.Ask(request).status().message());
  };
  EXPECT_THAT(error({"", "task", {}, 0}), StartsWith("FIELD_INVALID: keys: there is none"));
  EXPECT_THAT(error({"", "task", {"a", "{2..1}"}, 0}), StartsWith("FIELD_INVALID: keys[1]: "));
  EXPECT_THAT(error({"", "Task", {"a"}, 0}), StartsWith("NAMESPACE_INVALID: 'Task'"));
  EXPECT_THAT(error({"nightly", "", {}, 0}), StartsWith("SCHEDULE_UNKNOWN: "));
  EXPECT_THAT(error({"nightly", "task", {}, 0}), StartsWith("FIELD_INVALID: name: "));
  EXPECT_THAT(error({"", "task", {"a"}, 2'000'000}), StartsWith("FIELD_INVALID: priority: "));
  EXPECT_EQ(leader.Control("nobody", WarmAction::kPause).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(NewProcess().Run({"a"}).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace meridian
