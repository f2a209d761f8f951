#include "server/warming/event_intake.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/warming/warm_settings.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

WarmEvent Login(const std::string& users) { return {"login", "", "", {{"user", users}}}; }

class EventIntakeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const absl::Status status = settings_.ReadFile("f.yaml", R"(
rules:
  in: {on: login, fields: [user], warm: {user: ["user:{user}"]}, priority: 7, not_again_for: 10s}
  task: {on: login, fields: [user], warm: {task: ["of:{user}"]}, not_again_for: 0s}
  other: {on: access, of: task, warm: {task: [x]}}
)");
    ASSERT_TRUE(status.ok()) << status;
  }
  EventIntake& Intake() {
    if (!intake_.has_value()) {
      intake_.emplace(options_, Rules(), clock_, executor_, metrics_,
                      EventIntake::Hooks{[this] { return live_jobs_; },
                                         [this](std::vector<WarmOrder> orders, auto queued) {
                                           for (WarmOrder& order : orders) {
                                             orders_.push_back(std::move(order));
                                           }
                                           queued_ = std::move(queued);
                                           if (!slow_) queued_(answer_);
                                         }});
    }
    return *intake_;
  }
  EventIntake::Rules Rules() const {
    return std::make_shared<const std::map<std::string, WarmRule>>(settings_.rules);
  }
  void Report(const std::vector<WarmEvent>& events) {
    answers_.emplace_back();
    Intake().Report(events, [this, index = answers_.size() - 1](const auto& taken) {
      answers_[index] = taken;
    });
  }
  void Pass(absl::Duration duration) {
    clock_.Advance(duration);
    executor_.RunDue();
  }
  // The keys that were queued for a namespace, in order.
  std::vector<std::string> Queued(const std::string& name_space) const {
    std::vector<std::string> keys;
    for (const WarmOrder& order : orders_) {
      if (order.name_space != name_space) continue;
      keys.insert(keys.end(), order.text.keys.begin(), order.text.keys.end());
    }
    return keys;
  }
  uint64_t Counted(std::string_view outcome) { return metrics_.events.With({outcome}).value(); }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  MetricRegistry registry_;
  WarmMetrics metrics_{registry_};
  EventIntakeOptions options_;
  WarmSettings settings_;
  std::optional<EventIntake> intake_;
  size_t live_jobs_ = 0;
  std::vector<WarmOrder> orders_;
  EventIntake::Queued queued_;
  bool slow_ = false;
  absl::Status answer_;
  std::vector<std::optional<absl::StatusOr<EventIntake::Taken>>> answers_;
};

TEST_F(EventIntakeTest, EventsOfAMomentAreOneJobForEachRuleAndNamespace) {
  Report({Login("ann"), Login("bob,ann")});
  Report({Login("eve")});
  EXPECT_THAT(orders_, IsEmpty()) << "it does not gather";
  Pass(options_.gather);
  ASSERT_THAT(orders_, SizeIs(2));
  EXPECT_THAT(Queued("user"), ElementsAre("user:ann", "user:bob", "user:eve"));
  EXPECT_THAT(Queued("task"), ElementsAre("of:ann", "of:bob", "of:eve"));
  EXPECT_TRUE(orders_[0].text.is_literal);
  EXPECT_EQ(orders_[0].source, "rule");
  for (const WarmOrder& order : orders_) EXPECT_EQ(order.priority, order.name == "in" ? 7 : 0);
  ASSERT_TRUE(answers_[0].has_value() && answers_[1].has_value());
  EXPECT_EQ((*answers_[0])->accepted, 2u);
  EXPECT_EQ((*answers_[0])->matched, 2u);
  EXPECT_EQ((*answers_[1])->accepted, 1u);
}

// So nodes learn whether it is worth to tell updates of a namespace.
TEST_F(EventIntakeTest, AnEventWithoutAKeyAsksWhetherARuleIsForItsNamespace) {
  ASSERT_TRUE(settings_
                  .ReadFile("f.yaml",
                            "rules: {changed: {on: update, of: task, key: 'task:{id}', warm: "
                            "{task: ['of:{id}']}}}")
                  .ok());
  Report({{"update", "task", "", {}}, {"update", "task", "other:1", {}}});
  Report({{"update", "user", "", {}}});
  Report({{"access", "task", "", {}}});
  Report({{"update", "task", "task:1", {}}});
  Pass(options_.gather);
  EXPECT_EQ((*answers_[0])->matched, 1u) << "a key of another form is no question";
  EXPECT_EQ((*answers_[1])->matched, 0u);
  EXPECT_EQ((*answers_[2])->matched, 1u) << "of a rule without a form";
  EXPECT_EQ((*answers_[3])->matched, 1u);
  EXPECT_THAT(Queued("task"), ::testing::UnorderedElementsAre("x", "of:1"));
}

