#include "common/engine/reuse_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>

namespace meridian {
namespace {

constexpr size_t kCapacity = 1000;

// The index by its definition: of all ages at which one may give up, the best ratio of uses to
// time.
double BruteForceIndex(const std::array<double, kAgeBuckets>& hazards, int from,
                       const ReuseScale& scale) {
  double best = 0;
  double survivors = 1;
  double uses = 0;
  double time = 0;
  for (int b = from; b < kAgeBuckets; ++b) {
    double width = static_cast<double>(AgeBucketBegin(b + 1)) - AgeBucketBegin(b);
    width *= 1 << scale.tick_shift();
    if (b == kAgeBuckets - 1) width *= 4;
    const double hazard = hazards[static_cast<size_t>(b)];
    uses += survivors * hazard;
    time += survivors * width * (1 - hazard / 2);
    survivors *= 1 - hazard;
    best = std::max(best, uses / time);
  }
  return best * static_cast<double>(scale.capacity());
}

void Count(ReuseModel* model, int reuse_class, int bucket, int reached, int used) {
  for (int i = 0; i < reached; ++i) model->CountReached(reuse_class, bucket);
  for (int i = 0; i < used; ++i) model->CountUsed(reuse_class, bucket);
}

TEST(ReuseModelTest, WorthIsTheGittinsIndexOfWhatWasSeen) {
  const ReuseScale scale(kCapacity, 256);
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    ReuseModel model;
    std::array<double, kAgeBuckets> hazards;
    // Class 0 is a group of its own. So many are seen that what others say does not count.
    constexpr int kSeen = 20'000;
    for (int b = 0; b < kAgeBuckets; ++b) {
      const int used = static_cast<int>(random() % (kSeen / 2));
      Count(&model, 0, b, kSeen, used);
      hazards[static_cast<size_t>(b)] = static_cast<double>(used) / kSeen;
    }
    const auto worth = std::make_unique<WorthTable>();
    model.Solve(scale, worth.get());
    for (int b = 0; b < kAgeBuckets; ++b) {
      const double expected = BruteForceIndex(hazards, b, scale);
      EXPECT_NEAR((*worth)[0][static_cast<size_t>(b)], expected, expected * 0.01 + 1e-6) << b;
    }
  }
}

TEST(ReuseModelTest, WithoutEvidenceWorthFallsWithAge) {
  const ReuseScale scale(kCapacity, 256);
  const auto worth = std::make_unique<WorthTable>();
  ReuseModel().Solve(scale, worth.get());
  for (const auto& row : *worth) {
    for (size_t b = 0; b < kAgeBuckets; ++b) {
      EXPECT_GT(row[b], 0);
      if (b >= 4) {
        EXPECT_LE(row[b], row[b - 1]) << b;
      }
    }
  }
}

TEST(ReuseModelTest, AClassLeansOnItsFrequencyAndThatOnAll) {
  const ReuseScale scale(kCapacity, 256);
  ReuseModel model;
  constexpr size_t kFrequent = 1 + 3 * kReuseDistances;  // The first class of the fourth frequency.
  for (int b = 0; b < kAgeBuckets; ++b) Count(&model, kFrequent, b, 1000, 800);
  const auto worth = std::make_unique<WorthTable>();
  model.Solve(scale, worth.get());
  const auto at = [&](size_t reuse_class) { return (*worth)[reuse_class][10]; };
  const auto fresh = std::make_unique<WorthTable>();
  ReuseModel().Solve(scale, fresh.get());
  EXPECT_GT(at(kFrequent), at(1));  // Seen itself, against another frequency.
  EXPECT_NEAR(at(kFrequent + 1), at(kFrequent), at(kFrequent) * 0.1);  // Leans on its frequency.
  EXPECT_GT(at(1), (*fresh)[1][10]);                                   // Leans on all.
}

TEST(ReuseModelTest, CountsThatAreHalvedLongEnoughAreForgotten) {
  const ReuseScale scale(kCapacity, 256);
  ReuseModel model;
  for (int b = 0; b < kAgeBuckets; ++b) Count(&model, 1, b, 1000, 900);
  for (int i = 0; i < 40; ++i) model.Fade();
  const auto faded = std::make_unique<WorthTable>();
  const auto fresh = std::make_unique<WorthTable>();
  model.Solve(scale, faded.get());
  ReuseModel().Solve(scale, fresh.get());
  for (size_t b = 0; b < kAgeBuckets; ++b) {
    EXPECT_NEAR((*faded)[1][b], (*fresh)[1][b], (*fresh)[1][b] * 1e-3);
  }
}

TEST(ReuseModelTest, MoreUsesThanEntriesAreNoNegativeWorth) {
  const ReuseScale scale(kCapacity, 256);
  ReuseModel model;
  for (int b = 0; b < kAgeBuckets; ++b) Count(&model, 2, b, 1, 1000);
  const auto worth = std::make_unique<WorthTable>();
  model.Solve(scale, worth.get());
  for (const auto& row : *worth) {
    for (const float value : row) EXPECT_GT(value, 0);
  }
}

TEST(FixedTablesTest, OrderAsTheySay) {
  const ReuseScale scale(100'000, 256);
  const auto table = std::make_unique<WorthTable>();
  const size_t old_age = 20;
  const size_t older = 24;
  const size_t rare = 1;                         // Frequency 1, nearest distance.
  const size_t often = 1 + 4 * kReuseDistances;  // Frequency 5, nearest distance.
  const size_t often_far = often + kReuseDistances - 1;

  StableFrequencyWorth(scale, table.get());
  EXPECT_GT((*table)[often][old_age], (*table)[rare][old_age]);
  EXPECT_GT((*table)[rare][old_age], (*table)[0][old_age]);
  EXPECT_GT((*table)[rare][older], (*table)[rare][old_age]);  // The older of two alike stays.
  EXPECT_GT((*table)[0][0], (*table)[often][old_age]);        // Just used.

  DistanceWorth(scale, table.get());
  EXPECT_GT((*table)[often][old_age], (*table)[often_far][old_age]);
  EXPECT_GT((*table)[often][old_age], (*table)[often][kAgeBuckets - 1]);
  EXPECT_GT((*table)[often_far][kAgeBuckets - 1], (*table)[0][old_age]);
  for (const auto& row : *table) {
    for (const float value : row) EXPECT_GT(value, 0);
  }

  RecencyWorth(table.get());
  for (size_t b = 1; b < kAgeBuckets; ++b) {
    EXPECT_LT((*table)[often][b], (*table)[0][b - 1]);
    EXPECT_EQ((*table)[often][b], (*table)[0][b]);
  }
}

}  // namespace
}  // namespace meridian
