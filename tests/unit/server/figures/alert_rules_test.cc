#include "server/figures/alert_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

absl::Duration Sec(double seconds) { return absl::Seconds(seconds); }
absl::Time Wall() { return absl::FromUnixSeconds(1'800'000'000); }

class AlertRulesTest : public testing::Test {
 protected:
  AlertRulesTest() { figures_.SetNodes({Follow("n1")}, Sec(0)); }

  void At(double seconds, const admin::v1::GetFiguresResponse& answer) {
    now_ = Sec(seconds);
    figures_.Take("n1", answer, now_);
    figures_.Tick(now_, Wall());
  }
  // From nothing to this within 20 s.
  void Grow(const admin::v1::GetFiguresResponse& answer) {
    At(0, Answer("n1"));
    At(20, answer);
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const AlertCondition& condition : Conditions(figures_, warming_, now_, Wall())) {
      names.push_back(absl::StrCat(condition.name, " ", condition.severity));
    }
    return names;
  }

  RegionFigures figures_;
  CountHistory<WarmCounts> warming_;
  absl::Duration now_;
};

TEST_F(AlertRulesTest, AHealthyRegionHasNone) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  AddReads("task", Reads(900, 50, 50), &answer);
  SetCalls(1000, 0, 1, &answer);
  Grow(answer);
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(AlertRulesTest, Requirement2_14_AHitRateBelow75PercentIsAWarning) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  AddReads("task", Reads(740, 0, 260), &answer);
  AddReads("session", Reads(760, 0, 240), &answer);
  AddReads("rare", Reads(0, 0, 99), &answer);
  Grow(answer);
  const std::vector<AlertCondition> all = Conditions(figures_, warming_, now_, Wall());
  ASSERT_EQ(all.size(), 1);
  EXPECT_EQ(all[0].name, "MeridianLowHitRate");
  EXPECT_EQ(all[0].severity, "warning");
  EXPECT_EQ(all[0].labels.at("namespace"), "task");
  EXPECT_DOUBLE_EQ(all[0].value, 0.74);
}

TEST_F(AlertRulesTest, Requirement1_01_2_13_AHitRateIsJudgedByTheGoalOfItsNamespace) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  AddReads("auth", Reads(940, 0, 60), &answer);
  SetGoals(0.95, 0, 0, &answer);
  AddReads("reached", Reads(950, 0, 50), &answer);
  SetGoals(0.95, 0, 0, &answer);
  AddReads("modest", Reads(600, 0, 400), &answer);
  SetGoals(0.60, 0, 0, &answer);
  AddReads("rare", Reads(0, 0, 99), &answer);
  SetGoals(0.95, 0, 0, &answer);
  Grow(answer);
  const std::vector<AlertCondition> all = Conditions(figures_, warming_, now_, Wall());
  ASSERT_EQ(all.size(), 1) << "the bound for all is not the one of a namespace with a goal";
  EXPECT_EQ(all[0].name, "MeridianLowHitRate");
  EXPECT_EQ(all[0].labels.at("namespace"), "auth");
  EXPECT_EQ(all[0].summary, "hit rate of auth was 94.0 % in the last 5 minutes; its goal is 95 %");
}

// Reads(): L1 answers in 1 ms, L2 in 4 ms.
TEST_F(AlertRulesTest, Requirement1_01_4_07_ATierThatIsSlowerThanItsGoalIsAWarning) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  AddReads("auth", Reads(900, 100, 0), &answer);
  SetGoals(0, 0.005, 0.002, &answer);
  AddReads("fast", Reads(900, 100, 0), &answer);
  SetGoals(0, 0.005, 0.020, &answer);
  AddReads("no-goal", Reads(900, 100, 0), &answer);
  AddReads("few", Reads(900, 99, 0), &answer);
  SetGoals(0, 0.005, 0.002, &answer);
  Grow(answer);
  const std::vector<AlertCondition> all = Conditions(figures_, warming_, now_, Wall());
  ASSERT_EQ(all.size(), 1);
  EXPECT_EQ(all[0].name, "MeridianSlowReads");
  EXPECT_EQ(all[0].severity, "warning");
  EXPECT_EQ(all[0].labels,
            (std::map<std::string, std::string>{{"namespace", "auth"}, {"tier", "l2"}}));
  EXPECT_GT(all[0].value, 0.003);
  EXPECT_THAT(all[0].summary, testing::EndsWith("; its goal is 2 ms"));
}

