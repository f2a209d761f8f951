#include "common/base/timer_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class TimerQueueTest : public testing::Test {
 protected:
  TimerQueue::Id Add(int ms) {
    return timers_.Add(clock_.Monotonic() + absl::Milliseconds(ms),
                       [this, ms] { ran_.push_back(ms); });
  }
  FakeClock clock_;
  FakeExecutor executor_{clock_};
  TimerQueue timers_{clock_, executor_};
  std::vector<int> ran_;
};

TEST_F(TimerQueueTest, RunsEachAtItsTimeInOrder) {
  Add(30);
  Add(10);
  Add(20);
  executor_.RunFor(absl::Milliseconds(9));
  EXPECT_THAT(ran_, ElementsAre());
  executor_.RunFor(absl::Milliseconds(11));
  EXPECT_THAT(ran_, ElementsAre(10, 20));
  executor_.RunFor(absl::Milliseconds(10));
  EXPECT_THAT(ran_, ElementsAre(10, 20, 30));
  EXPECT_EQ(timers_.size(), 0);
}

TEST_F(TimerQueueTest, WhatIsTakenBackNeverRuns) {
  const TimerQueue::Id kept = Add(10);
  const TimerQueue::Id gone = Add(10);
  EXPECT_TRUE(timers_.Cancel(gone));
  EXPECT_FALSE(timers_.Cancel(gone));
  EXPECT_FALSE(timers_.Cancel(TimerQueue::Id()));
  executor_.RunFor(absl::Seconds(1));
  EXPECT_THAT(ran_, ElementsAre(10));
  EXPECT_FALSE(timers_.Cancel(kept));
}

TEST_F(TimerQueueTest, ATaskMayAddTimersAndOnesThatAreOverRunSoon) {
  timers_.Add(clock_.Monotonic() + absl::Milliseconds(5), [this] { Add(-3); });
  executor_.RunFor(absl::Milliseconds(5));
  EXPECT_THAT(ran_, ElementsAre(-3));
}

TEST_F(TimerQueueTest, ManyTimersWakeTheExecutorFewTimes) {
  Add(10'000);
  for (int i = 0; i < 1000; ++i) {
    timers_.Cancel(Add(9'000));
    Add(1);
    executor_.RunFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(ran_.size(), 1000);
  // What is left: one wake-up for 9 s, which finds nothing, and one for 10 s.
  clock_.Advance(absl::Seconds(10));
  EXPECT_LE(executor_.RunDue(), 3);
  EXPECT_EQ(ran_.size(), 1001);
}

}  // namespace
}  // namespace meridian
