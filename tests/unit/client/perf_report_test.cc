// What the performance tester's report says, in all its forms.

#include "client/cli/perf_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/cli/progress_line.h"
#include "client/cli/svg_plot.h"
#include "tests/support/temp_dir.h"

namespace meridian::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

// A run in which all went well.
PerfReport Report() {
  PerfReport report;
  report.began = absl::FromUnixSeconds(1'795'000'000);
  report.target = "h:1";
  report.name_space = "perf";
  PerfBackend node;
  node.node = "us-node-1";
  node.redis = "connected";
  node.breaker = "closed";
  report.backends.nodes = {node};
  report.pairs.ran = true;
  report.pairs.pairs = {{"a", 280, 40, "miss", "L1"}, {"b", 290, 50, "miss", "L2"}};
  report.hit_rate.ran = true;
  report.hit_rate.hits = std::vector<bool>(50, false);
  for (int i = 20; i < 50; ++i) report.hit_rate.hits[i] = true;
  report.hit_rate.times_ms = std::vector<double>(50, 0.79);
  report.hit_rate.by_tier = {30, 0, 0, 20};
  report.hit_rate.possible_hits = 30;
  report.load.ran = true;
  report.load.elapsed = absl::Seconds(2);
  report.load.stats.regions.resize(1);
  report.load.stats.regions[0].requests = 1000;
  report.load.stats.regions[0].by_tier = {900, 0, 0, 100};
  report.load.stats.get_latency[0].Add(absl::Milliseconds(1));
  report.load.points = {{0.25, 400, 0.8}, {0.5, 600, 0.9}};
  report.written_keys = 55;
  return report;
}

std::string AdviceOf(const PerfReport& report) {
  std::string all;
  for (const std::string& line : RecommendationsOf(report)) all += line + "\n";
  return all;
}

TEST(PerfReportTest, TheTextHasTheFiguresOfTheRequirements) {
  PerfReport report = Report();
  report.recommendations = RecommendationsOf(report);
  EXPECT_THAT(
      PerfText(report),
      AllOf(HasSubstr("connected"), HasSubstr("speed-up 6.33x"), HasSubstr("285.000"),
            HasSubstr("7.071"), HasSubstr("hit rate 60.0 %"), HasSubstr("mean 0.79 ms"),
            HasSubstr("effectiveness good"), HasSubstr("500 requests/s"), HasSubstr("2026-11-18"),
            HasSubstr("55 keys written by the tests, 55 of them removed"),
            HasSubstr("Recommendations\n- ")));
}

TEST(PerfReportTest, JsonHasTheSameNumbers) {
  const nlohmann::ordered_json json = PerfJson(Report());
  EXPECT_DOUBLE_EQ(json["pairs"]["uncached"]["mean_ms"], 285);
  EXPECT_EQ(json["hit_rate"]["l1_hits"], 30);
  EXPECT_DOUBLE_EQ(json["hit_rate"]["hit_rate_percent"], 60);
  EXPECT_DOUBLE_EQ(json["load"]["requests_per_second"], 500);
  EXPECT_DOUBLE_EQ(json["load"]["hit_rate"], 0.9);
  EXPECT_EQ(json["backends"][0]["redis"], "connected");
  EXPECT_EQ(json["good"], true);
  PerfReport pairs_only = Report();
  pairs_only.load.ran = pairs_only.hit_rate.ran = false;
  EXPECT_FALSE(PerfJson(pairs_only).contains("load"));
}

TEST(PerfReportTest, ThePageAsksNobodyForAnything) {
  PerfReport report = Report();
  report.target = "<script>alert(1)</script>";
  const std::string page = PerfHtml(report);
  for (const char* fetched : {"http:", "https:", "src=", "url(", "@import", "<link", "<script"}) {
    EXPECT_THAT(page, Not(HasSubstr(fetched)));
  }
  EXPECT_THAT(page,
              AllOf(HasSubstr("&lt;script&gt;"), HasSubstr("6.33x"), HasSubstr("<polyline"),
                    HasSubstr("<rect"), HasSubstr("default-src 'none'"), HasSubstr("</html>")));
}

TEST(PerfReportTest, EmptyTestsMakeAReportToo) {
  PerfReport nothing;
  nothing.pairs.ran = nothing.hit_rate.ran = nothing.load.ran = true;
  nothing.signal = 2;
  nothing.backends.problem = "nobody answers";
  EXPECT_THAT(PerfText(nothing), AllOf(HasSubstr("ended by signal 2"), HasSubstr("nobody answers"),
                                       Not(HasSubstr("nan"))));
  EXPECT_THAT(PerfHtml(nothing), AllOf(HasSubstr("Ended early"), Not(HasSubstr("nan"))));
  EXPECT_FALSE(nothing.Good());
}

TEST(PerfAdviceTest, Requirement3_05_TheBandsAndARedisForSeveralInstances) {
  PerfReport report = Report();
  EXPECT_THAT(AdviceOf(report), HasSubstr("monitor"));
  report.hit_rate.by_tier = {45, 0, 0, 5};
  report.hit_rate.possible_hits = 45;
  EXPECT_THAT(AdviceOf(report), HasSubstr("optimal"));
  report.hit_rate.by_tier = {10, 0, 0, 40};
  report.hit_rate.possible_hits = 10;
  EXPECT_THAT(AdviceOf(report), AllOf(HasSubstr("query pattern"), HasSubstr("TTL")));
  report.backends.nodes[0].redis = "disabled";
  EXPECT_THAT(AdviceOf(report), HasSubstr("consider a Redis if you scale"));
}

TEST(PerfAdviceTest, Requirement3_15_SlowHitsAndMissesAreNamed) {
  PerfReport report = Report();
  EXPECT_THAT(AdviceOf(report),
              AllOf(Not(HasSubstr("a hit takes")), Not(HasSubstr("a miss takes"))));
  report.pairs.pairs = {{"a", 500, 120, "ORIGIN", "L1"}};
  EXPECT_THAT(AdviceOf(report),
              AllOf(HasSubstr("a hit takes 120 ms"), HasSubstr("a miss takes 500 ms")));
  report.pairs.pairs = {{"a", 10, 12, "miss", "L1"}};
  EXPECT_THAT(AdviceOf(report), HasSubstr("not faster"));
}

TEST(PerfAdviceTest, WhatIsWrongComesFirst) {
  PerfReport report = Report();
  report.hit_rate.possible_hits = 33;
  report.backends.nodes[0].redis = "disconnected";
  report.load.stats.errors.Add("UNAVAILABLE", "gone");
  report.load.stats.mismatches.Add("OLD_VALUE", "a");
  EXPECT_FALSE(report.Good());
  EXPECT_THAT(RecommendationsOf(report)[0], HasSubstr("1 requests failed"));
  EXPECT_THAT(AdviceOf(report),
              AllOf(HasSubstr("3 of 33 possible hits"), HasSubstr("what-if perf"),
                    HasSubstr("us-node-1 does without its Redis"), HasSubstr("mismatches")));
}

TEST(PerfReportTest, ItIsSavedInThreeFormsOrSaysWhyNot) {
  const TempDir dir;
  ASSERT_TRUE(SavePerfReport(Report(), dir / "r").ok());
  EXPECT_THAT(ReadFile(dir / "r.txt"), HasSubstr("6.33x"));
  EXPECT_EQ(nlohmann::json::parse(ReadFile(dir / "r.json"))["namespace"], "perf");
  EXPECT_THAT(ReadFile(dir / "r.html"), HasSubstr("<!doctype html>"));
  const absl::Status lost = SavePerfReport(Report(), dir / "no/such/folder/r");
  EXPECT_THAT(std::string(lost.message()), HasSubstr("no/such/folder/r.txt"));
}

TEST(SvgPlotTest, AxesEndAtRoundNumbersAndValuesStayInside) {
  EXPECT_DOUBLE_EQ(RoundUp(0.384), 0.5);
  EXPECT_DOUBLE_EQ(RoundUp(100), 100);
  EXPECT_DOUBLE_EQ(RoundUp(101), 200);
  EXPECT_DOUBLE_EQ(RoundUp(0), 1);
  EXPECT_EQ(LinePlot({"t", "x", "y"}, {{"empty", {}}}), "");
  EXPECT_EQ(BarPlot({"t", "x", "y"}, {}, {{"none", {}}}), "");
  // 60 is the middle of an axis to 100 and a bit: below it comes the baseline at 216.
  EXPECT_THAT(BarPlot({"t", "x", "y"}, {"a"}, {{"g", {100}}}), HasSubstr("height=\"188.0\""));
  EXPECT_THAT(LinePlot({"t", "x", "y"}, {{"l", {{0, 0}, {10, 100}}}}),
              HasSubstr("points=\"64.0,216.0 704.0,28.0\""));
  EXPECT_THAT(LinePlot({"t", "x", "y"}, {{"l", {{3, 5}}}}), HasSubstr("points=\"384.0,28.0\""));
}

TEST(SvgPlotTest, NamesAreEscaped) {
  EXPECT_EQ(HtmlEscape("<a href='x'>&\"\x01"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot; ");
  EXPECT_EQ(HtmlEscape("\xff"), "(bytes)");
  EXPECT_THAT(BarPlot({"<t>", "", ""}, {"<a>"}, {{"<g>", {1}}}), Not(HasSubstr("<a>")));
}

TEST(ProgressBarTest, ItFillsAndNeverOverflows) {
  EXPECT_EQ(ProgressBar(0, 10), "[....................] 0 %");
  EXPECT_EQ(ProgressBar(5, 10), "[##########..........] 50 %");
  EXPECT_EQ(ProgressBar(11, 10), "[####################] 100 %");
  EXPECT_EQ(ProgressBar(0, 0), "[####################] 100 %");
}

}  // namespace
}  // namespace meridian::cli
