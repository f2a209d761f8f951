#include "common/engine/reuse_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace meridian {
namespace {

TEST(AgeBucketTest, BucketsPartitionTheAgesInHalfOctaves) {
  for (int bucket = 0; bucket + 1 < kAgeBuckets; ++bucket) {
    const uint32_t begin = AgeBucketBegin(bucket);
    const uint32_t end = AgeBucketBegin(bucket + 1);
    ASSERT_LT(begin, end);
    EXPECT_EQ(AgeBucketOf(begin), bucket);
    EXPECT_EQ(AgeBucketOf(end - 1), bucket);
  }
  EXPECT_EQ(AgeBucketOf(~uint32_t{0}), kAgeBuckets - 1);
}

TEST(ReuseStateTest, ClassesAreByFrequencyAndDistanceAndTheFirstUseIsItsOwn) {
  EXPECT_EQ(ReuseClassOf(kFirstUse), 0);
  std::set<int> classes;
  for (int distance = 0; distance < kReuseDistances; ++distance) {
    for (int frequency = 0; frequency < 32; ++frequency) {
      classes.insert(ReuseClassOf(static_cast<ReuseState>(distance << 5 | frequency)));
    }
  }
  EXPECT_EQ(classes.size(), static_cast<size_t>(kReuseClasses - 1));
  EXPECT_EQ(*classes.begin(), 1);
  EXPECT_EQ(*classes.rbegin(), kReuseClasses - 1);
}

TEST(ReuseScaleTest, TheMeanOfTheNextFrequencyIsTheFormulas) {
  XorShift random(7);
  for (const size_t capacity : {100u, 1000u, 100'000u}) {
    const ReuseScale scale(capacity, 256);
    const double ticks =
        static_cast<double>(capacity) / static_cast<double>(1 << scale.tick_shift());
    for (const int frequency : {0, 4, 9, 20}) {
      for (const double distance_capacities : {0.0, 4.0, 16.0, 32.0}) {
        const auto distance = static_cast<uint32_t>(distance_capacities * ticks);
        double sum = 0;
        constexpr int kDraws = 4000;
        for (int i = 0; i < kDraws; ++i) {
          sum += scale.Next(static_cast<ReuseState>(frequency), distance, random) & 31;
        }
        const double f = std::exp2(frequency / 4.0) * std::exp2(-distance_capacities / 16);
        EXPECT_NEAR(sum / kDraws, 4 * std::log2(1 + f), 0.12)
            << capacity << " " << frequency << " " << distance_capacities;
      }
    }
  }
}

TEST(ReuseScaleTest, DistanceClassesBeginAtAnEighthAndReachFourTimesAsFarEach) {
  XorShift random(1);
  const ReuseScale scale(1024, 256);  // 4 requests a tick: 256 ticks a capacity.
  const auto class_of = [&](uint32_t ticks) { return scale.Next(4, ticks, random) >> 5; };
  EXPECT_EQ(class_of(31), 0);
  EXPECT_EQ(class_of(32), 1);
  EXPECT_EQ(class_of(127), 1);
  EXPECT_EQ(class_of(128), 2);
  EXPECT_EQ(class_of(511), 2);
  EXPECT_EQ(class_of(512), 3);
  EXPECT_EQ(class_of(2047), 3);
  EXPECT_EQ(class_of(2048), 4);
  EXPECT_EQ(class_of(1 << 23), 4);
}

TEST(ReuseScaleTest, TicksStayWhenTheCapacityChanges) {
  ReuseScale scale(size_t{1} << 20, 4096);
  const int shift = scale.tick_shift();
  scale.SetCapacity(1000);
  EXPECT_EQ(scale.tick_shift(), shift);
  EXPECT_EQ(scale.capacity(), 1000u);
  EXPECT_DOUBLE_EQ(scale.DistanceOf(1) / scale.DistanceOf(0), 4);
}

TEST(ReuseScaleTest, TheSmallestCapacitiesWork) {
  XorShift random(1);
  for (const size_t capacity : {0u, 1u, 2u, 3u}) {
    const ReuseScale scale(capacity, 256);
    EXPECT_EQ(scale.tick_shift(), 0);
    EXPECT_LT(scale.Next(kFirstUse, 1'000'000, random) >> 5, kReuseDistances);
  }
}

}  // namespace
}  // namespace meridian
