#include "server/figures/region_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/figures/overview_json.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

absl::Duration Sec(double seconds) { return absl::Seconds(seconds); }
absl::Time Wall(double seconds) { return absl::FromUnixSeconds(1'000'000) + Sec(seconds); }

admin::v1::GetFiguresResponse With(const ReadCounts& reads, uint64_t incarnation = 1) {
  admin::v1::GetFiguresResponse answer = Answer("n1", incarnation);
  AddReads("task", reads, &answer);
  return answer;
}

TEST(CountHistoryTest, KeepsTheLastSecondsAndThenOneEachTenSeconds) {
  struct Number {
    int value = 0;
    Number& operator-=(const Number& other) {
      value -= other.value;
      return *this;
    }
  };
  CountHistory<Number> history;
  for (int i = 0; i <= 2000; ++i) history.Add({i}, Sec(i));
  EXPECT_EQ(history.Last(Sec(5)).counts.value, 5);
  const auto minute = history.Last(Sec(60));
  EXPECT_GE(minute.counts.value, 60);
  EXPECT_LE(minute.counts.value, 70);
  EXPECT_EQ(minute.time, Sec(minute.counts.value));
  const auto all = history.Last(absl::Hours(1));
  EXPECT_GE(all.time, absl::Minutes(15));
  EXPECT_LE(all.time, absl::Minutes(15) + Sec(20)) << "bounded";
  const auto before = history.Between(Sec(120), Sec(60));
  EXPECT_GE(before.counts.value, 50);
  EXPECT_LE(before.counts.value, 70);
}

TEST(RegionFiguresTest, SumsSurviveANodesRestartAndNeverFall) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1")}, Sec(0));
  figures.Take("n1", With(Reads(1000, 0, 0)), Sec(0));
  EXPECT_EQ(figures.counts().all.reads.reads(), 0) << "what came before has no time";
  figures.Take("n1", With(Reads(1010, 0, 5)), Sec(1));
  EXPECT_EQ(figures.counts().all.reads.reads(), 15);
  figures.SetNodes({Follow("n1", 2)}, Sec(2));
  figures.Take("n1", With(Reads(3, 0, 0), 2), Sec(2));
  EXPECT_EQ(figures.counts().all.reads.l1.count(), 13);
  EXPECT_EQ(figures.counts().ReadsOf("task").miss.count(), 5);
}

TEST(RegionFiguresTest, AVersionThatNobodyUsesStaysInTheSumsOnly) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1")}, Sec(0));
  const auto take = [&](absl::Duration at, uint64_t version, uint64_t hits) {
    admin::v1::GetFiguresResponse answer = Answer("n1");
    AddReads("task", Reads(hits, 0, 0), &answer, version);
    figures.Take("n1", answer, at);
    figures.Tick(at, Wall(0));
  };
  take(Sec(0), 1, 0);
  take(Sec(1), 1, 100);
  take(Sec(2), 2, 7);
  const absl::Duration later = Sec(2) + RegionFigures::kKept;
  take(later - Sec(5), 2, 8);
  EXPECT_EQ(figures.counts().reads.size(), 2u);
  take(later, 2, 9);
  ASSERT_EQ(figures.counts().reads.size(), 2u);
  EXPECT_EQ(figures.counts().reads.count({"task", 1}), 0u);
  EXPECT_EQ(figures.counts().ReadsOf("task").reads(), 109u) << "sums do not fall";
  EXPECT_EQ(figures.history().Last(Sec(5)).counts.ReadsOf("task").reads(), 1u)
      << "nor is what was counted long ago new";
  take(later + Sec(1), 1, 1);  // It comes back.
  EXPECT_EQ(figures.counts().reads.at({"task", 1}).reads(), 1u);
}

TEST(RegionFiguresTest, AVersionThatComesBackCountsAnew) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1")}, Sec(0));
  const auto answer = [](uint64_t four, uint64_t five) {
    admin::v1::GetFiguresResponse both = Answer("n1");
    AddReads("task", Reads(four, 0, 0), &both, 4);
    AddReads("task", Reads(five, 0, 0), &both, 5);
    return both;
  };
  figures.Take("n1", answer(100, 50), Sec(0));
  figures.Take("n1", answer(110, 7), Sec(1));
  EXPECT_EQ(figures.counts().reads.at({"task", 4}).reads(), 10);
  EXPECT_EQ(figures.counts().reads.at({"task", 5}).reads(), 7);
  EXPECT_EQ(figures.counts().all.reads.reads(), 17);
}

TEST(RegionFiguresTest, ANodeIsAliveWhileItAnswersAndGoneWhenItIsNoMember) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1"), Follow("n2")}, Sec(0));
  figures.Take("n1", With(Reads(0, 0, 0)), Sec(1));
  EXPECT_TRUE(figures.nodes().at("n1").IsAlive(Sec(4)));
  EXPECT_FALSE(figures.nodes().at("n2").IsAlive(Sec(4))) << "it never answered";
  figures.SetNodes({Follow("n2")}, Sec(5));
  EXPECT_FALSE(figures.nodes().at("n1").is_member);
  EXPECT_TRUE(figures.Answers(Sec(5)).empty()) << "what is gone is not added up";
  figures.SetNodes({Follow("n2")}, Sec(5) + RegionFigures::kKept + Sec(1));
  EXPECT_EQ(figures.nodes().count("n1"), 0);
}

