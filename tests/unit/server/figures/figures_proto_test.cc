#include "server/figures/figures_proto.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "server/figures/analytics.h"
#include "server/figures/region_counts.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

// As a node answers whose release has other bounds: 1 ms, 7 ms, 10 s.
admin::v1::GetFiguresResponse OfAnotherRelease() {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.clear_latency_bounds();
  for (const double bound : {0.001, 0.007, 10.0}) answer.add_latency_bounds(bound);
  admin::v1::NamespaceFigures* row = answer.add_namespaces();
  row->set_namespace_("task");
  row->set_errors(5);
  for (const uint64_t count : {60, 30, 7, 3}) row->mutable_l1_latency()->add_counts(count);
  row->mutable_l1_latency()->set_seconds(1.5);
  row->mutable_miss_latency()->add_counts(0);
  row->mutable_miss_latency()->add_counts(100);
  row->mutable_miss_latency()->set_seconds(0.5);
  return answer;
}

TEST(FiguresProtoTest, OtherBoundsAreToldInOursAndNothingIsLost) {
  const admin::v1::GetFiguresResponse answer = OfAnotherRelease();
  const ReadCounts reads = FromProto(answer.namespaces(0), BoundsOf(answer));
  EXPECT_EQ(reads.l1.bounds, LatencyBounds());
  EXPECT_EQ(reads.l1.count(), 100u);
  EXPECT_DOUBLE_EQ(reads.l1.sum, 1.5);
  EXPECT_EQ(reads.errors, 5u);
  // 1 ms is a bound of ours; 7 ms is told as 8 ms; 10 s is beyond all.
  EXPECT_NEAR(reads.l1.Quantile(0.6), 0.001, 1e-9);
  EXPECT_NEAR(reads.l1.Quantile(0.9), 0.008, 1e-9);
  EXPECT_EQ(reads.l1.counts.back(), 10u);
}

TEST(FiguresProtoTest, WithOurBoundsNothingMoves) {
  const ReadCounts counts = Reads(100, 20, 3);
  admin::v1::GetFiguresResponse answer = Answer("n1");
  AddReads("task", counts, &answer);
  const ReadCounts back = FromProto(answer.namespaces(0), BoundsOf(answer));
  EXPECT_EQ(back.l1.counts, counts.l1.counts);
  EXPECT_EQ(back.l2.counts, counts.l2.counts);
  EXPECT_EQ(back.miss.counts, counts.miss.counts);
}

TEST(FiguresProtoTest, SumsOfMixedReleasesHaveTheReadsOfAll) {
  admin::v1::GetFiguresResponse ours = Answer("n2");
  AddReads("task", Reads(50, 0, 50), &ours);
  const std::vector<admin::v1::GetFiguresResponse> both = {OfAnotherRelease(), ours};
  RegionCounts sum = CountsOf(both[0]);
  sum += CountsOf(both[1]);
  EXPECT_EQ(sum.all.reads.hits(), 150u);
  EXPECT_EQ(sum.ReadsOf("task").miss.count(), 150u);
  const admin::v1::CacheMetrics metrics =
      AnalyticsOf(both, {.name_space = "task"}).stats().metrics();
  EXPECT_EQ(metrics.hits(), 150u);
  EXPECT_EQ(metrics.misses(), 150u);
}

}  // namespace
}  // namespace meridian
