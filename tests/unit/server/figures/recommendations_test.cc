#include "server/figures/recommendations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/policy/text.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

using coordinator::v1::Recommendation;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

WhatIfSum Asked(uint64_t ttl_ms, uint64_t max_bytes, double present, double predicted,
                double replayed) {
  admin::v1::WhatIfRequest request;
  request.set_ttl_ms(ttl_ms);
  request.set_max_bytes(max_bytes);
  admin::v1::WhatIfResponse answer;
  answer.set_requests(1000);
  answer.set_hit_rate(present);
  answer.set_predicted_hit_rate(predicted);
  answer.set_replayed_hit_rate(replayed);
  answer.set_present_ttl_ms(1000);
  answer.set_present_max_bytes(max_bytes / 2);
  WhatIfSum sum;
  sum.Add(request, answer);
  return sum;
}

class RecommendationsTest : public testing::Test {
 protected:
  RecommendationsTest() { figures_.SetNodes({Follow("n1")}, {}); }

  // From nothing to this within 20 s.
  void Grow(const admin::v1::GetFiguresResponse& answer) {
    figures_.Take(answer.node(), Answer(answer.node()), {});
    figures_.Tick({}, absl::UnixEpoch());
    figures_.Take(answer.node(), answer, kNow);
    figures_.Tick(kNow, absl::UnixEpoch() + kNow);
  }
  void GrowReads(const ReadCounts& reads) {
    admin::v1::GetFiguresResponse answer = Answer("n1");
    AddReads("task", reads, &answer);
    Grow(answer);
  }
  std::vector<Recommendation> All() const {
    return Recommendations({.figures = figures_,
                            .now = kNow,
                            .forecasts = {{"task", forecast_}},
                            .hot_keys = hot_keys_});
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const Recommendation& row : All()) names.push_back(row.name() + " " + row.severity());
    return names;
  }

  static constexpr absl::Duration kNow = absl::Seconds(20);
  RegionFigures figures_;
  NamespaceForecast forecast_;
  std::vector<HotKey> hot_keys_;
};

TEST_F(RecommendationsTest, SilentWhenThereIsNothingToSay) {
  EXPECT_THAT(Names(), IsEmpty());
  GrowReads(Reads(850, 50, 100));
  EXPECT_THAT(Names(), IsEmpty()) << "90 % is optimal";
}

