#include "common/telemetry/fine_latency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace meridian {
namespace {

size_t Searched(double seconds) {
  const std::vector<double>& bounds = FineLatencyBounds();
  return static_cast<size_t>(std::lower_bound(bounds.begin(), bounds.end(), seconds) -
                             bounds.begin());
}

TEST(FineLatencyTest, EachCoarseBoundIsOneAndNoBucketIsWiderThanPromised) {
  const std::vector<double>& bounds = FineLatencyBounds();
  EXPECT_LT(bounds.size(), 300u);
  for (const double bound : LatencyBounds()) {
    EXPECT_TRUE(std::binary_search(bounds.begin(), bounds.end(), bound)) << bound;
  }
  for (size_t i = 1; i < bounds.size(); ++i) {
    EXPECT_LE(bounds[i] / bounds[i - 1] - 1, kMostWidth) << bounds[i];
    EXPECT_GE(bounds[i] / bounds[i - 1] - 1, kLeastWidth) << bounds[i];
  }
}

TEST(FineLatencyTest, TheBucketIsTheOneThatASearchFinds) {
  for (const double bound : FineLatencyBounds()) {
    EXPECT_EQ(FineLatencyBucket(bound), Searched(bound)) << bound;
    for (const double near : {std::nextafter(bound, 0.0), std::nextafter(bound, 9.0)}) {
      EXPECT_EQ(FineLatencyBucket(near), Searched(near)) << near;
    }
  }
  std::mt19937 random(3);
  std::uniform_real_distribution<double> exponent(-20, 5);
  for (int i = 0; i < 100'000; ++i) {
    const double seconds = std::exp2(exponent(random));
    ASSERT_EQ(FineLatencyBucket(seconds), Searched(seconds)) << seconds;
  }
}

TEST(FineLatencyTest, WhatIsNoLatencyHasABucketToo) {
  const size_t last = FineLatencyBounds().size();
  EXPECT_EQ(FineLatencyBucket(0), 0u);
  EXPECT_EQ(FineLatencyBucket(-1), 0u);
  EXPECT_EQ(FineLatencyBucket(std::nan("")), 0u);
  EXPECT_EQ(FineLatencyBucket(std::numeric_limits<double>::infinity()), last);
  EXPECT_EQ(FineLatencyBucket(5), last - 1);
  EXPECT_EQ(FineLatencyBucket(5.1), last);
}

TEST(FineLatencyTest, InTheCoarseBucketsTheCountsAreThoseOfACoarseHistogram) {
  Histogram fine(FineLatencyBounds());
  Histogram coarse(LatencyBounds());
  std::mt19937 random(5);
  std::lognormal_distribution<double> latency(-7, 2);
  for (int i = 0; i < 20'000; ++i) {
    const double seconds = latency(random);
    fine.ObserveIn(FineLatencyBucket(seconds), seconds, 1);
    coarse.Observe(seconds);
  }
  const HistogramSnapshot told = InBounds(fine.Snapshot(), LatencyBounds());
  EXPECT_EQ(told.bounds, LatencyBounds());
  EXPECT_EQ(told.counts, coarse.Snapshot().counts);
  EXPECT_DOUBLE_EQ(told.sum, coarse.Snapshot().sum);
  const HistogramSnapshot back = InBounds(told, FineLatencyBounds());
  EXPECT_EQ(InBounds(back, LatencyBounds()).counts, told.counts);
  EXPECT_EQ(InBounds(HistogramSnapshot(), LatencyBounds()).count(), 0u);
}

}  // namespace
}  // namespace meridian