TEST_F(AlertRulesTest, OfNodesThatTellDifferentGoalsTheStrictestCounts) {
  figures_.SetNodes({Follow("n1"), Follow("n2")}, Sec(0));
  admin::v1::GetFiguresResponse answer = Answer("n2");
  AddReads("task", Reads(0, 0, 0), &answer);
  SetGoals(0.95, 0, 0, &answer);
  figures_.Take("n2", answer, Sec(0));
  answer = Answer("n1");
  AddReads("task", Reads(800, 0, 200), &answer);
  SetGoals(0.60, 0, 0, &answer);
  Grow(answer);
  EXPECT_THAT(Names(), testing::Contains("MeridianLowHitRate warning"));
  figures_.SetNodes({Follow("n1")}, now_);
  EXPECT_THAT(Names(), testing::Not(testing::Contains("MeridianLowHitRate warning")))
      << "the other one is no member any more";
}

TEST_F(AlertRulesTest, Requirement2_14_ResponsesAbove100MsAreCritical) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  SetCalls(1000, 0, 150, &answer);
  Grow(answer);
  EXPECT_THAT(Names(), ElementsAre("MeridianSlow critical"));
}

TEST_F(AlertRulesTest, Requirement2_14_MemoryAbove90PercentOfWhatIsProvisionedIsAWarning) {
  constexpr uint64_t kMiB = 1024 * 1024;
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.mutable_status()->set_l1_limit_bytes(1024 * kMiB);
  // 1.25 * 1024 MiB + 256 MiB = 1536 MiB.
  answer.set_resident_bytes(1382 * kMiB);
  Grow(answer);
  EXPECT_THAT(Names(), IsEmpty());
  answer.set_resident_bytes(1383 * kMiB);
  At(21, answer);
  EXPECT_THAT(Names(), ElementsAre("MeridianMemoryHigh warning"));
}

TEST_F(AlertRulesTest, AFullCacheIsNoAlert) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.mutable_status()->set_l1_bytes(1000);
  answer.mutable_status()->set_l1_limit_bytes(1000);
  Grow(answer);
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(AlertRulesTest, Requirement2_14_RedisAbove90PercentOfItsMemoryIsOneWarning) {
  figures_.SetNodes({Follow("n1"), Follow("n2")}, Sec(0));
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.set_l2_used_bytes(90);
  answer.set_l2_limit_bytes(100);
  Grow(answer);
  figures_.Take("n2", answer, now_);
  EXPECT_THAT(Names(), IsEmpty());
  answer.set_l2_used_bytes(91);
  At(21, answer);
  figures_.Take("n2", answer, now_);
  EXPECT_THAT(Names(), ElementsAre("MeridianRedisMemoryHigh warning"));
  answer.set_l2_limit_bytes(0);
  figures_.Take("n2", answer, now_);
  At(22, answer);
  EXPECT_THAT(Names(), IsEmpty()) << "it has no limit";
}

TEST_F(AlertRulesTest, Requirement2_14_WarmingThatFailsForMoreThan10PercentIsAWarning) {
  Grow(Answer("n1"));
  warming_.Add({{{"task", {1000, 500}}}}, Sec(0));
  EXPECT_THAT(Names(), IsEmpty()) << "it was before";
  warming_.Add({{{"task", {2000, 600}}}}, Sec(20));
  EXPECT_THAT(Names(), IsEmpty());
  warming_.Add({{{"task", {2000, 601}}}}, Sec(21));
  EXPECT_THAT(Names(), ElementsAre("MeridianWarmingFails warning"));
}

