#include "server/replication/task_gate.h"

#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

TEST(TaskGateTest, AfterCloseNoTaskRunsWhoeverPostsIt) {
  ThreadExecutor executor("test");
  int runs = 0;  // Touched by tasks, and by this thread after Close: the sanitizer watches.
  absl::Notification begun;
  {
    const TaskGate gate(executor);
    std::vector<std::thread> posters;
    for (int t = 0; t < 3; ++t) {
      posters.emplace_back([gate, &runs, &begun, t] {
        for (int i = 0; i < 2000; ++i) {
          gate.Post([&runs, &begun, t, i] {
            ++runs;
            if (t == 0 && i == 10) begun.Notify();
          });
        }
      });
    }
    begun.WaitForNotification();
    EXPECT_GT(gate.Locked([&runs] { return runs; }), 0);
    gate.Close();
    const int at_close = runs;
    for (std::thread& poster : posters) poster.join();
    absl::Notification drained;
    executor.Post([&drained] { drained.Notify(); });
    drained.WaitForNotification();
    EXPECT_EQ(runs, at_close);
  }
}

TEST(TaskGateTest, AReplyComesBackBehindTheGateAndNotOnTheCallersStack) {
  ThreadExecutor executor("test");
  const TaskGate gate(executor);
  absl::Notification handled;
  std::thread::id ran_on;
  const std::function<void(std::vector<int>)> reply =
      gate.Reply<std::vector<int>>([&](const std::vector<int>& answer) {
        EXPECT_EQ(answer.size(), 3u);
        ran_on = std::this_thread::get_id();
        handled.Notify();
      });
  reply({1, 2, 3});
  handled.WaitForNotification();
  EXPECT_NE(ran_on, std::this_thread::get_id());
  gate.Close();
}

}  // namespace
}  // namespace meridian
