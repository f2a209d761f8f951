#include "server/warming/cold_start.h"

#include "gtest/gtest.h"

namespace meridian {
namespace {

constexpr absl::Duration kSettle = absl::Seconds(5);

class ColdStartTest : public ::testing::Test {
 protected:
  // These nodes serve from now on, and time passes.
  void Serve(const ColdStart::Nodes& nodes, absl::Duration duration) {
    const absl::Duration end = now_ + duration;
    for (; now_ < end; now_ += absl::Seconds(1)) {
      cold_.SetServing(nodes, now_);
      cold_.Learn(now_);
    }
    cold_.SetServing(nodes, now_);
  }

  absl::Duration now_ = absl::Hours(1);
  ColdStart cold_{kSettle};
};

TEST_F(ColdStartTest, TheFirstNodesAreColdWhenTheirNumberHasSettled) {
  EXPECT_FALSE(cold_.IsCold(now_)) << "nobody serves";
  Serve({"a/1"}, absl::Seconds(4));
  EXPECT_FALSE(cold_.IsCold(now_));
  Serve({"a/1", "b/1"}, absl::Seconds(4));
  EXPECT_FALSE(cold_.IsCold(now_)) << "one has joined a moment ago";
  Serve({"a/1", "b/1"}, absl::Seconds(1));
  EXPECT_TRUE(cold_.IsCold(now_));
  cold_.Started();
  EXPECT_FALSE(cold_.IsCold(now_));
  Serve({"a/1", "b/1"}, absl::Hours(1));
  EXPECT_FALSE(cold_.IsCold(now_));
}

TEST_F(ColdStartTest, ARollingRestartIsNotCold) {
  Serve({"a/1", "b/1"}, kSettle);
  cold_.Started();
  Serve({"b/1"}, absl::Seconds(20));
  Serve({"a/2", "b/1"}, absl::Seconds(40));  // It is known again.
  Serve({"a/2"}, absl::Seconds(20));
  Serve({"a/2", "b/2"}, absl::Seconds(40));
  EXPECT_FALSE(cold_.IsCold(now_));
}

TEST_F(ColdStartTest, AllThatRestartAtAboutTheSameTimeAreCold) {
  Serve({"a/1", "b/1"}, kSettle);
  cold_.Started();
  Serve({"b/1"}, absl::Seconds(1));
  Serve({"a/2", "b/1"}, absl::Seconds(2));  // It is back before b is missed.
  Serve({"a/2"}, absl::Seconds(1));
  Serve({"a/2", "b/2"}, kSettle);
  EXPECT_TRUE(cold_.IsCold(now_));
}

TEST_F(ColdStartTest, ANewLeaderKnowsWhatTheLastOneKnew) {
  Serve({"a/1", "b/1"}, kSettle);
  cold_.Started();
  ColdStart next(kSettle);
  next.Restore(cold_.known());
  next.SetServing({"a/1", "c/1"}, absl::ZeroDuration());
  EXPECT_FALSE(next.IsCold(absl::Hours(1)));
  ColdStart other(kSettle);
  other.Restore(cold_.known());
  other.SetServing({"a/2", "b/2"}, absl::ZeroDuration());
  EXPECT_TRUE(other.IsCold(absl::Hours(1)));
}

TEST_F(ColdStartTest, WhatIsToBeKeptIsSaidOnce) {
  Serve({"a/1"}, kSettle);
  cold_.Started();
  cold_.SetServing({"a/1", "b/1"}, now_);
  EXPECT_FALSE(cold_.Learn(now_));
  now_ += ColdStart::kKnownAfter;
  EXPECT_TRUE(cold_.Learn(now_));
  EXPECT_FALSE(cold_.Learn(now_));
  EXPECT_EQ(cold_.known(), (ColdStart::Nodes{"a/1", "b/1"}));
  cold_.SetServing({"b/1"}, now_);
  EXPECT_TRUE(cold_.Learn(now_));
  EXPECT_EQ(cold_.known(), ColdStart::Nodes{"b/1"});
}

}  // namespace
}  // namespace meridian
