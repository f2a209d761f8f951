#include "server/replication/carried_out_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/node/fence.h"
#include "server/replication/staleness_sampler.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

class CarriedOutQueueTest : public testing::Test {
 protected:
  static CarriedOut ChangeOf(const std::string& key) { return {{1, "task", key}, {100, 1}, {}}; }
  static CarriedOut FenceOf(const std::string& name) {
    const Fence fence{.name_space = "task", .scope = FenceScope::kTag, .name = name};
    return {FenceKey(fence), {100, 1}, {}};
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  TaskGate gate_{executor_};
  std::vector<std::string> taken_;
  CarriedOutQueue queue_{gate_, [this](const CarriedOut& one) { taken_.push_back(one.key.key); }};
};

TEST_F(CarriedOutQueueTest, WhatFindsNoPlaceIsDroppedAndCountedAndOthersCome) {
  const SampledStore::Listener listener = queue_.Listener();
  for (size_t i = 0; i < CarriedOutQueue::kPlaces; ++i) listener(ChangeOf(std::to_string(i)));
  EXPECT_EQ(queue_.dropped().changes, 0);
  for (int i = 0; i < 3; ++i) listener(FenceOf("red"));
  listener(ChangeOf("beyond"));
  EXPECT_EQ(queue_.dropped().fences, 3);
  EXPECT_EQ(queue_.dropped().changes, 1);
  EXPECT_TRUE(taken_.empty()) << "the store's thread does not wait";
  executor_.RunDue();
  ASSERT_EQ(taken_.size(), CarriedOutQueue::kPlaces);
  EXPECT_EQ(taken_.back(), std::to_string(CarriedOutQueue::kPlaces - 1));

  listener(FenceOf("blue"));
  executor_.RunDue();
  EXPECT_EQ(taken_.size(), CarriedOutQueue::kPlaces + 1) << "there is room again";
  EXPECT_EQ(queue_.dropped().fences, 3);
}

// Of one store, whoever tells.
TEST_F(CarriedOutQueueTest, ListenersShareThePlaces) {
  const SampledStore::Listener one = queue_.Listener();
  const SampledStore::Listener other = queue_.Listener();
  for (size_t i = 0; i < CarriedOutQueue::kPlaces; ++i) (i % 2 == 0 ? one : other)(ChangeOf("k"));
  other(ChangeOf("beyond"));
  EXPECT_EQ(queue_.dropped().changes, 1);
}

TEST_F(CarriedOutQueueTest, NobodyIsToldOnceTheGateIsClosed) {
  const SampledStore::Listener listener = queue_.Listener();
  listener(ChangeOf("waits"));
  gate_.Close();
  listener(ChangeOf("late"));
  executor_.RunDue();
  EXPECT_TRUE(taken_.empty());
}

}  // namespace
}  // namespace meridian
