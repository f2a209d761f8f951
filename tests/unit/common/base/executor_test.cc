#include "common/base/executor.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;

TEST(ThreadExecutorTest, TasksRunOneAfterTheOtherInOrderOfPosting) {
  ThreadExecutor executor("test");
  constexpr int kTasks = 1000;
  std::vector<int> order;  // No lock: tasks never overlap.
  absl::Notification done;
  for (int i = 0; i < kTasks; ++i) {
    executor.Post([&order, i] { order.push_back(i); });
  }
  executor.Post([&done] { done.Notify(); });
  done.WaitForNotification();
  ASSERT_EQ(order.size(), static_cast<size_t>(kTasks));
  for (int i = 0; i < kTasks; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(ThreadExecutorTest, EarlierDueTimesComeFirstWhateverTheOrderOfPosting) {
  ThreadExecutor executor("test");
  std::string order;
  absl::Notification gate;
  absl::Notification done;
  executor.Post([&gate] { gate.WaitForNotification(); });
  executor.PostAfter(absl::Milliseconds(3), [&] {
    order += "late ";
    done.Notify();
  });
  executor.PostAfter(absl::Milliseconds(1), [&] { order += "soon "; });
  executor.Post([&] { order += "now "; });
  gate.Notify();
  done.WaitForNotification();
  EXPECT_EQ(order, "now soon late ");
}

TEST(ThreadExecutorTest, ADueTaskOvertakesOneThatIsBeingWaitedFor) {
  ThreadExecutor executor("test");
  bool late_ran = false;
  absl::Notification done;
  executor.PostAfter(absl::Hours(1), [&late_ran] { late_ran = true; });
  executor.Post([&done] { done.Notify(); });
  done.WaitForNotification();
  executor.Stop();
  EXPECT_FALSE(late_ran);
}

TEST(ThreadExecutorTest, ATaskMayPostAnother) {
  ThreadExecutor executor("test");
  absl::Notification done;
  executor.Post([&] { executor.Post([&] { executor.Post([&done] { done.Notify(); }); }); });
  done.WaitForNotification();
}

TEST(ThreadExecutorTest, ManyThreadsMayPost) {
  ThreadExecutor executor("a-name-longer-than-the-kernel-takes");
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  absl::BlockingCounter left(kThreads * kEach);
  int sum = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        executor.Post([&] {
          ++sum;
          left.DecrementCount();
        });
      }
    });
  }
  left.Wait();
  for (std::thread& thread : threads) thread.join();
  executor.Stop();
  EXPECT_EQ(sum, kThreads * kEach);
}

TEST(ThreadExecutorTest, StopDropsWhatHasNotBegunAndWhatComesLater) {
  auto dropped = std::make_shared<int>(0);
  ThreadExecutor executor("test");
  absl::Notification begun;
  absl::Notification go_on;
  executor.Post([&] {
    begun.Notify();
    go_on.WaitForNotification();
  });
  begun.WaitForNotification();
  executor.PostAfter(absl::Hours(1), [dropped] { ++*dropped; });
  go_on.Notify();
  executor.Stop();
  executor.Post([dropped] { ++*dropped; });
  executor.Stop();  // Twice is once.
  EXPECT_EQ(*dropped, 0);
  EXPECT_EQ(dropped.use_count(), 1) << "dropped tasks are destroyed";
}

TEST(FakeExecutorTest, RunsTasksAtTheirTimesInOrder) {
  FakeClock clock;
  FakeExecutor executor(clock);
  std::vector<absl::Duration> ran;
  const absl::Duration start = clock.Monotonic();
  const auto note = [&] { ran.push_back(clock.Monotonic() - start); };
  executor.PostAfter(absl::Seconds(2), note);
  executor.PostAfter(absl::Seconds(1), [&] {
    note();
    executor.PostAfter(absl::Milliseconds(500), note);
  });
  EXPECT_EQ(executor.RunDue(), 0);
  executor.RunFor(absl::Seconds(5));
  EXPECT_THAT(ran, ElementsAre(absl::Seconds(1), absl::Milliseconds(1500), absl::Seconds(2)));
  EXPECT_EQ(clock.Monotonic() - start, absl::Seconds(5));
}

}  // namespace
}  // namespace meridian
