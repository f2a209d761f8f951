#include "bench/sim/warming_sim.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "bench/sim/session_trace.h"
#include "bench/sim/simulation.h"
#include "bench/sim/trace.h"

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

// 50 keys that live a minute, each asked for every second, for two hours.
Trace HotTrace() {
  std::vector<Request> requests;
  for (int64_t second = 0; second < 7200; ++second) {
    for (uint64_t key = 0; key < 50; ++key) {
      requests.push_back({key, second * 1'000'000'000, 60'000'000'000, 1});
    }
  }
  return MakeTrace("hot", std::move(requests));
}

// A refresh costs a load although the key is in memory. Shortly before its end it spares one; when
// six come in a life, five of them are in vain, and the budget sees it.
TEST(RefreshTest, PaysLateInALifeAndIsHeldBackWhenItComesAgainAndAgain) {
  const Trace trace = HotTrace();
  const auto refresh_every = [&](absl::Duration interval) {
    const absl::StatusOr<WarmingResult> result = SimulateWarming(
        trace, {.source = "schedule", .capacity_entries = 1000, .hot_interval = interval});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.value_or(WarmingResult());
  };
  const WarmingResult late = refresh_every(absl::Seconds(55));
  EXPECT_GE(late.precision(), 0.95);
  EXPECT_LT(late.requests - late.hits, 200u) << "6000 without";
  EXPECT_EQ(late.budget, 1000);

  const WarmingResult often = refresh_every(absl::Seconds(10));
  EXPECT_LT(often.budget, 500);
  EXPECT_LT(often.read, 18'000u) << "36 000 were wanted";
}

}  // namespace
}  // namespace meridian::sim
