#include "tests/support/fault_proxy/delay_line.h"

#include "gtest/gtest.h"

namespace meridian {
namespace {

constexpr absl::Duration kMs = absl::Milliseconds(1);

LinkSchedule Link(const DirectionFaults& faults) {
  LinkSchedule link(1);
  link.SetFaults(faults);
  return link;
}

TEST(DelayLineTest, WithoutFaultsBytesArriveAtOnce) {
  LinkSchedule link(1);
  DelayLine line;
  line.Push(10, 5 * kMs, link);
  EXPECT_EQ(line.next(), 5 * kMs);
  EXPECT_EQ(line.TakeArrived(5 * kMs), 10u);
  EXPECT_EQ(line.next(), absl::InfiniteDuration());
}

TEST(DelayLineTest, BytesArriveAfterTheDelayInTheirOrder) {
  LinkSchedule link = Link({.delay = 40 * kMs});
  DelayLine line;
  line.Push(10, 0 * kMs, link);
  line.Push(20, 1 * kMs, link);
  EXPECT_EQ(line.TakeArrived(39 * kMs), 0u);
  EXPECT_EQ(line.TakeArrived(40 * kMs), 10u);
  EXPECT_EQ(line.bytes(), 20u);
  EXPECT_EQ(line.TakeArrived(100 * kMs), 20u);
}

TEST(DelayLineTest, AShorterDelayDoesNotOvertake) {
  LinkSchedule link = Link({.delay = 40 * kMs});
  DelayLine line;
  line.Push(10, 0 * kMs, link);
  link.SetFaults({});
  line.Push(20, 1 * kMs, link);
  EXPECT_EQ(line.TakeArrived(39 * kMs), 0u);
  EXPECT_EQ(line.TakeArrived(40 * kMs), 30u);
}

TEST(DelayLineTest, JitterStaysWithinItsBoundsAndKeepsTheOrder) {
  LinkSchedule link = Link({.delay = 10 * kMs, .jitter = 5 * kMs});
  absl::Duration least = absl::InfiniteDuration();
  absl::Duration most;
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration arrival = link.Send(1, absl::ZeroDuration());
    least = std::min(least, arrival);
    most = std::max(most, arrival);
  }
  EXPECT_GE(least, 10 * kMs);
  EXPECT_LT(least, 11 * kMs);
  EXPECT_LE(most, 15 * kMs);
  EXPECT_GT(most, 14 * kMs);

  DelayLine line;
  for (int i = 0; i < 100; ++i) line.Push(1, i * kMs / 10, link);
  absl::Duration last;
  while (line.bytes() > 0) {
    EXPECT_GE(line.next(), last);
    last = line.next();
    line.TakeArrived(last);
  }
}

TEST(DelayLineTest, ARateIsKeptBitByBitAndSharedByAllConnections) {
  LinkSchedule link = Link({.bytes_per_second = 100'000});
  DelayLine one;
  DelayLine other;
  one.Push(50'000, absl::ZeroDuration(), link);
  other.Push(50'000, absl::ZeroDuration(), link);
  EXPECT_EQ(one.TakeArrived(100 * kMs), 10'000u);
  EXPECT_EQ(other.TakeArrived(500 * kMs), 0u) << "one's bytes were sent first";
  EXPECT_EQ(one.TakeArrived(501 * kMs), 40'000u);
  EXPECT_EQ(other.TakeArrived(1001 * kMs), 50'000u);
  other.Push(1000, 5000 * kMs, link);
  EXPECT_EQ(other.TakeArrived(5011 * kMs), 1000u) << "time without sending is not saved up";
}

TEST(DelayLineTest, TheEndArrivesAfterTheLastByte) {
  LinkSchedule link = Link({.delay = 40 * kMs});
  DelayLine line;
  line.Push(10, 0 * kMs, link);
  line.PushEnd(5 * kMs, link);
  EXPECT_EQ(line.TakeArrived(40 * kMs), 10u);
  EXPECT_FALSE(line.ended());
  EXPECT_EQ(line.next(), 45 * kMs);
  EXPECT_EQ(line.TakeArrived(45 * kMs), 0u);
  EXPECT_TRUE(line.ended());
}

}  // namespace
}  // namespace meridian
