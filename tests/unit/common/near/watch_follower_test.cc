// WatchFollower: what a stream's messages do to a NearCache.

#include "common/near/watch_follower.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

using Message = cache::v1::WatchResponse;

constexpr uint64_t kIncarnation = 5;

class WatchFollowerTest : public testing::Test {
 protected:
  void SetUp() override {
    cache_ = *NearCache::Create({.capacity_bytes = 1 << 20});
    follower_ = std::make_unique<WatchFollower>(*cache_, cache_->NewSource());
    follower_->SetSlots(Slots({1, 2, 3}));
  }

  static WatchFollower::Slots Slots(std::initializer_list<uint32_t> slots) {
    WatchFollower::Slots set;
    for (const uint32_t slot : slots) set.set(slot);
    return set;
  }
  // A message of a node whose clock shows `at` when it is sent, complete as of then.
  static Message MessageOf(uint64_t previous, uint64_t sequence, uint64_t at = 100'000,
                           uint64_t incarnation = kIncarnation) {
    Message message;
    message.set_previous(previous);
    message.set_sequence(sequence);
    message.set_incarnation(incarnation);
    message.set_sent_at_ms(at);
    message.set_complete_at_ms(at);
    return message;
  }
  static void AddGap(uint32_t slot, bool ended, Message* message) {
    cache::v1::WatchEvent* event = message->add_events();
    event->set_slot(slot);
    event->mutable_gap()->set_ended(ended);
  }
  bool Serves(uint32_t slot) const { return cache_->Serves(slot, clock_.Monotonic()); }
  // "1 2 3": the slots that are served now.
  std::string Served() const {
    std::string served;
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      if (Serves(slot)) served += (served.empty() ? "" : " ") + std::to_string(slot);
    }
    return served;
  }
  void Begin() { (void)follower_->Begin(clock_.Monotonic()); }

  FakeClock clock_;
  std::unique_ptr<NearCache> cache_;
  std::unique_ptr<WatchFollower> follower_;
};

TEST_F(WatchFollowerTest, SlotsAreServedFromTheFirstMessageOn) {
  const cache::v1::WatchRequest request = follower_->Begin(clock_.Monotonic());
  EXPECT_EQ(request.slots_size(), 3);
  EXPECT_EQ(request.resume_after(), 0);
  EXPECT_EQ(Served(), "");
  Message first = MessageOf(0, 10);
  AddGap(2, /*ended=*/true, &first);
  EXPECT_TRUE(follower_->Take(first));
  EXPECT_EQ(Served(), "1 3") << "2 is not the node's";
  Message gained = MessageOf(10, 11);
  AddGap(2, /*ended=*/false, &gained);
  EXPECT_TRUE(follower_->Take(gained));
  EXPECT_EQ(Served(), "1 2 3");
}

