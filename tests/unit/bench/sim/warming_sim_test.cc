#include "bench/sim/warming_sim.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/time/time.h"
#include "bench/sim/session_trace.h"
#include "bench/sim/simulation.h"

namespace meridian::sim {
namespace {

WarmingResult Simulate(const Trace& trace, const std::string& source) {
  const absl::StatusOr<WarmingResult> result =
      SimulateWarming(trace, {.source = source, .capacity_entries = EntriesOf(trace, 0.1)});
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or(WarmingResult());
}

class SessionsTest : public testing::Test {
 protected:
  const Trace sessions_ = SessionTrace(absl::Hours(2));
};

TEST_F(SessionsTest, Requirement2_10_PredictionIsRightMoreThanHalfOfTheTimeAndGainsHits) {
  const WarmingResult without = Simulate(sessions_, "none");
  const WarmingResult with = Simulate(sessions_, "prediction");
  EXPECT_GT(with.warmed.used, 300u) << "the test does not test";
  EXPECT_GE(with.precision(), 0.5);
  EXPECT_GT(with.hit_ratio(), without.hit_ratio() + 0.01);
}

TEST_F(SessionsTest, Requirement2_07_RulesGainMoreThanWhatTheyBringInVain) {
  const WarmingResult without = Simulate(sessions_, "none");
  const WarmingResult with = Simulate(sessions_, "rule");
  EXPECT_GE(with.precision(), 0.5);
  EXPECT_GT(with.hit_ratio(), without.hit_ratio() + 0.05);
}

TEST_F(SessionsTest, InAnOrderByLotPredictionSpendsLessThanOnePercent) {
  const Trace shuffled = Shuffled(sessions_, 1);
  EXPECT_LT(Simulate(shuffled, "prediction").spending(), 0.01);
}

TEST_F(SessionsTest, ASourceThatDoesNotExistIsRefused) {
  EXPECT_FALSE(SimulateWarming(sessions_, {.source = "magic", .capacity_entries = 10}).ok());
}

}  // namespace
}  // namespace meridian::sim
