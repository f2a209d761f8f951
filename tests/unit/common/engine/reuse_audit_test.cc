#include "common/engine/reuse_audit.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>

namespace meridian {
namespace {

// An audit that follows a cache of `entries`, with the fixed tables that `tables` says. The learned
// one is the table by recency, so that it wins no race of its own.
class Audit {
 public:
  explicit Audit(size_t entries, size_t room = 0)
      : scale_(entries, 256), audit_(entries, room == 0 ? entries : room, XorShift(3)) {
    for (size_t table = 0; table < kReuseTables; ++table) RecencyWorth(&(*tables_)[table]);
    StableFrequencyWorth(scale_, &(*tables_)[kStableWorth]);
  }

  void Use(uint32_t key, ReuseState state = 4, float charge = 1) {
    ++requests_;
    const uint64_t hash = key * uint64_t{0x9E3779B97F4A7C15};
    if (!audit_.sample().Has(hash)) return;
    ++sampled_;
    audit_.Record({key, static_cast<uint32_t>(requests_ >> scale_.tick_shift()), state, charge, 1},
                  *tables_, &model_);
  }
  ReuseTable Best() const { return audit_.Best(); }
  const ReuseModel& model() const { return model_; }
  const ReuseScale& scale() const { return scale_; }
  uint64_t sampled() const { return sampled_; }
  uint64_t requests() const { return requests_; }

 private:
  ReuseScale scale_;
  ReuseAudit audit_;
  std::unique_ptr<WorthTables> tables_ = std::make_unique<WorthTables>();
  ReuseModel model_;
  uint64_t requests_ = 0;
  uint64_t sampled_ = 0;
};

TEST(ReuseAuditTest, ALoopThatDoesNotFitIsForTheStableTable) {
  Audit audit(500);
  for (uint32_t i = 0; i < 50'000; ++i) audit.Use(i % 1000);
  EXPECT_EQ(audit.Best(), kStableWorth);
}

TEST(ReuseAuditTest, AMovingHotSetIsForRecencyAlsoAfterALoop) {
  Audit audit(500);
  for (uint32_t i = 0; i < 30'000; ++i) audit.Use(i % 1000);
  ASSERT_EQ(audit.Best(), kStableWorth);
  // Each key is used four times within 400 requests, and then never again.
  std::mt19937 random(1);
  for (uint32_t i = 0; i < 100'000; ++i) {
    audit.Use(10'000 + i / 4 - static_cast<uint32_t>(random() % 100));
  }
  EXPECT_NE(audit.Best(), kStableWorth);
}

TEST(ReuseAuditTest, ALargeCacheIsSampledByKey) {
  Audit audit(100'000);  // 100,000 / 128 of 100,000 entries.
  for (uint32_t key = 0; key < 1'000'000; ++key) audit.Use(key);
  EXPECT_NEAR(static_cast<double>(audit.sampled()), 1'000'000.0 / 128, 500);
  // A sampled key is sampled each time.
  const uint64_t once = audit.sampled();
  for (uint32_t key = 0; key < 1'000'000; ++key) audit.Use(key);
  EXPECT_EQ(audit.sampled(), 2 * once);
}

TEST(ReuseAuditTest, TeachesTheModelWhenKeysComeBack) {
  // Every key comes back after exactly 256 requests, a quarter of the capacity.
  Audit audit(1024);
  for (uint32_t i = 0; i < 100'000; ++i) audit.Use(i % 256);
  const auto worth = std::make_unique<WorthTable>();
  audit.model().Solve(audit.scale(), worth.get());
  const auto at = [&](uint32_t requests) {
    const int bucket = AgeBucketOf(requests >> audit.scale().tick_shift());
    return (*worth)[static_cast<size_t>(ReuseClassOf(4))][static_cast<size_t>(bucket)];
  };
  EXPECT_GT(at(250), 2 * at(10));    // It is about to be used.
  EXPECT_GT(at(250), 2 * at(1000));  // It should have been used, and was not.
}

// Charges that change, keys that are forgotten, refusals: the books must stay in order (asan and
// the vectors' own checks would tell), and the answer sane.
TEST(ReuseAuditTest, RandomUsesWithChargesKeepTheBooks) {
  for (const size_t entries : {1u, 2u, 50u, 5000u}) {
    Audit audit(entries, entries * 100);
    std::mt19937 random(static_cast<uint32_t>(entries));
    for (int i = 0; i < 60'000; ++i) {
      const uint32_t key = static_cast<uint32_t>(random() % (random() % (4 * entries) + 1));
      const auto state = static_cast<ReuseState>(random() % 3 == 0 ? kFirstUse : random() % 160);
      audit.Use(key, state, static_cast<float>(1 + random() % 400));
    }
    EXPECT_GT(audit.sampled(), 0u);
    EXPECT_LT(static_cast<size_t>(audit.Best()), kReuseTables);
  }
}

}  // namespace
}  // namespace meridian