TEST_F(WatchFollowerTest, AHoleOrAnotherProcessTakesEverything) {
  for (const Message& bad : {MessageOf(11, 12), MessageOf(10, 11, 100'000, kIncarnation + 1)}) {
    Begin();
    ASSERT_TRUE(follower_->Take(MessageOf(0, 10)));
    ASSERT_EQ(Served(), "1 2 3");
    EXPECT_FALSE(follower_->Take(bad));
    EXPECT_EQ(Served(), "");
    EXPECT_EQ(follower_->Begin(clock_.Monotonic()).resume_after(), 0);
  }
}

TEST_F(WatchFollowerTest, WhatComesTwiceOrLateChangesNothing) {
  Begin();
  ASSERT_TRUE(follower_->Take(MessageOf(0, 10)));
  Message second = MessageOf(10, 12);
  AddGap(1, /*ended=*/true, &second);
  Message third = MessageOf(12, 13);
  AddGap(1, /*ended=*/false, &third);
  ASSERT_TRUE(follower_->Take(second));
  ASSERT_TRUE(follower_->Take(third));
  EXPECT_TRUE(follower_->Take(second)) << "again";
  EXPECT_EQ(Served(), "1 2 3");
  EXPECT_TRUE(follower_->Take(third));
  EXPECT_TRUE(follower_->Take(MessageOf(13, 14)));
}

TEST_F(WatchFollowerTest, AStreamGoesOnWithEverythingThatWasKept) {
  Begin();
  ASSERT_TRUE(follower_->Take(MessageOf(0, 10)));
  const cache::v1::WatchRequest again = follower_->Begin(clock_.Monotonic());
  EXPECT_EQ(again.resume_after(), 10);
  EXPECT_EQ(again.incarnation(), kIncarnation);
  EXPECT_EQ(Served(), "1 2 3") << "nothing is lost yet";
  const uint64_t drops = cache_->Stats().slot_drops;
  ASSERT_TRUE(follower_->Take(MessageOf(10, 12)));
  EXPECT_EQ(cache_->Stats().slot_drops, drops);
  EXPECT_EQ(follower_->resumes(), 1);
  Begin();
  ASSERT_TRUE(follower_->Take(MessageOf(0, 50)));  // The node no longer knew.
  EXPECT_EQ(cache_->Stats().slot_drops, drops + 3);
  EXPECT_EQ(follower_->restarts(), 1);
  EXPECT_EQ(Served(), "1 2 3");
}

TEST_F(WatchFollowerTest, SlotsThatAreNotWantedGoAtOnceAndNewOnesComeWithTheNextStream) {
  Begin();
  ASSERT_TRUE(follower_->Take(MessageOf(0, 10)));
  follower_->SetSlots(Slots({2, 3, 4}));
  EXPECT_EQ(Served(), "2 3");
  ASSERT_TRUE(follower_->Take(MessageOf(10, 11)));
  EXPECT_EQ(Served(), "2 3") << "nobody has asked for 4 yet";
  Begin();
  ASSERT_TRUE(follower_->Take(MessageOf(11, 12)));
  EXPECT_EQ(Served(), "2 3 4");
}

TEST_F(WatchFollowerTest, HowFarItIsCompleteIsNeverToldLaterThanItWas) {
  Begin();
  clock_.Advance(absl::Seconds(1));  // A slow way.
  ASSERT_TRUE(follower_->Take(MessageOf(0, 10, 50'000)));
  clock_.Advance(absl::Milliseconds(2000));
  EXPECT_EQ(Served(), "1 2 3") << "complete as of 3 s ago, at least";
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Served(), "");
  // Ten seconds later a message arrives that was sent eight seconds ago: that is no news.
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(follower_->Take(MessageOf(10, 11, 55'000)));
  EXPECT_EQ(Served(), "");
  ASSERT_TRUE(follower_->Take(MessageOf(11, 12, 63'000)));
  EXPECT_EQ(Served(), "1 2 3");
}

TEST_F(WatchFollowerTest, ANodeThatIsAliveButHearsNothingIsNotTrusted) {
  Begin();
  ASSERT_TRUE(follower_->Take(MessageOf(0, 10, 50'000)));
  for (uint64_t second = 1; second <= 5; ++second) {
    clock_.Advance(absl::Seconds(1));
    Message message = MessageOf(10, 10, 50'000 + 1000 * second);
    message.set_complete_at_ms(50'000);  // Its Redis does not answer.
    ASSERT_TRUE(follower_->Take(message));
    EXPECT_EQ(Served(), second <= 3 ? "1 2 3" : "") << second;
  }
  ASSERT_TRUE(follower_->Take(MessageOf(10, 10, 55'000)));
  EXPECT_EQ(Served(), "1 2 3");
}

TEST_F(WatchFollowerTest, NonsenseIsNotBelieved) {
  Begin();
  EXPECT_FALSE(follower_->Take(MessageOf(0, 10, 100'000, /*incarnation=*/0)));
  Begin();
  ASSERT_TRUE(follower_->Take(MessageOf(0, 10)));
  Message message = MessageOf(10, 11);
  message.add_events()->set_slot(5000);
  AddGap(7, /*ended=*/false, &message);  // Nobody has asked for it.
  message.add_events()->set_slot(1);     // An event that this build does not know.
  const uint64_t drops = cache_->Stats().slot_drops;
  EXPECT_TRUE(follower_->Take(message));
  EXPECT_EQ(Served(), "1 2 3");
  EXPECT_EQ(cache_->Stats().slot_drops, drops + 1) << "it may be anything: slot 1 is given up";
}

}  // namespace
}  // namespace meridian
