#include "server/node/read_figures.h"

#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

TEST(ReadFiguresTest, CountsByTierAndVersion) {
  ReadFigures figures;
  EXPECT_TRUE(figures.ByVersion().empty());
  const size_t one = figures.IndexOf(1);
  figures.Count(one, ReadTier::kL1, absl::Milliseconds(2), 10);
  figures.Count(one, ReadTier::kMiss, absl::Milliseconds(40));
  figures.CountError(figures.IndexOf(2));
  const std::vector<ReadFigures::OfVersion> rows = figures.ByVersion();
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows[0].version, 1);
  EXPECT_EQ(rows[0].counts.l1.count(), 10);
  EXPECT_DOUBLE_EQ(rows[0].counts.l1.sum, 0.02) << "each of the ten took 2 ms";
  EXPECT_EQ(rows[0].counts.miss.count(), 1);
  EXPECT_EQ(rows[0].counts.reads(), 11);
  EXPECT_EQ(rows[1].counts.errors, 1);
}

TEST(ReadFiguresTest, AThirdVersionTakesThePlaceOfTheIdleOneAndBeginsAtNothing) {
  ReadFigures figures;
  for (const uint64_t version : {4, 5}) {
    figures.Count(figures.IndexOf(version), ReadTier::kL1, absl::Milliseconds(1), 100);
  }
  figures.ByVersion();  // What comes is of late.
  figures.Count(figures.IndexOf(4), ReadTier::kL1, absl::Milliseconds(1), 7);
  figures.Count(figures.IndexOf(6), ReadTier::kL1, absl::Milliseconds(1), 3);
  const std::vector<ReadFigures::OfVersion> rows = figures.ByVersion();
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows[0].version, 4) << "the base of a rollout stays, though it is the oldest";
  EXPECT_EQ(rows[0].counts.l1.count(), 107);
  EXPECT_EQ(rows[1].version, 6);
  EXPECT_EQ(rows[1].counts.l1.count(), 3);
  EXPECT_EQ(figures.Total().l1.count(), 210) << "what was counted stays counted";
}

TEST(ReadFiguresTest, TheGuardsGetFinerBucketsThanTheMetrics) {
  ReadFigures figures;
  const size_t one = figures.IndexOf(1);
  figures.Count(one, ReadTier::kL2, absl::Milliseconds(14));
  figures.Count(one, ReadTier::kL2, absl::Milliseconds(15));
  const HistogramSnapshot fine = figures.ByVersion()[0].counts.l2;
  EXPECT_EQ(fine.bounds, FineLatencyBounds());
  EXPECT_EQ(fine.counts[FineLatencyBucket(0.014)], 1);
  EXPECT_EQ(fine.counts[FineLatencyBucket(0.015)], 1);
  const HistogramSnapshot exported = figures.Total().l2;
  Histogram coarse(LatencyBounds());
  for (const double seconds : {0.014, 0.015}) coarse.Observe(seconds);
  EXPECT_EQ(exported.bounds, LatencyBounds());
  EXPECT_EQ(exported.counts, coarse.Snapshot().counts);
}

using ReadFiguresOnPathTest = NodeFixture;

TEST_F(ReadFiguresOnPathTest, Requirement1_12_ReadsAreTimedByTheTierThatAnswered) {
  StartNodes(1);
  WriteOne(node(0), SetOf("a", "v"));
  WriteOne(node(0), SetOf("b", "v"));
  Read(node(0), {"a", "b", "a"});
  node(0).engine().Clear();
  const auto slow = BeginRead({"a"}, {}, 0, absl::Seconds(1));
  clock_.Advance(absl::Milliseconds(7));
  executor_.RunDue();
  ASSERT_EQ(slow->shown.size(), 1);
  Read(node(0), {"absent"});
  const auto figures = node(0).context().namespaces.Figures();
  ASSERT_EQ(figures.size(), 1);
  EXPECT_EQ(figures[0].first, kSpace);
  const ReadCounts total = figures[0].second->Total();
  EXPECT_EQ(total.l1.count(), 3);
  EXPECT_EQ(total.l2.count(), 1);
  EXPECT_DOUBLE_EQ(total.l2.sum, 0.007);
  EXPECT_EQ(total.miss.count(), 1);
  EXPECT_EQ(total.errors, 0);
}

TEST_F(ReadFiguresOnPathTest, ForwardedReadsCountOnceAtTheOwner) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  WriteOne(node(0), SetOf(key, "v"));
  ReadOne(node(0), key);
  uint64_t reads = 0;
  for (const auto& [name, figures] : node(0).context().namespaces.Figures()) {
    reads += figures->Total().reads();
  }
  EXPECT_EQ(reads, 0);
  EXPECT_EQ(node(1).context().namespaces.Figures()[0].second->Total().reads(), 1);
}

TEST_F(ReadFiguresOnPathTest, NamespacesBeyondTheLimitAreCountedTogether) {
  StartNodes(1);
  Namespaces& namespaces = node(0).context().namespaces;
  for (size_t i = 0; i < Namespaces::kMaxFigures + 2; ++i) {
    const Namespace* name_space = namespaces.Resolve(absl::StrCat("ns", i));
    name_space->figures->CountError(name_space->figures->IndexOf(0));
  }
  const auto figures = namespaces.Figures();
  ASSERT_EQ(figures.size(), Namespaces::kMaxFigures + 1);
  EXPECT_EQ(figures.back().first, "other");
  EXPECT_EQ(figures.back().second->Total().errors, 2);
}

}  // namespace
}  // namespace meridian
