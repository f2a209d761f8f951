#include "server/l2/sentinel_belief.h"

#include <vector>

#include "gtest/gtest.h"

namespace meridian {
namespace {

const RedisAddress kOld = {"old", 6379};
const RedisAddress kNew = {"new", 6379};

using Answers = std::vector<SentinelBelief::Answer>;

TEST(SentinelBeliefTest, TheHighestEpochIsBelieved) {
  SentinelBelief belief;
  EXPECT_EQ(belief.Judge(Answers{{kOld, 3}, {kNew, 4}, {std::nullopt, 0}}, absl::ZeroDuration()),
            1u);
  EXPECT_EQ(belief.Judge(Answers{{}, {}, {}}, absl::ZeroDuration()), std::nullopt);
}

TEST(SentinelBeliefTest, AnOlderAnswerIsRefusedAlsoWhenNobodyElseAnswers) {
  SentinelBelief belief;
  ASSERT_EQ(belief.Judge(Answers{{kNew, 4}, {kOld, 3}, {}}, absl::ZeroDuration()), 0u);
  const Answers stale = {{}, {kOld, 3}, {}};
  for (int second = 0; second < 100; ++second) {
    EXPECT_EQ(belief.Judge(stale, absl::Seconds(second)), std::nullopt) << second;
  }
  EXPECT_TRUE(belief.IsStale(stale[1]));
  EXPECT_FALSE(belief.IsStale(stale[0]));
  EXPECT_EQ(belief.Judge(Answers{{kOld, 5}, {}, {}}, absl::Seconds(100)), 0u);
}

TEST(SentinelBeliefTest, SentinelsThatWereSetUpAnewAreBelievedAfterAWhile) {
  SentinelBelief belief;
  ASSERT_EQ(belief.Judge(Answers{{kOld, 7}, {kOld, 7}, {}}, absl::ZeroDuration()), 0u);
  const Answers anew = {{kNew, 0}, {kNew, 0}, {}};
  const absl::Duration last = SentinelBelief::kForgetAfter - absl::Seconds(1);
  EXPECT_EQ(belief.Judge(anew, absl::ZeroDuration()), std::nullopt);
  EXPECT_EQ(belief.Judge(anew, last), std::nullopt);
  // Once one of them says the newer epoch again, the time begins anew.
  ASSERT_EQ(belief.Judge(Answers{{kNew, 0}, {kNew, 0}, {kOld, 7}}, last), 2u);
  EXPECT_EQ(belief.Judge(anew, last + absl::Seconds(1)), std::nullopt);
  EXPECT_EQ(belief.Judge(anew, last + absl::Seconds(1) + SentinelBelief::kForgetAfter), 0u);
  EXPECT_EQ(belief.epoch(), 0u);
}

}  // namespace
}  // namespace meridian
