#include "server/refill/warm_readiness.h"

#include <gtest/gtest.h>

namespace meridian {
namespace {

constexpr absl::Duration kStart = absl::Seconds(1000);

TEST(WarmReadinessTest, WaitsForWarmth) {
  WarmReadiness readiness({.warmth = 0.8, .deadline = absl::Seconds(10)});
  EXPECT_FALSE(readiness.Update(true, 0.2, kStart));
  EXPECT_FALSE(readiness.Update(true, 0.79, kStart + absl::Seconds(1)));
  EXPECT_TRUE(readiness.Update(true, 0.8, kStart + absl::Seconds(2)));
}

TEST(WarmReadinessTest, FailsOpenAtTheDeadlineThatBeginsWithTheFirstSlots) {
  WarmReadiness readiness({.warmth = 0.8, .deadline = absl::Seconds(10)});
  EXPECT_FALSE(readiness.Update(false, 0, kStart));
  EXPECT_FALSE(readiness.Update(false, 0, kStart + absl::Hours(1))) << "it has nothing to do yet";
  const absl::Duration owns = kStart + absl::Hours(1);
  EXPECT_FALSE(readiness.Update(true, 0, owns));
  EXPECT_FALSE(readiness.Update(true, 0, owns + absl::Milliseconds(9999)));
  EXPECT_TRUE(readiness.Update(true, 0, owns + absl::Seconds(10)));
}

TEST(WarmReadinessTest, OnlyAStartWaits) {
  WarmReadiness readiness({.warmth = 0.8, .deadline = absl::Seconds(10)});
  EXPECT_TRUE(readiness.Update(true, 1, kStart));
  EXPECT_TRUE(readiness.Update(true, 0, kStart + absl::Seconds(1)));
  EXPECT_TRUE(readiness.Update(false, 0, kStart + absl::Seconds(2)));
  EXPECT_FALSE(readiness.IsWarm(0)) << "that is still said for itself";
}

TEST(WarmReadinessTest, NobodyWaitsLongerForANodeThatStaysCold) {
  WarmReadiness readiness({.warmth = 0.8, .deadline = absl::Seconds(10)});
  EXPECT_EQ(readiness.Told(true, 0.9, kStart), 0.9);
  EXPECT_EQ(readiness.Told(true, 0.5, kStart + absl::Hours(1)), 0.5);
  EXPECT_EQ(readiness.Told(true, 0.1, kStart + absl::Hours(1) + absl::Milliseconds(9999)), 0.1);
  EXPECT_EQ(readiness.Told(true, 0.1, kStart + absl::Hours(1) + absl::Seconds(10)), 1);
  EXPECT_EQ(readiness.Told(true, 0.85, kStart + absl::Hours(2)), 0.85);
  EXPECT_EQ(readiness.Told(true, 0.5, kStart + absl::Hours(3)), 0.5) << "it is cold anew";
}

TEST(WarmReadinessTest, ANodeWithoutSlotsIsToldAsColdHoweverLong) {
  WarmReadiness readiness({.warmth = 0.8, .deadline = absl::Seconds(10)});
  EXPECT_EQ(readiness.Told(false, 1, kStart), 0);
  EXPECT_EQ(readiness.Told(false, 1, kStart + absl::Minutes(1)), 0);
  EXPECT_EQ(readiness.Told(true, 0.5, kStart + absl::Minutes(1)), 0.5);
}

// Who is ready with less must not keep others from restarting for ever.
TEST(WarmReadinessTest, WhatIsWarmEnoughForReadinessAloneIsWaitedForUntilTheDeadline) {
  WarmReadiness readiness({.warmth = 0.5, .deadline = absl::Seconds(10)});
  EXPECT_EQ(readiness.Told(true, 0.6, kStart), 0.6);
  EXPECT_EQ(readiness.Told(true, 0.6, kStart + absl::Seconds(10)), 1);
}

TEST(WarmReadinessTest, WithoutADeadlineNobodyWaits) {
  WarmReadiness readiness({.warmth = 0.8, .deadline = absl::ZeroDuration()});
  EXPECT_TRUE(readiness.Update(true, 0, kStart));
}

}  // namespace
}  // namespace meridian