// Draining is over in milliseconds: the last look saw it serve.
TEST(RegionFiguresTest, ANodeThatLeftBetweenTwoLooksIsMissedByNobody) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1"), Follow("n2")}, Sec(0));
  figures.Leave("n1");
  figures.SetNodes({Follow("n2")}, Sec(1));
  EXPECT_EQ(figures.nodes().count("n1"), 0u);
  figures.SetNodes({Follow("n1", 2), Follow("n2")}, Sec(2));
  figures.SetNodes({Follow("n2")}, Sec(3));
  ASSERT_EQ(figures.nodes().count("n1"), 1u) << "it came back, and died";
  EXPECT_FALSE(figures.nodes().at("n1").is_member);
}

TEST(RegionFiguresTest, ANodeThatBeganToDrainAndNeverSaidThatItLeavesIsMissed) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1", 1, MemberState::kDraining)}, Sec(0));
  figures.SetNodes({}, Sec(1));
  EXPECT_EQ(figures.nodes().count("n1"), 1u);
}

TEST(RegionFiguresTest, PointsAreRatesOfTheirSecondAndBounded) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1")}, Sec(0));
  figures.Take("n1", With(Reads(0, 0, 0)), Sec(0));
  figures.Tick(Sec(0), Wall(0));
  figures.Take("n1", With(Reads(30, 8, 2)), Sec(1));
  figures.Tick(Sec(2), Wall(2));
  const SeriesPoint& point = figures.series().back();
  EXPECT_DOUBLE_EQ(point.l1_hits, 15);
  EXPECT_DOUBLE_EQ(point.l2_hits, 4);
  EXPECT_DOUBLE_EQ(point.misses, 1);
  EXPECT_EQ(point.nodes_alive, 1);
  for (int i = 3; i < 2000; ++i) figures.Tick(Sec(i), Wall(i));
  EXPECT_EQ(figures.series().size(), RegionFigures::kMaxPoints);
}

TEST(RegionFiguresTest, LinksAreSummedAndTheWorstStateCounts) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1"), Follow("n2")}, Sec(0));
  for (const char* id : {"n1", "n2"}) {
    admin::v1::GetFiguresResponse answer = Answer(id);
    admin::v1::ReplicationLink* link = answer.add_links();
    link->set_from("us");
    link->set_to("eu");
    link->set_state(std::string(id) == "n1" ? "streaming" : "catching_up");
    link->set_lag_ms(std::string(id) == "n1" ? 10 : 3000);
    link->set_backlog(5);
    figures.Take(id, answer, Sec(0));
  }
  const auto links = figures.Links(Sec(0));
  ASSERT_EQ(links.size(), 1);
  EXPECT_EQ(links[0].state(), "catching_up");
  EXPECT_EQ(links[0].lag_ms(), 3000);
  EXPECT_EQ(links[0].backlog(), 10);
}

