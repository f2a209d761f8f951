#include "bench/workloads/pareto_experiment.h"

#include <gtest/gtest.h>

namespace meridian {
namespace {

TEST(ParetoExperimentTest, Requirement4_06_4_12_SixtyPercentFromEmptyAndMoreThanSeventyFromThenOn) {
  const ParetoReport report = RunParetoExperiment(/*seed=*/1);
  EXPECT_NEAR(report.cold, 0.60, 0.03) << "what the source measured";
  EXPECT_GE(report.second, 0.70);
  EXPECT_GE(report.warmed, 0.80) << "the goal of its third week";
}

// A database that answered 1000 requests a second is asked for 50 of them at most, so that it would
// do for 15 times as many requests.
TEST(ParetoExperimentTest, Requirement4_08_4_09_L1AnswersFourOfFiveAndTheOriginOneInTwenty) {
  const LayerShares shares = RunLayerExperiment(/*seed=*/1);
  EXPECT_GE(shares.l1, 0.80);
  EXPECT_LE(shares.origin, 0.05);
  EXPECT_NEAR(shares.l2, 0.15, 0.05);
  EXPECT_NEAR(shares.l1 + shares.l2 + shares.origin, 1, 1e-9);
}

}  // namespace
}  // namespace meridian
