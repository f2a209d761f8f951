// What a source of warming brings decides how much it may read.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

class WarmerBudgetsTest : public WarmerTest {
 protected:
  static std::string Queue(Process& process, const std::string& source, int keys,
                           absl::Duration deadline = absl::Hours(1)) {
    WarmText text;
    text.keys = {absl::StrCat(source, ":{1..", keys, "}")};
    WarmOrder order{source, source, "task", text};
    order.deadline = deadline;
    absl::Status status = absl::InternalError("no answer");
    process.warmer.QueueAll({order}, [&](const absl::Status& done) { status = done; });
    process.executor.RunDue();
    EXPECT_TRUE(status.ok()) << status;
    return process.AllJobs().front().id;
  }
  static WarmSources::View ViewOf(Process& process, const std::string& source) {
    const auto views = process.warmer.ListSources("task");
    EXPECT_TRUE(views.ok()) << views.status();
    if (!views.ok()) return {};
    for (const WarmSources::View& view : *views) {
      if (view.source == source) return view;
    }
    ADD_FAILURE() << "nothing is known of " << source;
    return {};
  }
  // Nodes say that so much of what the source brought was used, and the rest not.
  void ReportFor(absl::Duration time, Process& process, const std::string& source, double used) {
    for (absl::Duration passed; passed < time; passed += absl::Seconds(5)) {
      figures_.incarnation = 1;
      figures_.warmed.resize(1);
      WarmFigures::OfSource& of = figures_.warmed[0];
      of.source = source;
      of.name_space = "task";
      of.warmed += 100;
      of.used += static_cast<uint64_t>(100 * used);
      of.unused += 100 - static_cast<uint64_t>(100 * used);
      process.warmer.ReportFigures("node-1", figures_);
      RunFor(absl::Seconds(5), {&process});
    }
  }
  WarmFigures figures_;
};

TEST_F(WarmerBudgetsTest, ASourceThatBringsNothingReadsAlmostNothingAndOthersGoOn) {
  settings_.budgets.default_rate = 100;
  Process& leader = NewLeader();
  ReportFor(absl::Minutes(3), leader, "rule", 0.1);
  const std::string bad = Queue(leader, "rule", 1000, absl::Minutes(1));
  const std::string good = Queue(leader, "schedule", 1000);
  RunFor(absl::Seconds(20), {&leader});
  EXPECT_EQ(leader.Job(good).state, WarmJobState::kDone);
  EXPECT_LE(leader.Job(bad).warmed_keys, 3u);
  RunFor(absl::Minutes(1), {&leader});
  EXPECT_EQ(leader.Job(bad).state, WarmJobState::kFailed);
  EXPECT_GE(ViewOf(leader, "rule").refused, 990u);
  EXPECT_NEAR(*ViewOf(leader, "rule").precision, 0.1, 0.01);
  EXPECT_LT(ViewOf(leader, "rule").budget, 0.1);
  // What people ask for themselves is read.
  const std::string asked = leader.Run({"asked:{1..500}"})->id;
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_EQ(leader.Job(asked).state, WarmJobState::kDone);
}

// A promise of who configured it: 2-08, 0-11.
TEST_F(WarmerBudgetsTest, AFixedBudgetIsThatOfItsNamespaceWhateverItsSourceBrings) {
  const absl::Status status = settings_.ReadFile("f.yaml", R"(
schedules:
  earned: {cron: '@every 10m', namespace: task, keys: ['e:{1..50}'], deadline: 5m}
  fixed: {cron: '@every 10m', namespace: task, keys: ['f:{1..50}'], deadline: 5m, budget: fixed}
)");
  ASSERT_TRUE(status.ok()) << status;
  Process& leader = NewLeader();
  ReportFor(absl::Minutes(3), leader, "schedule", 0.1);
  RunFor(absl::Minutes(16), {&leader});  // One run.
  int of_fixed = 0;
  int of_earned = 0;
  for (const auto& [key, times] : leader.reader.warmed()) {
    (key[0] == 'f' ? of_fixed : of_earned) += times;
  }
  EXPECT_EQ(of_fixed, 50 * (of_fixed / 50));
  EXPECT_GE(of_fixed, 50);
  EXPECT_LE(of_earned, 2);
  EXPECT_GE(ViewOf(leader, "schedule").refused, 48u);
}

// What is read whatever it brings is no verdict on those that have to earn their budget.
TEST_F(WarmerBudgetsTest, WhatAFixedBudgetBringsDoesNotCountAgainstOthers) {
  const absl::Status status = settings_.ReadFile("f.yaml", R"(
schedules:
  earned: {cron: '@every 10m', namespace: task, keys: ['e:{1..50}'], deadline: 5m}
  fixed: {cron: '@every 10m', namespace: task, keys: ['f:{1..50}'], deadline: 5m, budget: fixed}
)");
  ASSERT_TRUE(status.ok()) << status;
  Process& leader = NewLeader();
  // The nodes say of the fixed one, as they were told to, that nobody wants what it brings.
  RunFor(absl::Minutes(11), {&leader});
  ASSERT_EQ(leader.reader.SourcesOf("f:1").size(), 1u);
  const std::string followed = *leader.reader.SourcesOf("f:1").begin();
  ReportFor(absl::Minutes(3), leader, followed, 0);
  leader.reader.Forget();
  RunFor(absl::Minutes(10), {&leader});
  EXPECT_EQ(leader.reader.warmed().count("f:50"), 1u);
  EXPECT_EQ(leader.reader.warmed().count("e:50"), 1u) << "it pays for the other";
  EXPECT_EQ(ViewOf(leader, followed).budget, settings_.budgets.default_rate);
  EXPECT_THAT(leader.reader.SourcesOf("e:1"), testing::ElementsAre("schedule"));
}

TEST_F(WarmerBudgetsTest, PredictionBeginsSmallAndGrowsByWhatItBrings) {
  settings_.budgets.default_rate = 1000;
  Process& leader = NewLeader();
  const std::string first = Queue(leader, "prediction", 1000);
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_NEAR(static_cast<double>(leader.Job(first).warmed_keys), 110, 15);
  ReportFor(absl::Minutes(3), leader, "prediction", 0.9);
  EXPECT_GT(ViewOf(leader, "prediction").budget, 300) << "it may lose what it has gained";
  const std::string second = Queue(leader, "prediction", 5000);
  RunFor(absl::Seconds(20), {&leader});
  EXPECT_EQ(leader.Job(second).state, WarmJobState::kDone);
}

TEST_F(WarmerBudgetsTest, TheNextLeaderKnowsWhatTheSourcesAreWorth) {
  Process& first = NewLeader();
  ReportFor(absl::Minutes(3), first, "rule", 0.1);
  RunFor(absl::Seconds(10), {&first});
  const WarmSources::View before = ViewOf(first, "rule");
  EXPECT_LT(before.budget, 1);
  first.Die();
  EXPECT_EQ(first.warmer.ListSources("").status().code(), absl::StatusCode::kUnavailable);
  Process& next = NewLeader();
  const WarmSources::View after = ViewOf(next, "rule");
  EXPECT_EQ(after.outcomes, before.outcomes);
  EXPECT_EQ(after.budget, before.budget);
  next.warmer.ReportFigures("node-1", figures_);
  EXPECT_EQ(ViewOf(next, "rule").outcomes, before.outcomes) << "counted twice";
}

}  // namespace
}  // namespace meridian