TEST_F(RecommendationsTest, SilentAboutFewReads) {
  GrowReads(Reads(0, 0, 499));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(RecommendationsTest, Requirement3_05_TheBands) {
  GrowReads(Reads(700, 0, 300));
  EXPECT_THAT(Names(), ElementsAre("hit_rate_to_watch info"));
}

TEST_F(RecommendationsTest, Requirement3_05_ALowRateIsToBeActedOn) {
  GrowReads(Reads(490, 0, 510));
  EXPECT_THAT(Names(), ElementsAre("hit_rate_low warning"));
}

TEST_F(RecommendationsTest, TheTtlToAskForIsLongerThanThePresentOne) {
  GrowReads(Reads(490, 0, 510));
  EXPECT_EQ(All()[0].command(), "meridianctl what-if task --ttl 10m") << "it is not known";
  admin::v1::WhatIfResponse answer;
  answer.set_requests(1000);
  answer.set_present_ttl_ms(3'600'000);
  forecast_.longer_ttl.emplace_back().Add({}, answer);
  ASSERT_THAT(Names(), ElementsAre("hit_rate_low warning"));
  EXPECT_EQ(All()[0].command(), "meridianctl what-if task --ttl 4h");
}

TEST_F(RecommendationsTest, Requirement3_15_AHighRateMayBeOverCaching) {
  GrowReads(Reads(960, 0, 40));
  ASSERT_THAT(Names(), ElementsAre("over_caching info"));
  EXPECT_EQ(All()[0].command(), "meridianctl staleness task");
}

TEST_F(RecommendationsTest, Requirement1_01_2_13_AGoalStandsForTheBands) {
  const auto with = [&](uint64_t hits, uint64_t misses, double goal) {
    figures_.Clear();
    figures_.SetNodes({Follow("n1")}, {});
    admin::v1::GetFiguresResponse answer = Answer("n1");
    AddReads("task", Reads(hits, 0, misses), &answer);
    SetGoals(goal, 0, 0, &answer);
    Grow(answer);
    return Names();
  };
  EXPECT_THAT(with(900, 100, 0.95), ElementsAre("hit_rate_below_goal warning"));
  EXPECT_EQ(All()[0].summary(), "hit rate of task is 90.0 %, its goal is 95.0 %");
  EXPECT_EQ(All()[0].evidence().at("goal"), "95.0 %");
  EXPECT_THAT(with(960, 40, 0.95), IsEmpty()) << "it was asked for, and is no over-caching";
  EXPECT_THAT(with(600, 400, 0.60), IsEmpty()) << "enough";
}

TEST_F(RecommendationsTest, Requirement1_01_BelowItsGoalTheCauseIsLookedFor) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  AddReads("task", Reads(850, 0, 150), &answer);
  SetGoals(0.95, 0, 0, &answer);
  Grow(answer);
  forecast_.longer_ttl = {Asked(60'000, 0, 0.85, 0.97, 0.85)};
  EXPECT_THAT(Names(), ElementsAre("ttl_too_short warning"));
  EXPECT_THAT(DoubtfulNamespaces(figures_, 5), ElementsAre("task"));
}

TEST_F(RecommendationsTest, ATtlThatIsTooShortIsNamedWithCauseGainAndCommand) {
  GrowReads(Reads(300, 0, 700));
  forecast_.longer_ttl = {Asked(4000, 0, 0.31, 0.70, 0.30), Asked(15'000, 0, 0.31, 0.88, 0.30),
                          Asked(60'000, 0, 0.31, 0.90, 0.30)};
  ASSERT_THAT(Names(), ElementsAre("ttl_too_short critical"));
  const Recommendation row = All()[0];
  EXPECT_EQ(row.namespace_(), "task");
  EXPECT_THAT(row.summary(), HasSubstr("its TTL is 1s"));
  EXPECT_EQ(row.command(), "in the policies: namespaces: {task: {ttl: 15s}}")
      << "the shortest that gives nearly all";
  EXPECT_NEAR(row.hit_rate_gain(), 0.57, 1e-9);
  EXPECT_EQ(row.gain(), "hit rate 30.0 % -> 87.0 %");
  EXPECT_EQ(row.evidence().at("hit rate"), "30.0 %");
}

TEST_F(RecommendationsTest, WhatItAdvisesIsReadByPolicies) {
  GrowReads(Reads(300, 0, 700));
  forecast_.longer_ttl = {Asked(1320, 0, 0.31, 0.90, 0.30)};
  EXPECT_EQ(All()[0].command(), "in the policies: namespaces: {task: {ttl: 1s320ms}}");
  EXPECT_TRUE(ParseDuration("1s320ms").ok());
}

TEST_F(RecommendationsTest, APredictionWhoseReplayIsFarOffIsNotPassedOn) {
  GrowReads(Reads(300, 0, 700));
  forecast_.longer_ttl = {Asked(4000, 0, 0.31, 0.90, 0.45)};
  EXPECT_THAT(Names(), ElementsAre("hit_rate_low warning"));
}

TEST_F(RecommendationsTest, WhatRedisAnswersAlreadyIsNoGain) {
  GrowReads(Reads(300, 400, 300));
  forecast_.longer_ttl = {Asked(4000, 0, 0.30, 0.72, 0.30)};
  EXPECT_THAT(Names(), testing::Not(testing::Contains(HasSubstr("ttl_too_short"))));
}

TEST_F(RecommendationsTest, ASizeThatIsTooSmallIsSaidWhenThereAreEvictions) {
  forecast_.larger = Asked(0, 512 << 20, 0.6, 0.8, 0.6);
  admin::v1::GetFiguresResponse answer = Answer("n1");
  AddReads("task", Reads(600, 0, 400), &answer);
  Grow(answer);
  EXPECT_THAT(Names(), ElementsAre("hit_rate_to_watch info"));
  admin::v1::NamespaceStats* stats = answer.mutable_status()->add_namespaces();
  stats->set_namespace_("task");
  stats->set_evictions(50);
  figures_ = RegionFigures();
  figures_.SetNodes({Follow("n1")}, {});
  Grow(answer);
  ASSERT_THAT(Names(), ElementsAre("size_too_small warning"));
  EXPECT_THAT(All()[0].command(), HasSubstr("--l1-max-bytes 512MiB"));
  EXPECT_NEAR(All()[0].hit_rate_gain(), 0.2, 1e-9);
}

TEST_F(RecommendationsTest, Requirement4_04_ANamespaceThatIsHardlyReadAgainShouldBeSelective) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  AddReads("task", Reads(100, 0, 900), &answer);
  admin::v1::NamespaceStats* stats = answer.mutable_status()->add_namespaces();
  stats->set_namespace_("task");
  stats->set_sets(900);
  Grow(answer);
  ASSERT_THAT(Names(), ElementsAre("be_selective warning"));
  EXPECT_THAT(All()[0].command(), HasSubstr("bypass_parameters"));
}

TEST_F(RecommendationsTest, Requirement0_13_RedisAnswersAlthoughMemoryHasRoom) {
  GrowReads(Reads(500, 400, 100));
  ASSERT_THAT(Names(), ElementsAre("promote_earlier info"));
  EXPECT_THAT(All()[0].command(), HasSubstr("promotion_misses: 1"));
}

TEST_F(RecommendationsTest, Requirement0_16_LargeValuesThatAreNotCompressed) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.mutable_status()->set_l1_limit_bytes(1'000'000);
  answer.mutable_status()->set_l1_bytes(600'000);
  AddReads("task", Reads(900, 0, 100), &answer);
  admin::v1::NamespaceStats* stats = answer.mutable_status()->add_namespaces();
  stats->set_namespace_("task");
  stats->set_l1_entries(200);
  stats->set_l1_bytes(600'000);
  Grow(answer);
  ASSERT_THAT(Names(), ElementsAre("compress info"));
  EXPECT_THAT(All()[0].command(), HasSubstr("compression"));
}

TEST_F(RecommendationsTest, OneKeyWithAFifthOfTheReads) {
  GrowReads(Reads(1800, 0, 200));
  hot_keys_ = {{"task", "k", 19}};
  EXPECT_THAT(Names(), IsEmpty());
  hot_keys_[0].per_second = 20;
  ASSERT_THAT(Names(), ElementsAre("hot_key info"));
  EXPECT_EQ(All()[0].evidence().at("key"), "k");
}

TEST_F(RecommendationsTest, ANodeWithMoreThanItsShare) {
  figures_.SetNodes({Follow("n1"), Follow("n2"), Follow("n3")}, {});
  for (const char* id : {"n1", "n2", "n3"}) figures_.Take(id, Answer(id), {});
  figures_.Tick({}, absl::UnixEpoch());
  for (const char* id : {"n1", "n2", "n3"}) {
    admin::v1::GetFiguresResponse answer = Answer(id);
    AddReads("task", std::string(id) == "n2" ? Reads(2700, 0, 300) : Reads(900, 0, 100), &answer);
    figures_.Take(id, answer, kNow);
  }
  figures_.Tick(kNow, absl::UnixEpoch());
  ASSERT_THAT(Names(), ElementsAre("uneven_load info"));
  EXPECT_EQ(All()[0].node(), "n2");
}

TEST_F(RecommendationsTest, Requirement0_04_ARedisThatIsTooLarge) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.set_l2_used_bytes(uint64_t{45} << 20);
  answer.set_l2_limit_bytes(uint64_t{10} << 30);
  answer.mutable_status()->set_uptime_seconds(599);
  Grow(answer);
  EXPECT_THAT(Names(), IsEmpty()) << "it may still be filled";
  answer.mutable_status()->set_uptime_seconds(600);
  figures_.Take("n1", answer, kNow);
  ASSERT_THAT(Names(), ElementsAre("redis_over_provisioned info"));
  EXPECT_EQ(All()[0].command(), "redis-cli CONFIG SET maxmemory 90mb");
  EXPECT_EQ(All()[0].evidence().at("used"), "45 MiB");
  answer.set_l2_limit_bytes(uint64_t{100} << 20);
  figures_.Take("n1", answer, kNow);
  EXPECT_THAT(Names(), IsEmpty());
  answer.set_l2_used_bytes(uint64_t{1} << 20);
  answer.set_l2_limit_bytes(uint64_t{64} << 20);
  figures_.Take("n1", answer, kNow);
  EXPECT_THAT(Names(), IsEmpty()) << "there is nothing to save";
}

TEST_F(RecommendationsTest, NamespacesThatAreDoubtfulAreThoseBelow80PercentLowestFirst) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  AddReads("fine", Reads(900, 0, 100), &answer);
  AddReads("low", Reads(100, 0, 900), &answer);
  AddReads("middle", Reads(600, 0, 400), &answer);
  AddReads("rare", Reads(0, 0, 100), &answer);
  Grow(answer);
  EXPECT_THAT(DoubtfulNamespaces(figures_, 5), ElementsAre("low", "middle"));
  EXPECT_THAT(DoubtfulNamespaces(figures_, 1), ElementsAre("low"));
}

}  // namespace
}  // namespace meridian
