#include "common/telemetry/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include "common/telemetry/counter.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;

TEST(CounterTest, CountsEveryAddOfEveryThread) {
  Counter counter;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2 * static_cast<int>(kThreadCells); ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) counter.Add();
      counter.Add(5);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 2 * kThreadCells * 10'005);
}

TEST(HistogramTest, ABoundBelongsToTheBucketBelowIt) {
  Histogram histogram({1, 2, 4});
  for (const double value : {-1.0, 0.0, 1.0, 1.5, 2.0, 2.1, 4.0, 4.1, 1e9}) {
    histogram.Observe(value);
  }
  const HistogramSnapshot snapshot = histogram.Snapshot();
  EXPECT_THAT(snapshot.counts, ElementsAre(3, 2, 2, 2));
  EXPECT_EQ(snapshot.count(), 9);
  EXPECT_DOUBLE_EQ(snapshot.sum, -1 + 1 + 1.5 + 2 + 2.1 + 4 + 4.1 + 1e9);
}

TEST(HistogramTest, LatenciesAreCountedInSeconds) {
  Histogram histogram(LatencyBounds());
  histogram.Observe(absl::Microseconds(50));
  histogram.Observe(absl::Milliseconds(3));
  histogram.Observe(absl::Seconds(6));
  const HistogramSnapshot snapshot = histogram.Snapshot();
  EXPECT_EQ(snapshot.bounds.size(), 20);
  EXPECT_EQ(snapshot.counts[0], 1);
  EXPECT_EQ(snapshot.counts[6], 1);
  EXPECT_EQ(snapshot.counts[20], 1);
  EXPECT_DOUBLE_EQ(snapshot.sum, 6.00305);
}

TEST(HistogramTest, AQuantileLiesInTheBucketOfTheTrueOne) {
  Histogram histogram(LatencyBounds());
  std::mt19937 rng(5);
  std::lognormal_distribution<double> latency(-7, 1.5);
  std::vector<double> values(10'000);
  for (double& value : values) {
    value = latency(rng);
    histogram.Observe(value);
  }
  std::sort(values.begin(), values.end());
  const HistogramSnapshot snapshot = histogram.Snapshot();
  const std::vector<double>& bounds = LatencyBounds();
  for (const double q : {0.01, 0.25, 0.5, 0.95, 0.99, 0.999}) {
    const double truth = values[static_cast<size_t>(q * values.size()) - 1];
    const auto upper = std::lower_bound(bounds.begin(), bounds.end(), truth);
    EXPECT_LE(snapshot.Quantile(q), *upper) << q;
    EXPECT_GE(snapshot.Quantile(q), upper == bounds.begin() ? 0 : *(upper - 1)) << q;
  }
}

TEST(HistogramTest, QuantilesOfFewObservationsAreWhatPrometheusSays) {
  EXPECT_EQ(Histogram({1, 2}).Snapshot().Quantile(0.5), 0);
  Histogram histogram({1, 2, 4});
  for (int i = 0; i < 4; ++i) histogram.Observe(1.5);
  EXPECT_DOUBLE_EQ(histogram.Snapshot().Quantile(0.5), 1.5);
  EXPECT_DOUBLE_EQ(histogram.Snapshot().Quantile(0), 1);
  EXPECT_DOUBLE_EQ(histogram.Snapshot().Quantile(1), 2);
  for (int i = 0; i < 4; ++i) histogram.Observe(100.0);
  EXPECT_DOUBLE_EQ(histogram.Snapshot().Quantile(0.99), 4);
}

TEST(HistogramTest, SnapshotsAddUpAndNoObservationIsLostBetweenThreads) {
  Histogram one({1, 2});
  Histogram two({1, 2});
  std::vector<std::thread> threads;
  for (int t = 0; t < 10; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5'000; ++i) (t % 2 == 0 ? one : two).Observe(1.5);
    });
  }
  for (std::thread& thread : threads) thread.join();
  HistogramSnapshot sum;
  sum += one.Snapshot();
  sum += two.Snapshot();
  EXPECT_THAT(sum.counts, ElementsAre(0, 50'000, 0));
  EXPECT_DOUBLE_EQ(sum.sum, 75'000);
}

TEST(HistogramTest, ManyAtOnceAreAsManyAlone) {
  Histogram many({1, 2});
  Histogram single({1, 2});
  many.ObserveMany(1.5, 3);
  for (int i = 0; i < 3; ++i) single.Observe(1.5);
  EXPECT_EQ(many.Snapshot().counts, single.Snapshot().counts);
  EXPECT_DOUBLE_EQ(many.Snapshot().sum, 4.5);
}

TEST(HistogramTest, ADifferenceIsWhatCameSince) {
  Histogram histogram({1, 2});
  histogram.Observe(0.5);
  const HistogramSnapshot earlier = histogram.Snapshot();
  histogram.Observe(1.5);
  HistogramSnapshot since = histogram.Snapshot();
  since -= earlier;
  EXPECT_EQ(since.counts, (std::vector<uint64_t>{0, 1, 0}));
  EXPECT_DOUBLE_EQ(since.sum, 1.5);
  HistogramSnapshot all = histogram.Snapshot();
  all -= HistogramSnapshot();
  EXPECT_EQ(all.count(), 2);
}

}  // namespace
}  // namespace meridian