TEST_F(EventIntakeTest, ItIsAnsweredWhenTheJobsAreStoredAndNotBefore) {
  slow_ = true;
  Report({Login("ann")});
  Pass(options_.gather);
  EXPECT_FALSE(answers_[0].has_value());
  Report({Login("bob")});
  Pass(options_.gather);
  EXPECT_THAT(orders_, SizeIs(2)) << "two are on their way at once";
  std::exchange(queued_, nullptr)(absl::OkStatus());
  EXPECT_TRUE(answers_[0].has_value() && answers_[0]->ok());
  EXPECT_FALSE(answers_[1].has_value());
  Pass(options_.gather);
  std::exchange(queued_, nullptr)(absl::UnavailableError("the store is away"));
  ASSERT_TRUE(answers_[1].has_value());
  EXPECT_EQ(answers_[1]->status().code(), absl::StatusCode::kUnavailable);
  // What was not stored is not remembered as warmed.
  slow_ = false;
  Report({Login("bob")});
  Pass(options_.gather);
  EXPECT_THAT(Queued("user"), ElementsAre("user:ann", "user:bob", "user:bob"));
}

TEST_F(EventIntakeTest, AKeyIsNotWarmedAgainForAWhile) {
  Report({Login("ann")});
  Pass(options_.gather);
  Pass(absl::Seconds(5));
  Report({Login("ann,bob")});
  Pass(options_.gather);
  EXPECT_THAT(Queued("user"), ElementsAre("user:ann", "user:bob"));
  EXPECT_THAT(Queued("task"), ElementsAre("of:ann", "of:ann", "of:bob")) << "a rule of 0s";
  Pass(absl::Seconds(5));
  Report({Login("ann,bob")});
  Pass(options_.gather);
  EXPECT_THAT(Queued("user"), ElementsAre("user:ann", "user:bob", "user:ann"));
}

TEST_F(EventIntakeTest, EventsWithoutARuleAreTakenAndAnsweredAtOnce) {
  Report({{"logout", "", "", {}}, {"access", "user", "x", {}}});
  ASSERT_TRUE(answers_[0].has_value() && answers_[0]->ok());
  EXPECT_EQ((*answers_[0])->accepted, 2u);
  EXPECT_EQ((*answers_[0])->matched, 0u);
  EXPECT_EQ(Counted("unmatched"), 2u);
}

TEST_F(EventIntakeTest, AFloodIsLimitedAndTheFirstAreTaken) {
  options_.events_per_second = 10;
  std::vector<WarmEvent> events;
  for (int i = 0; i < 15; ++i) events.push_back(Login(absl::StrCat("u", i)));
  Report(events);
  Report(events);
  ASSERT_TRUE(answers_[1].has_value());
  EXPECT_EQ(answers_[1]->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(answers_[1]->status().message()), StartsWith("EVENTS_LIMITED: "));
  Pass(options_.gather);
  ASSERT_TRUE(answers_[0].has_value() && answers_[0]->ok());
  EXPECT_EQ((*answers_[0])->accepted, 10u);
  EXPECT_THAT(Queued("user"), SizeIs(10));
  EXPECT_EQ(Counted("limited"), 20u);
  Pass(absl::Seconds(1));
  Report({Login("later")});
  Pass(options_.gather);
  EXPECT_TRUE(answers_[2].has_value() && answers_[2]->ok());
}

TEST_F(EventIntakeTest, WhatIsGatheredIsBounded) {
  options_.max_keys = 5;
  std::vector<WarmEvent> events;
  for (int i = 0; i < 4; ++i) events.push_back(Login(absl::StrCat("a", i, ",b", i)));
  Report(events);
  Pass(options_.gather);
  ASSERT_TRUE(answers_[0].has_value() && answers_[0]->ok());
  EXPECT_EQ((*answers_[0])->accepted, 2u);
  EXPECT_THAT(Queued("user"), SizeIs(4));
}

TEST_F(EventIntakeTest, JobsThatAreNotOverHoldEventsBack) {
  live_jobs_ = options_.max_jobs;
  Report({Login("ann")});
  ASSERT_TRUE(answers_[0].has_value());
  EXPECT_EQ(answers_[0]->status().code(), absl::StatusCode::kResourceExhausted);
  live_jobs_ = 0;
  Report({Login("ann")});
  Pass(options_.gather);
  EXPECT_TRUE(answers_[1]->ok());
}

TEST_F(EventIntakeTest, StopAnswersEverybodyAndForgets) {
  slow_ = true;
  Report({Login("ann")});
  Pass(options_.gather);
  Report({Login("bob")});
  Intake().Stop(absl::UnavailableError("NOT_LEADER: by the test"));
  ASSERT_TRUE(answers_[0].has_value() && answers_[1].has_value());
  EXPECT_EQ(answers_[0]->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(answers_[1]->status().code(), absl::StatusCode::kUnavailable);
  queued_(absl::OkStatus());  // Of what was before.
  slow_ = false;
  Report({Login("ann")});
  Pass(options_.gather);
  ASSERT_TRUE(answers_[2].has_value());
  EXPECT_EQ((*answers_[2])->accepted, 1u);
  EXPECT_THAT(Queued("user"), ElementsAre("user:ann", "user:ann"));
}

}  // namespace
}  // namespace meridian
