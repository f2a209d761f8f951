#include "common/rpc/pending_calls.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"

namespace meridian {
namespace {

TEST(PendingCallsTest, WithoutCallsItEndsAtOnce) {
  PendingCalls calls;
  const auto context = std::make_shared<grpc::ClientContext>();
  calls.Began(context);
  calls.Ended(context);
}

TEST(PendingCallsTest, ItsEndWaitsForTheLastCallback) {
  auto calls = std::make_unique<PendingCalls>();
  std::vector<PendingCalls::Context> contexts;
  for (int i = 0; i < 3; ++i) {
    contexts.push_back(std::make_shared<grpc::ClientContext>());
    calls->Began(contexts.back());
  }
  absl::Notification begun;
  absl::Notification ended;
  int left = 3;
  PendingCalls* const raw = calls.get();
  std::thread callbacks([&] {
    begun.WaitForNotification();
    for (const auto& context : contexts) {
      EXPECT_FALSE(ended.HasBeenNotified());
      --left;
      raw->Ended(context);
    }
  });
  std::thread owner([&] {
    begun.Notify();
    calls.reset();
    EXPECT_EQ(left, 0);
    ended.Notify();
  });
  owner.join();
  callbacks.join();
}

}  // namespace
}  // namespace meridian
