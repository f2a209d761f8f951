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

WarmingResult Warmed(const Trace& trace, const std::vector<std::string>& sources,
                     bool restarts = false) {
  const absl::StatusOr<WarmingResult> result = SimulateWarming(
      trace, {.sources = sources, .capacity_entries = EntriesOf(trace, 0.1), .restarts = restarts});
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or(WarmingResult());
}

class SessionsTest : public testing::Test {
 protected:
  const Trace sessions_ = SessionTrace(absl::Hours(2));
};

TEST_F(SessionsTest, Requirement2_10_PredictionIsRightMoreThanHalfOfTheTimeAndGainsHits) {
  const WarmingResult without = Warmed(sessions_, {});
  const WarmingResult with = Warmed(sessions_, {"prediction"});
  EXPECT_GT(with.warmed.used, 300u) << "the test does not test";
  EXPECT_GE(with.precision(), 0.5);
  EXPECT_GT(with.hit_ratio(), without.hit_ratio() + 0.01);
}

TEST_F(SessionsTest, Requirement2_07_RulesGainMoreThanWhatTheyBringInVain) {
  const WarmingResult without = Warmed(sessions_, {});
  const WarmingResult with = Warmed(sessions_, {"rule"});
  EXPECT_GE(with.precision(), 0.5);
  EXPECT_GT(with.hit_ratio(), without.hit_ratio() + 0.05);
}

TEST_F(SessionsTest, InAnOrderByLotPredictionSpendsLessThanOnePercent) {
  const Trace shuffled = Shuffled(sessions_, 1);
  EXPECT_LT(Warmed(shuffled, {"prediction"}).looks(), 0.01);
}

// Less than 1 % of the requests, or as many right as wrong.
TEST_F(SessionsTest, Requirement2_16_InAnOrderByLotEverySourceAndAllOfThemSpendLittleOrArePaidFor) {
  const Trace shuffled = Shuffled(sessions_, 1);
  const std::vector<std::string> all = {"startup", "schedule", "rule", "prediction"};
  for (const std::string& source : all) {
    const WarmingResult alone = Warmed(shuffled, {source}, /*restarts=*/true);
    EXPECT_TRUE(alone.spending() < 0.01 || alone.late_precision() >= 0.5)
        << source << ": " << alone.spending() << " at " << alone.late_precision();
  }
  const WarmingResult together = Warmed(shuffled, all, /*restarts=*/true);
  EXPECT_GE(together.late_precision(), 0.5) << "of " << together.spending();
  for (const std::string& source : all) {
    if (source == "startup") continue;
    EXPECT_LT(together.spending(source), 0.01) << source;
  }
}

// Nothing is to be foreseen: they cost next to nothing, after what they are trusted with at first.
// What startup brings comes once, and is as much as its configuration says.
TEST(ByLotTest, Requirement2_16_AllSourcesTogetherSpendLittleOfTheRequests) {
  const Trace shuffled = Shuffled(SessionTrace(absl::Hours(6)), 1);
  const WarmingResult all =
      Warmed(shuffled, {"startup", "schedule", "rule", "prediction"}, /*restarts=*/true);
  EXPECT_LT(all.spending(), 0.025) << "precision " << all.late_precision();
  const double besides_startup = all.spending() - all.spending("startup");
  EXPECT_GT(besides_startup, 0) << "they go on probing";
  EXPECT_LT(besides_startup, 0.005);
  const WarmingResult running = Warmed(shuffled, {"schedule", "rule", "prediction"});
  EXPECT_LT(running.spending(), 0.005) << "precision " << running.late_precision();
}

TEST_F(SessionsTest, SourcesTogetherGainMoreThanEach) {
  const WarmingResult rules = Warmed(sessions_, {"rule"});
  const WarmingResult all = Warmed(sessions_, {"startup", "schedule", "rule", "prediction"});
  EXPECT_GT(all.hit_ratio(), rules.hit_ratio());
  EXPECT_GE(all.precision(), 0.5);
}

// What was asked for most is there before it is asked for.
TEST_F(SessionsTest, AStartThatIsWarmedHitsMoreAtFirst) {
  const WarmingResult cold = Warmed(sessions_, {}, /*restarts=*/true);
  const WarmingResult warm = Warmed(sessions_, {"startup"}, /*restarts=*/true);
  EXPECT_EQ(cold.first_requests, cold.requests / 100);
  EXPECT_GT(warm.first_hit_ratio(), cold.first_hit_ratio() + 0.1);
  EXPECT_GT(warm.warmed.warmed, 100u);
  EXPECT_LT(cold.hits, Warmed(sessions_, {}).hits) << "what was in memory is lost";
}

TEST_F(SessionsTest, ASourceThatDoesNotExistIsRefused) {
  EXPECT_FALSE(SimulateWarming(sessions_, {.sources = {"magic"}, .capacity_entries = 10}).ok());
}

// The structure of a fast stream is known too late to be of use: nothing is spent on it.
TEST(FastTraceTest, WhoAsksFasterThanAnybodyCanWarmIsLeftAlone) {
  const auto loop = [](int64_t tick_ns) {
    std::vector<Request> requests;
    for (int64_t i = 0; i < 100'000; ++i) {
      requests.push_back({static_cast<uint64_t>(i) % 5000, i * tick_ns, 0, 1});
    }
    return MakeTrace("loop", std::move(requests));
  };
  EXPECT_EQ(Warmed(loop(1'000'000), {"prediction"}).read, 0u);
  EXPECT_GT(Warmed(loop(1'000'000'000), {"prediction"}).read, 0u) << "the test does not test";
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
        trace, {.sources = {"schedule"}, .capacity_entries = 1000, .hot_interval = interval});
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
