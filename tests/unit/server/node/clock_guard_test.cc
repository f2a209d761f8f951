#include "server/node/clock_guard.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;

class ClockGuardTest : public testing::Test {
 protected:
  // Another's clock is `ahead` of the true time; it answers at once.
  void Hear(const std::string& reference, absl::Duration ahead) {
    const absl::Duration now = clock_.Monotonic();
    guard_.Measured(reference, true_time() + ahead, now, now);
  }
  absl::Time true_time() const { return begin_ + (clock_.Monotonic() - monotonic_); }
  // This machine's clock is so far ahead of the true time.
  void SetAhead(absl::Duration ahead) { clock_.JumpTo(true_time() + ahead); }

  FakeClock clock_;
  const absl::Time begin_ = clock_.Now();
  const absl::Duration monotonic_ = clock_.Monotonic();
  ClockGuard guard_{clock_};
};

TEST_F(ClockGuardTest, AloneEveryClockIsRight) {
  SetAhead(absl::Hours(100));
  EXPECT_TRUE(guard_.ok());
  EXPECT_TRUE(guard_.Check().ok());
  EXPECT_EQ(guard_.Ahead(), absl::ZeroDuration());
}

TEST_F(ClockGuardTest, SixtySecondsAreTolerated) {
  Hear("redis of us", absl::ZeroDuration());
  for (const absl::Duration skew : {absl::Seconds(60), absl::Seconds(-60)}) {
    SetAhead(skew);
    EXPECT_TRUE(guard_.ok()) << skew;
    EXPECT_EQ(guard_.Ahead(), skew);
  }
  SetAhead(absl::Milliseconds(60'001));
  EXPECT_FALSE(guard_.ok());
  EXPECT_EQ(guard_.Check().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(guard_.Check().message()), HasSubstr("CLOCK_SKEW"));
  EXPECT_THAT(std::string(guard_.Check().message()), HasSubstr("ahead"));
  SetAhead(absl::Milliseconds(-60'001));
  EXPECT_FALSE(guard_.ok());
  EXPECT_THAT(std::string(guard_.Check().message()), HasSubstr("behind"));
}

TEST_F(ClockGuardTest, AJumpShowsBeforeAnybodyIsAskedAgain) {
  Hear("redis of us", absl::ZeroDuration());
  clock_.Advance(absl::Hours(10));
  EXPECT_TRUE(guard_.ok());
  SetAhead(absl::Hours(1));
  EXPECT_FALSE(guard_.ok());
  SetAhead(absl::ZeroDuration());
  EXPECT_TRUE(guard_.ok());
}

// A machine that slept: its monotonic time stood still, and what it remembers is of before.
TEST_F(ClockGuardTest, AfterASleepTheNextWordDecides) {
  Hear("redis of us", absl::ZeroDuration());
  clock_.JumpTo(clock_.Now() + absl::Hours(8));
  EXPECT_FALSE(guard_.ok());
  const absl::Duration now = clock_.Monotonic();
  guard_.Measured("redis of us", clock_.Now(), now, now);
  EXPECT_TRUE(guard_.ok());
}

TEST_F(ClockGuardTest, OneWrongClockAmongOthersStopsNobody) {
  Hear("redis of us", absl::Hours(5));
  EXPECT_FALSE(guard_.ok());  // The only other clock.
  Hear("redis of eu", absl::ZeroDuration());
  EXPECT_TRUE(guard_.ok());  // Of two, the nearer.
  Hear("node n2", absl::Seconds(1));
  EXPECT_TRUE(guard_.ok());
  SetAhead(absl::Hours(5));  // Agrees with the wrong one: outvoted.
  EXPECT_FALSE(guard_.ok());
  const std::vector<ClockOffset> offsets = guard_.Offsets();
  ASSERT_EQ(offsets.size(), 3u);
  EXPECT_EQ(offsets[0].reference, "node n2");
  EXPECT_EQ(offsets[0].ahead, absl::Hours(5) - absl::Seconds(1));
  EXPECT_EQ(offsets[2].reference, "redis of us");
  EXPECT_EQ(offsets[2].ahead, absl::ZeroDuration());
}

TEST_F(ClockGuardTest, WhoIsNotHeardAnyMoreIsForgottenUnlessNobodyElseSpeaks) {
  Hear("redis of eu", absl::Hours(1));
  clock_.Advance(ClockGuard::kMemory + absl::Seconds(1));
  EXPECT_FALSE(guard_.ok());
  Hear("redis of us", absl::Hours(2));
  EXPECT_EQ(guard_.Offsets().size(), 1u);
  EXPECT_EQ(guard_.Ahead(), -absl::Hours(2));
}

TEST_F(ClockGuardTest, AnAnswerCountsForTheMiddleOfItsWay) {
  const absl::Duration sent = clock_.Monotonic();
  clock_.Advance(absl::Seconds(2));
  const absl::Time its_time = clock_.Now();
  clock_.Advance(absl::Seconds(2));
  guard_.Measured("redis of us", its_time, sent, clock_.Monotonic());
  EXPECT_EQ(guard_.Ahead(), absl::ZeroDuration());
}

}  // namespace
}  // namespace meridian
