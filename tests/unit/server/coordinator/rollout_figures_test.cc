#include "server/coordinator/rollout_figures.h"

#include <gtest/gtest.h>

#include <numeric>

#include "common/telemetry/fine_latency.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

constexpr absl::Duration kSecond = absl::Seconds(1);

admin::v1::GetFiguresResponse With(const std::string& id, uint64_t hits, uint64_t trial_misses) {
  admin::v1::GetFiguresResponse answer = Answer(id);
  ReadCounts base = Reads(hits, 2, 3);
  base.errors = 4;
  AddReads("task", base, &answer, 1);
  AddReads("task", Reads(0, 0, trial_misses), &answer, 2);
  return answer;
}

TEST(RolloutFiguresTest, AreTheSumsOfTheNodesByNamespaceAndVersion) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1"), Follow("n2")}, kSecond);
  EXPECT_FALSE(FiguresByVersion(figures, kSecond).has_value());
  for (const char* id : {"n1", "n2"}) {
    admin::v1::GetFiguresResponse first = Answer(id);
    figures.Take(id, first, kSecond);
    figures.Take(id, With(id, 100, 7), 2 * kSecond);
  }
  const std::optional<VersionFigures> now = FiguresByVersion(figures, 2 * kSecond);
  ASSERT_TRUE(now.has_value());
  EXPECT_TRUE(now->complete);
  const VersionReads base = now->Of("task", 1);
  EXPECT_EQ(base.hits, 204u);
  EXPECT_EQ(base.misses, 6u);
  EXPECT_EQ(base.errors, 8u);
  EXPECT_EQ(now->Of("task", 2).misses, 14u);
  EXPECT_EQ(now->Of("task", 2).hits, 0u);
  // Errors have no time; every other read has one, of whatever tier.
  ASSERT_EQ(base.latency.size(), now->latency_bounds.size() + 1);
  EXPECT_EQ(std::accumulate(base.latency.begin(), base.latency.end(), uint64_t{0}), 210u);
}

// What nodes tell in fine buckets arrives so, also of a node that is started anew and of a version
// that has come back; what they told before this coordinator led does not count.
TEST(RolloutFiguresTest, TheTimesOfReadsAreAsFineAsNodesTellThem) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1")}, kSecond);
  const auto told = [](double seconds, uint64_t reads, uint64_t incarnation) {
    admin::v1::GetFiguresResponse answer = Answer("n1", incarnation);
    answer.clear_latency_bounds();
    for (const double bound : FineLatencyBounds()) answer.add_latency_bounds(bound);
    Histogram histogram(FineLatencyBounds());
    histogram.ObserveMany(seconds, reads);
    ReadCounts counts;
    counts.l2 = histogram.Snapshot();
    AddReads("task", counts, &answer, 1);
    return answer;
  };
  const auto times = [&](absl::Duration now) {
    return FiguresByVersion(figures, now)->Of("task", 1).latency;
  };
  figures.Take("n1", told(0.014, 10, 1), kSecond);
  figures.Take("n1", told(0.014, 30, 1), 2 * kSecond);
  EXPECT_EQ(times(2 * kSecond)[FineLatencyBucket(0.014)], 20u);
  figures.Take("n1", told(0.015, 5, 1), 3 * kSecond);
  EXPECT_EQ(times(3 * kSecond)[FineLatencyBucket(0.015)], 5u) << "the version counts anew";
  figures.Take("n1", told(0.015, 7, 2), 4 * kSecond);
  const std::vector<uint64_t> last = times(4 * kSecond);
  EXPECT_EQ(last[FineLatencyBucket(0.014)], 20u);
  EXPECT_EQ(last[FineLatencyBucket(0.015)], 12u) << "the node has started anew";
  EXPECT_EQ(std::accumulate(last.begin(), last.end(), uint64_t{0}), 32u);
}

TEST(RolloutFiguresTest, AMemberThatDoesNotAnswerMakesThemIncomplete) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1"), Follow("n2")}, kSecond);
  figures.Take("n1", Answer("n1"), kSecond);
  EXPECT_FALSE(FiguresByVersion(figures, kSecond)->complete) << "n2 has never answered";
  figures.Take("n2", Answer("n2"), kSecond);
  EXPECT_TRUE(FiguresByVersion(figures, kSecond)->complete);
  figures.Take("n1", Answer("n1"), 5 * kSecond);
  EXPECT_FALSE(FiguresByVersion(figures, 5 * kSecond)->complete) << "n2 is silent";
  figures.SetNodes({Follow("n1")}, 5 * kSecond);
  EXPECT_TRUE(FiguresByVersion(figures, 5 * kSecond)->complete) << "n2 is no member any more";
}

}  // namespace
}  // namespace meridian