TEST(OverviewJsonTest, Requirement2_15_4_09_HasWhatADashboardNeedsAndNullForWhatIsNotKnown) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1"), Follow("n2")}, Sec(0));
  figures.Take("n1", With(Reads(0, 0, 0)), Sec(0));
  figures.Tick(Sec(0), Wall(0));
  const auto json = [&](absl::Duration now) {
    return OverviewJson(figures, {.region = "us", .coordinator = "c1", .epoch = 7}, now, Wall(0));
  };
  EXPECT_TRUE(json(Sec(0))["totals"]["hit_rate"].is_null());
  EXPECT_TRUE(json(Sec(0))["totals"]["latency"]["l1"]["p99_ms"].is_null());
  admin::v1::GetFiguresResponse answer = With(Reads(60, 20, 20));
  SetGoals(0.95, 0, 0.02, &answer);
  (*answer.mutable_evictions())["size"] = 5;
  (*answer.mutable_evictions())["ttl"] = 7;
  (*answer.mutable_evictions())["of another release"] = 9;
  figures.Take("n1", answer, Sec(1));
  figures.Tick(Sec(1), Wall(1));
  figures.SetNodes({Follow("n1")}, Sec(1));
  const nlohmann::ordered_json now = json(Sec(1));
  EXPECT_EQ(now["region"], "us");
  EXPECT_EQ(now["epoch"], 7);
  EXPECT_EQ(now["totals"]["nodes_alive"], 1);
  EXPECT_EQ(now["totals"]["hits"], 80);
  EXPECT_EQ(now["totals"]["evictions"],
            (nlohmann::ordered_json{
                {"size", 5}, {"ttl", 7}, {"fence", 0}, {"admission", 0}, {"replaced", 0}}));
  // Requirement 4-09: the three shares.
  EXPECT_DOUBLE_EQ(now["totals"]["l1_hit_rate"], 0.6);
  EXPECT_DOUBLE_EQ(now["totals"]["l2_hit_rate"], 0.2);
  EXPECT_DOUBLE_EQ(now["totals"]["hit_rate"], 0.8);
  EXPECT_DOUBLE_EQ(now["totals"]["requests_per_second"], 100);
  EXPECT_DOUBLE_EQ(now["namespaces"][0]["latency"]["miss"]["average_ms"], 40);
  EXPECT_EQ(
      now["namespaces"][0]["goals"],
      (nlohmann::ordered_json{{"hit_rate", 0.95}, {"l1_p95_ms", nullptr}, {"l2_p95_ms", 20.0}}));
  EXPECT_EQ(now["namespaces"][0]["verdicts"],
            (nlohmann::ordered_json{
                {"hit_rate", "missed"}, {"l1_p95_ms", "no_goal"}, {"l2_p95_ms", "too_few_reads"}}));
  EXPECT_DOUBLE_EQ(now["namespaces"][0]["judged"]["hit_rate"], 0.8);
  EXPECT_DOUBLE_EQ(json(Sec(1))["namespaces"][0]["judged"]["l2_p95_ms"],
                   now["namespaces"][0]["latency"]["l2"]["p95_ms"]);
  EXPECT_DOUBLE_EQ(now["totals"]["read_error_rate"], 0.0);
  EXPECT_EQ(now["nodes"][1]["id"], "n2");
  EXPECT_EQ(now["nodes"][1]["state"], "GONE");
  EXPECT_EQ(now["nodes"][1]["alive"], false);
  const size_t points = now["series"]["time_unix_ms"].size();
  for (const auto& [name, list] : now["series"].items()) EXPECT_EQ(list.size(), points) << name;
  EXPECT_TRUE(now["series"]["hit_rate"][0].is_null());
  EXPECT_DOUBLE_EQ(now["series"]["hit_rate"][1], 0.8);
}

// P50, P95 and P99, memory over time, evictions a second, and the CPU that compression takes.
TEST(OverviewJsonTest, Requirement0_22_WhatIsToBeSeenLiveIsThere) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1")}, Sec(0));
  const auto take = [&](int second, uint64_t bytes, uint64_t evictions) {
    admin::v1::GetFiguresResponse answer = With(Reads(70 * second, 12 * second, 18 * second));
    SetCalls(100 * second, 0, 3, &answer);
    answer.mutable_status()->set_l1_bytes(bytes);
    answer.set_resident_bytes(2 * bytes);
    (*answer.mutable_evictions())["size"] = evictions;
    admin::v1::NamespaceStats& row = *answer.mutable_status()->add_namespaces();
    row.set_namespace_("task");
    row.set_evictions(evictions);
    row.set_compression_cpu_seconds(0.25 * second);
    figures.Take("n1", answer, Sec(second));
    figures.Tick(Sec(second), Wall(second));
  };
  take(0, 100, 0);
  take(2, 300, 8);
  const nlohmann::ordered_json now = OverviewJson(figures, {}, Sec(2), Wall(2));
  EXPECT_DOUBLE_EQ(now["totals"]["hit_rate"], 0.82);
  const nlohmann::ordered_json& calls = now["totals"]["latency"]["calls"];
  for (const char* name : {"p50_ms", "p95_ms", "p99_ms"}) {
    EXPECT_GT(calls[name], 1) << name;
    EXPECT_LT(calls[name], 10) << name;
    EXPECT_EQ(now["series"][std::string("call_") + name].size(), 2u);
  }
  EXPECT_EQ(now["series"]["l1_bytes"], nlohmann::ordered_json::array({100, 300}));
  EXPECT_EQ(now["totals"]["resident_bytes"], 600);
  EXPECT_DOUBLE_EQ(now["namespaces"][0]["evictions_per_second"], 4);
  EXPECT_DOUBLE_EQ(now["namespaces"][0]["compression_cpu_seconds"], 0.5);
}

// Calls that are OK have keys that fail: nothing else on the page says so.
TEST(OverviewJsonTest, ReadsThatFailAreAShareOfAllReads) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1")}, Sec(0));
  figures.Take("n1", With(Reads(0, 0, 0)), Sec(0));
  figures.Tick(Sec(0), Wall(0));
  ReadCounts reads = Reads(60, 20, 10);
  reads.errors = 30;
  figures.Take("n1", With(reads), Sec(1));
  figures.Tick(Sec(1), Wall(1));
  const nlohmann::ordered_json now =
      OverviewJson(figures, {.region = "us", .coordinator = "c1", .epoch = 7}, Sec(1), Wall(0));
  EXPECT_DOUBLE_EQ(now["totals"]["read_error_rate"], 0.25);
  EXPECT_DOUBLE_EQ(now["nodes"][0]["read_error_rate"], 0.25);
  EXPECT_DOUBLE_EQ(now["namespaces"][0]["read_error_rate"], 0.25);
  EXPECT_DOUBLE_EQ(now["namespaces"][0]["errors_per_second"], 30);
}

}  // namespace
}  // namespace meridian
