#include "common/engine/frequency_sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace meridian {
namespace {

TEST(FrequencySketchTest, NeverEstimatesTooLittleAndSeldomTooMuch) {
  FrequencySketch sketch(1000);
  std::map<uint32_t, int> exact;
  std::mt19937 random(3);
  std::vector<uint32_t> hashes(1000);
  for (uint32_t& hash : hashes) hash = random();
  for (size_t i = 0; i + 1 < sketch.period(); ++i) {
    const uint32_t hash = hashes[random() % (1 + random() % hashes.size())];
    sketch.Count(hash);
    ++exact[hash];
  }
  int too_much = 0;
  for (const auto& [hash, count] : exact) {
    ASSERT_GE(sketch.Estimate(hash), std::min(count, 15)) << hash;
    too_much += sketch.Estimate(hash) > std::min(count, 15) ? 1 : 0;
  }
  EXPECT_LT(too_much, 100) << "of " << exact.size();
}

TEST(FrequencySketchTest, HalvesWhenItAges) {
  FrequencySketch sketch(10);
  ASSERT_EQ(sketch.period(), 100u);
  for (int i = 0; i < 12; ++i) sketch.Count(7);
  EXPECT_EQ(sketch.Estimate(7), 12);
  uint32_t other = 1000;
  while (sketch.Estimate(7) >= 12) {
    sketch.Count(other++);
    ASSERT_LT(other, 1100u) << "it should have aged";
  }
  EXPECT_LE(sketch.Estimate(7), 7);
  EXPECT_GE(sketch.Estimate(7), 6);
}

TEST(FrequencySketchTest, GrowingKeepsEveryEstimate) {
  FrequencySketch sketch(64);
  std::mt19937 random(5);
  std::map<uint32_t, int> before;
  for (int i = 0; i < 500; ++i) {
    const uint32_t hash = random() % 100 * 0x9E3779B9;
    sketch.Count(hash);
    before[hash] = 0;
  }
  for (auto& [hash, estimate] : before) estimate = sketch.Estimate(hash);
  sketch.Grow(5000);
  EXPECT_EQ(sketch.period(), 50'000u);
  for (const auto& [hash, estimate] : before) EXPECT_EQ(sketch.Estimate(hash), estimate) << hash;
  sketch.Grow(10);
  EXPECT_EQ(sketch.period(), 50'000u) << "it never shrinks";
}

}  // namespace
}  // namespace meridian
