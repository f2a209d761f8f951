#include "server/rollout/rollout_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace meridian {
namespace {

using testing::HasSubstr;

class RolloutStageTest : public testing::Test {
 protected:
  // Looks every 10 s for so long.
  void Watch(absl::Duration time) {
    for (absl::Duration passed; passed < time; passed += absl::Seconds(10)) {
      now_ += absl::Seconds(10);
      stage_.SawAll(now_);
    }
  }

  absl::Duration now_ = absl::Seconds(1000);
  RolloutStage stage_{absl::Minutes(1), absl::Seconds(10)};
};

TEST_F(RolloutStageTest, OnlyTimeBetweenTwoLooksThatSawAllCounts) {
  stage_.Begin(absl::ZeroDuration());
  EXPECT_EQ(stage_.WaitsFor(), "the first look of the guards");
  Watch(absl::Seconds(40));
  EXPECT_EQ(stage_.watched(), absl::Seconds(30));
  stage_.SawLess("somebody");
  EXPECT_EQ(stage_.WaitsFor(), "somebody");
  Watch(absl::Seconds(20));
  EXPECT_EQ(stage_.watched(), absl::Seconds(40));
  now_ += absl::Hours(1);  // The process was stopped.
  Watch(absl::Seconds(10));
  EXPECT_EQ(stage_.watched(), absl::Minutes(1));
  stage_.Begin(absl::Seconds(5));
  EXPECT_EQ(stage_.watched(), absl::Seconds(5));
}

TEST_F(RolloutStageTest, ItIsOverWhenWatchedAndSure) {
  stage_.Begin(absl::ZeroDuration());
  Watch(absl::Seconds(70));
  EXPECT_FALSE(stage_.IsOver()) << "nothing was compared yet";
  stage_.SetUnsure({}, false);
  EXPECT_TRUE(stage_.IsOver());
  EXPECT_EQ(stage_.WaitsFor(), "");
  EXPECT_EQ(stage_.UnsureText(), "");
  stage_.SawLess("somebody");
  EXPECT_FALSE(stage_.IsOver());
}

TEST_F(RolloutStageTest, WhoIsUnsureWaitsForThreeHoldTimes) {
  stage_.Begin(absl::ZeroDuration());
  Watch(absl::Seconds(70));
  stage_.SetUnsure({"a", "b", "c", "d", "e", "f"}, true);
  EXPECT_FALSE(stage_.IsOver());
  EXPECT_THAT(stage_.WaitsFor(), HasSubstr("a, b, c, d, e and 1 more; watched 1m of 3m"));
  Watch(absl::Minutes(2));
  EXPECT_TRUE(stage_.IsOver());
  EXPECT_THAT(stage_.UnsureText(), HasSubstr("not sure of: a, b"));
}

}  // namespace
}  // namespace meridian
