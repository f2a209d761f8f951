#include "server/replication/link_pace.h"

#include "gtest/gtest.h"

namespace meridian {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(5);

// What was sent is late, and comes back.
void BeLate(LinkPace* pace) {
  const size_t sent = pace->Room();
  pace->Sent(sent);
  pace->OnLate();
  pace->Done(sent);
}

TEST(LinkPaceTest, AtFirstAllThatIsAllowedMayBeUnderWay) {
  LinkPace pace(100, kTimeout);
  EXPECT_EQ(pace.Room(), 100u);
  pace.Sent(60);
  EXPECT_EQ(pace.Room(), 40u);
  pace.Sent(40);
  EXPECT_EQ(pace.Room(), 0u);
  pace.Done(100);
  EXPECT_EQ(pace.Room(), 100u);
}

TEST(LinkPaceTest, WhatIsLateIsHalvedDownToOneWhichThenHasMoreTime) {
  LinkPace pace(100, kTimeout);
  for (const size_t expected : {50, 25, 12, 6, 3, 1}) {
    BeLate(&pace);
    EXPECT_EQ(pace.Room(), expected);
    EXPECT_EQ(pace.Timeout(0), kTimeout);
  }
  for (const int expected : {2, 4, 8, 16, 16}) {
    BeLate(&pace);
    EXPECT_EQ(pace.Room(), 1u);
    EXPECT_EQ(pace.Timeout(0), expected * kTimeout);
  }
}

TEST(LinkPaceTest, WhatIsAnsweredRaisesItAgain) {
  LinkPace pace(100, kTimeout);
  for (int i = 0; i < 8; ++i) BeLate(&pace);
  int answers = 0;
  for (; pace.Room() < 100; ++answers) pace.OnAnswered(pace.Room());
  EXPECT_LT(answers, 60);
  EXPECT_EQ(pace.Timeout(0), kTimeout);
  for (int i = 0; i < 10; ++i) pace.OnAnswered(100);
  EXPECT_EQ(pace.Room(), 100u);
}

// Ten were too many: half of a thousand that nobody sent would be too many as well.
TEST(LinkPaceTest, WhatWasUnderWayIsHalvedNotWhatWasAllowed) {
  LinkPace pace(1000, kTimeout);
  pace.Sent(10);
  pace.OnLate();
  pace.Done(10);
  EXPECT_EQ(pace.Room(), 5u);
}

TEST(LinkPaceTest, ManyBytesHaveMoreTime) {
  const LinkPace pace(100, kTimeout);
  EXPECT_EQ(pace.Timeout(1 << 20), kTimeout + absl::Seconds(8));
}

}  // namespace
}  // namespace meridian