TEST_F(AlertRulesTest, Requirement2_14_TheTop50ThatAllFailAreAWarning) {
  Grow(Answer("n1"));
  warming_.Add({}, Sec(0));
  warming_.Add({{{"task", {9, 9}}}}, Sec(10));
  EXPECT_THAT(Names(), IsEmpty()) << "too few to say";
  warming_.Add({{{"task", {50, 50}}}}, Sec(20));
  EXPECT_THAT(Names(), ElementsAre("MeridianWarmingFails warning"));
}

TEST_F(AlertRulesTest, Requirement0_21_WhatGotWorseIsSaid) {
  const auto answer = [](uint64_t hits, uint64_t misses, uint64_t calls, uint64_t failed) {
    admin::v1::GetFiguresResponse made = Answer("n1");
    AddReads("task", Reads(hits, 0, misses), &made);
    SetCalls(calls, failed, 1, &made);
    return made;
  };
  At(0, Answer("n1"));
  At(400, answer(9000, 1000, 10'000, 0));
  EXPECT_THAT(Names(), IsEmpty());
  At(400 + 120, answer(9790, 1210, 11'000, 5));
  EXPECT_THAT(Names(),
              ElementsAre("MeridianWorseThanBefore warning", "MeridianWorseThanBefore warning"))
      << "79 % of hits after 90 %, and errors after none";
}

TEST_F(AlertRulesTest, FailedCallsAreCritical) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  SetCalls(1000, 11, 1, &answer);
  Grow(answer);
  EXPECT_THAT(Names(), ElementsAre("MeridianErrors critical"));
}

// As BatchGet does while an origin is away.
TEST_F(AlertRulesTest, KeysThatFailInCallsThatDoNotAreCriticalByNamespace) {
  const auto reads = [](uint64_t good, uint64_t errors) {
    ReadCounts counts = Reads(good, 0, 0);
    counts.errors = errors;
    return counts;
  };
  admin::v1::GetFiguresResponse answer = Answer("n1");
  SetCalls(1000, 0, 1, &answer);
  AddReads("away", reads(0, 100), &answer);
  AddReads("some", reads(990, 10), &answer);
  AddReads("rare", reads(0, 99), &answer);
  Grow(answer);
  const std::vector<AlertCondition> all = Conditions(figures_, warming_, now_, Wall());
  ASSERT_EQ(all.size(), 1) << "1 % is not above 1 %, and 99 reads say nothing";
  EXPECT_EQ(all[0].name, "MeridianErrors");
  EXPECT_EQ(all[0].severity, "critical");
  EXPECT_EQ(all[0].labels, (std::map<std::string, std::string>{{"namespace", "away"}}));
  EXPECT_EQ(all[0].value, 1);
  EXPECT_EQ(all[0].summary, "100.0 % of the reads of away in the last minute failed");
}

TEST_F(AlertRulesTest, Requirement0_21_ReadsThatAllFailAfterNoneDidAreWorse) {
  const auto answer = [](uint64_t hits, uint64_t errors) {
    admin::v1::GetFiguresResponse made = Answer("n1");
    ReadCounts counts = Reads(hits, 0, 0);
    counts.errors = errors;
    AddReads("task", counts, &made);
    return made;
  };
  At(0, Answer("n1"));
  At(400, answer(9000, 0));
  At(400 + 120, answer(9000, 1000));
  std::vector<std::string> worse;
  for (const AlertCondition& one : Conditions(figures_, warming_, now_, Wall())) {
    if (one.name == "MeridianWorseThanBefore") worse.push_back(one.labels.at("what"));
  }
  EXPECT_THAT(worse, ElementsAre("read_errors"));
}

TEST_F(AlertRulesTest, ANodeThatIsAwayIsCriticalWhetherOrNotItIsAMember) {
  Grow(Answer("n1"));
  now_ = Sec(24);
  EXPECT_THAT(Names(), ElementsAre("MeridianNodeDown critical"));
  figures_.SetNodes({}, Sec(24));
  EXPECT_THAT(Names(), ElementsAre("MeridianNodeDown critical"));
}

TEST_F(AlertRulesTest, RedisAwayAndItsBreaker) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.mutable_status()->add_l2();
  Grow(answer);
  EXPECT_THAT(Names(), IsEmpty()) << "none is configured";
  answer.mutable_status()->mutable_l2(0)->set_address("redis:6379");
  answer.mutable_status()->mutable_l2(0)->set_breaker("open");
  At(21, answer);
  EXPECT_THAT(Names(),
              ElementsAre("MeridianRedisAway critical", "MeridianRedisCircuitOpen warning"));
}

TEST_F(AlertRulesTest, ReplicationByLagStateAndLoss) {
  const auto with = [](const char* state, uint64_t lag_ms, uint64_t repairing, uint64_t sent) {
    admin::v1::GetFiguresResponse answer = Answer("n1");
    admin::v1::ReplicationLink* link = answer.add_links();
    link->set_from("us");
    link->set_to("eu");
    link->set_state(state);
    link->set_lag_ms(lag_ms);
    link->set_repairing_slots(repairing);
    link->set_repair_sent_total(sent);
    return answer;
  };
  At(0, with("streaming", 2000, 0, 7));
  At(20, with("streaming", 2000, 0, 7));
  EXPECT_THAT(Names(), IsEmpty()) << "what was lost once is not lost now";
  At(21, with("catching_up", 2001, 0, 7));
  EXPECT_THAT(Names(), ElementsAre("MeridianReplicationLag warning"));
  At(22, with("repairing", 61'000, 3, 7));
  EXPECT_THAT(Names(),
              ElementsAre("MeridianReplicationLag warning", "MeridianReplicationStuck critical"))
      << "a comparison that finds nothing is no loss";
  At(23, with("repairing", 100, 3, 8));
  EXPECT_THAT(Names(), ElementsAre("MeridianReplicationLost warning"));
  At(24, with("cut", 61'000, 0, 8));
  EXPECT_THAT(Names(), ElementsAre("MeridianReplicationCut warning"));
  At(900, with("streaming", 0, 0, 8));
  At(1900, with("streaming", 0, 0, 8));
  EXPECT_THAT(Names(), IsEmpty()) << "it was a quarter of an hour ago";
}

TEST_F(AlertRulesTest, WhatARestartedNodeRepairedBeforeIsNoLossNow) {
  const auto with = [](uint64_t incarnation, uint64_t sent) {
    admin::v1::GetFiguresResponse answer = Answer("n1", incarnation);
    admin::v1::ReplicationLink* link = answer.add_links();
    link->set_from("us");
    link->set_to("eu");
    link->set_repair_sent_total(sent);
    return answer;
  };
  At(0, with(1, 100));
  At(20, with(2, 0));
  EXPECT_THAT(Names(), IsEmpty());
  At(21, with(2, 1));
  EXPECT_THAT(Names(), ElementsAre("MeridianReplicationLost warning"));
}

TEST_F(AlertRulesTest, WritesThatWaitInMemoryForMoreThanAMinute) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.set_hints_oldest_ms(60'000);
  At(1, answer);
  EXPECT_THAT(Names(), IsEmpty());
  answer.set_hints_oldest_ms(60'001);
  At(2, answer);
  EXPECT_THAT(Names(), ElementsAre("MeridianHintsWait critical"));
  EXPECT_EQ(Conditions(figures_, warming_, now_, Wall())[0].labels.at("node"), "n1");
}

TEST_F(AlertRulesTest, ANodeThatRefusesItsPolicies) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.set_policies_problem("policies.yaml:3: ttl is no duration");
  Grow(answer);
  EXPECT_THAT(Names(), ElementsAre("MeridianPoliciesRefused warning"));
  EXPECT_THAT(Conditions(figures_, warming_, now_, Wall())[0].summary,
              testing::EndsWith("policies.yaml:3: ttl is no duration"));
}

TEST_F(AlertRulesTest, AClockThatIsOffAsTheNodeSays) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  answer.set_clock_problem("this node's clock is 90 s ahead");
  Grow(answer);
  EXPECT_THAT(Names(), ElementsAre("MeridianClockOff critical"));
}

TEST_F(AlertRulesTest, AClockThatIsOffOfANodeThatMayNotRegister) {
  Grow(Answer("n1"));
  figures_.RefuseClock("odd", "the node's clock differs by 90 s", now_);
  const std::vector<AlertCondition> all = Conditions(figures_, warming_, now_, Wall());
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].name, "MeridianClockOff");
  EXPECT_EQ(all[0].labels.at("node"), "odd");
  EXPECT_EQ(all[0].summary, "node odd takes no writes: the node's clock differs by 90 s");
  now_ += RegionFigures::kRefused;
  figures_.Take("n1", Answer("n1"), now_);
  EXPECT_THAT(Names(), ElementsAre("MeridianClockOff critical"));
  figures_.SetNodes({Follow("n1"), Follow("odd")}, now_);
  EXPECT_THAT(Names(), IsEmpty()) << "it could register";
}

TEST_F(AlertRulesTest, AnOriginThatIsNotAskedIsOneAlertOfItsNamespace) {
  figures_.SetNodes({Follow("n1"), Follow("n2")}, Sec(0));
  const auto with = [](const std::string& node, const char* breaker) {
    admin::v1::GetFiguresResponse answer = Answer(node);
    admin::v1::OriginFigures* origin = answer.add_origins();
    origin->set_namespace_("task");
    origin->set_breaker(breaker);
    return answer;
  };
  Grow(with("n1", "open"));
  figures_.Take("n2", with("n2", "half_open"), now_);
  const std::vector<AlertCondition> all = Conditions(figures_, warming_, now_, Wall());
  ASSERT_EQ(all.size(), 1u) << "one that is tried is not back yet";
  EXPECT_EQ(all[0].name, "MeridianOriginBreakerOpen");
  EXPECT_EQ(all[0].after, absl::Minutes(1));
  EXPECT_EQ(all[0].labels.at("namespace"), "task");
  EXPECT_THAT(all[0].summary, testing::EndsWith("is not asked by n1, n2"));
  figures_.Take("n2", with("n2", "closed"), now_);
  At(21, with("n1", "closed"));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(AlertRulesTest, OldValuesAndChangesThatWereLeftOutAreSaidForAQuarterOfAnHour) {
  const auto with = [](uint64_t incidents, uint64_t dropped) {
    admin::v1::GetFiguresResponse answer = Answer("n1");
    answer.set_staleness_incidents(incidents);
    admin::v1::ReplicationLink* link = answer.add_links();
    link->set_from("us");
    link->set_to("eu");
    link->set_state("streaming");
    link->set_dropped_total(dropped);
    return answer;
  };
  At(0, with(7, 9));
  At(20, with(7, 9));
  EXPECT_THAT(Names(), IsEmpty()) << "they were before";
  At(21, with(8, 9));
  EXPECT_THAT(Names(), ElementsAre("MeridianStale warning"));
  At(22, with(8, 11));
  EXPECT_THAT(Names(), ElementsAre("MeridianStale warning", "MeridianReplicationDropped warning"));
  const std::vector<AlertCondition> all = Conditions(figures_, warming_, now_, Wall());
  EXPECT_EQ(all[1].labels.at("to"), "eu");
  EXPECT_EQ(all[1].value, 2);
  At(900, with(8, 11));
  At(1900, with(8, 11));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(AlertRulesTest, EpochsThatDisagree) {
  figures_.SetNodes({Follow("n1"), Follow("n2")}, Sec(0));
  Grow(Answer("n1"));
  admin::v1::GetFiguresResponse other = Answer("n2");
  other.mutable_status()->set_epoch(2);
  figures_.Take("n2", other, now_);
  EXPECT_THAT(Names(), ElementsAre("MeridianEpochsDisagree warning"));
}

TEST_F(AlertRulesTest, CertificatesThatExpire) {
  admin::v1::GetFiguresResponse answer = Answer("n1");
  const auto in_days = [&](double days) {
    answer.set_certificate_expires_unix_ms(
        static_cast<uint64_t>(absl::ToUnixMillis(Wall() + absl::Hours(24 * days))));
    At(now_ == absl::ZeroDuration() ? 1 : absl::ToDoubleSeconds(now_) + 1, answer);
    return Names();
  };
  EXPECT_THAT(in_days(15), IsEmpty());
  EXPECT_THAT(in_days(10), ElementsAre("MeridianCertificateExpires warning"));
  EXPECT_THAT(in_days(1), ElementsAre("MeridianCertificateExpires critical"));
}

TEST_F(AlertRulesTest, CertificatesOfTheCoordinatorItself) {
  const auto in_days = [](double days) {
    std::vector<std::string> said;
    for (const AlertCondition& one : OwnConditions(
             {.coordinator = "c1", .certificates_end = Wall() + absl::Hours(24 * days)}, Wall())) {
      said.push_back(absl::StrCat(one.name, " ", one.severity, " ", one.labels.at("coordinator")));
      EXPECT_THAT(one.summary, testing::HasSubstr("coordinator c1 uses expire"));
    }
    return said;
  };
  EXPECT_THAT(in_days(15), IsEmpty());
  EXPECT_THAT(in_days(10), ElementsAre("MeridianCertificateExpires warning c1"));
  EXPECT_THAT(in_days(1), ElementsAre("MeridianCertificateExpires critical c1"));
  EXPECT_THAT(OwnConditions({.coordinator = "c1"}, Wall()), IsEmpty()) << "it uses none";
}

TEST_F(AlertRulesTest, CoordinatorsThatTheLeaderMisses) {
  const std::vector<AlertCondition> said =
      OwnConditions({.coordinator = "c1", .missed = {"c2", "c3"}}, Wall());
  ASSERT_EQ(said.size(), 2u);
  EXPECT_EQ(said[0].name, "MeridianCoordinatorDown");
  EXPECT_EQ(said[0].severity, "warning");
  EXPECT_EQ(said[0].after, absl::Seconds(20));
  EXPECT_EQ(said[0].labels.at("instance"), "c2");
  EXPECT_EQ(said[1].labels.at("instance"), "c3");
  coordinator::v1::Alert alert;
  alert.mutable_labels()->insert({"instance", "c2"});
  EXPECT_FALSE(IsOfCoordinator(alert)) << "the next leader goes on with it";
}

TEST_F(AlertRulesTest, WarmingThatNobodyUsesIsSaidOfTheLastWhile) {
  Grow(Answer("n1"));
  warming_.Add({{{"task", {0, 0, 9000, 0}}}}, Sec(0));
  warming_.Add({{{"task", {0, 0, 9019, 80}}}}, Sec(20));
  EXPECT_THAT(Names(), IsEmpty()) << "99 entries say nothing";
  warming_.Add({{{"task", {0, 0, 9019, 81}}}}, Sec(21));
  EXPECT_THAT(Names(), ElementsAre("MeridianWarmUseless info"));
  warming_.Add({{{"task", {0, 0, 9021, 81}}}}, Sec(22));
  EXPECT_THAT(Names(), IsEmpty());
  warming_.Add({{{"task", {0, 0, 9021, 600}}}}, Sec(700));
  EXPECT_THAT(Names(), ElementsAre("MeridianWarmUseless info"));
  warming_.Add({{{"task", {0, 0, 9021, 600}}}}, Sec(1800));
  EXPECT_THAT(Names(), IsEmpty()) << "it was before";
}

TEST(AlertNamesTest, EachHasItsRunbook) {
  const std::filesystem::path folder =
      std::filesystem::path(std::getenv("MERIDIAN_SOURCE_DIR")) / "docs" / "runbooks";
  for (const std::string& name : AlertNames()) {
    EXPECT_TRUE(std::filesystem::exists(folder / (name + ".md"))) << name;
  }
}

}  // namespace
}  // namespace meridian
