#include "server/rollout/rollout_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace meridian {
namespace {

using coordinator::v1::RolloutPlan;
using testing::HasSubstr;

std::string ProblemOf(const RolloutPlan& asked) {
  return std::string(CompletePlan(asked, ShippedPlan()).status().message());
}

RolloutPlan Stages(const std::vector<uint32_t>& percents) {
  RolloutPlan plan;
  for (const uint32_t percent : percents) plan.add_percents(percent);
  return plan;
}

TEST(RolloutPlanTest, Requirement0_20_WhatIsNotSaidIsAsConfigured) {
  RolloutPlan asked;
  asked.mutable_guards()->set_max_p99_rise(0.2);
  const auto plan = CompletePlan(asked, ShippedPlan());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->percents(), testing::ElementsAre(10u, 50u, 100u));
  EXPECT_EQ(plan->hold_ms(), 4u * 3600 * 1000);
  EXPECT_EQ(plan->guards().max_p99_rise(), 0.2);
  EXPECT_EQ(plan->guards().max_hit_rate_drop(), 0.05);
  EXPECT_EQ(plan->guards().min_reads(), 1000u);
}

TEST(RolloutPlanTest, AGuardOfZeroIsSaid) {
  RolloutPlan asked;
  asked.mutable_guards()->set_max_hit_rate_drop(0);
  EXPECT_EQ(CompletePlan(asked, ShippedPlan())->guards().max_hit_rate_drop(), 0);
}

TEST(RolloutPlanTest, WhatMakesNoSenseIsRefusedWithItsField) {
  EXPECT_THAT(ProblemOf(Stages({10, 50})), HasSubstr("plan.percents: ends with 50"));
  EXPECT_THAT(ProblemOf(Stages({50, 10, 100})), HasSubstr("plan.percents: 10 after 50"));
  EXPECT_THAT(ProblemOf(Stages({0, 100})), HasSubstr("plan.percents: 0 after 0"));
  EXPECT_THAT(ProblemOf(Stages({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100})), HasSubstr("11 stages"));
  RolloutPlan asked;
  asked.set_hold_ms(uint64_t{8} * 24 * 3600 * 1000);
  EXPECT_THAT(ProblemOf(asked), HasSubstr("plan.hold_ms"));
  asked.Clear();
  asked.mutable_guards()->set_interval_ms(10);
  EXPECT_THAT(ProblemOf(asked), HasSubstr("plan.guards.interval_ms: 10"));
  asked.Clear();
  asked.mutable_guards()->set_min_hit_rate(80);
  EXPECT_THAT(ProblemOf(asked), HasSubstr("plan.guards.min_hit_rate: 80 is not in 0..1"));
  asked.Clear();
  asked.mutable_guards()->set_max_error_rise(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(ProblemOf(asked), HasSubstr("plan.guards.max_error_rise"));
  asked.Clear();
  asked.mutable_guards()->set_min_reads(0);
  EXPECT_THAT(ProblemOf(asked), HasSubstr("plan.guards.min_reads"));
}

}  // namespace
}  // namespace meridian
