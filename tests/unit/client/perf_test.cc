// The tests that `meridianctl perf` runs, against a cache that answers as the test says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "client/cli/perf_hit_rate.h"
#include "client/cli/perf_load.h"
#include "client/cli/perf_pairs.h"
#include "client/cli/perf_report.h"
#include "client/cli/perf_summary.h"
#include "client/cli/perf_target.h"

namespace meridian::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAreArray;

// A cache in which a miss, a hit, an origin and a Set take a known time.
class FakeTarget final : public PerfTarget {
 public:
  GetResult Get(std::string_view key, bool from_origin) override {
    ++gets;
    GetResult result;
    const auto found = stored.find(std::string(key));
    if (fail_gets) {
      result.error = std::make_shared<ResultError>(
          ResultError{absl::StatusCode::kUnavailable, "UNAVAILABLE", "gone"});
      return result;
    }
    now += from_origin ? origin_time : hit_time;
    result.status = found == stored.end() ? ResultStatus::kMiss : ResultStatus::kOk;
    if (!result.hit()) return result;
    result.source = !from_origin ? ResultSource::kL1 : past_the_cache;
    result.value = spoil ? "spoiled" : found->second;
    return result;
  }
  WriteResult Set(std::string_view key, std::string value, absl::Duration ttl) override {
    now += set_time;
    EXPECT_GT(ttl, absl::ZeroDuration()) << "what is not removed must go by itself";
    if (!forgetful) stored[std::string(key)] = std::move(value);
    WriteResult result;
    result.status = ResultStatus::kOk;
    return result;
  }
  absl::Duration Now() const override { return now; }
  void Pause(absl::Duration time) override {
    now += time;
    paused += time;
  }
  bool stopped() const override { return gets >= stop_after; }

  std::map<std::string, std::string> stored;
  absl::Duration now, paused;
  absl::Duration hit_time = absl::Milliseconds(1);
  absl::Duration set_time = absl::Milliseconds(2);
  absl::Duration origin_time = absl::Milliseconds(100);
  int gets = 0;
  int stop_after = 1'000'000;
  ResultSource past_the_cache = ResultSource::kOrigin;
  bool fail_gets = false;
  bool spoil = false;
  bool forgetful = false;
};

std::atomic<uint64_t> ignored{0};

TEST(PerfSummaryTest, MeansDeviationsAndPercentiles) {
  const Summary summary = Summarize({2, 4, 4, 4, 5, 5, 7, 9});
  EXPECT_EQ(summary.count, 8u);
  EXPECT_DOUBLE_EQ(summary.mean, 5);
  EXPECT_THAT(summary.std_dev, DoubleNear(2.138, 0.001)) << "of a sample: n - 1";
  EXPECT_EQ(summary.min, 2);
  EXPECT_EQ(summary.max, 9);
  EXPECT_EQ(summary.p50, 4);
  EXPECT_EQ(summary.p99, 9);
  EXPECT_EQ(Summarize({3}).std_dev, 0);
  EXPECT_EQ(Summarize({}).mean, 0);
}

TEST(PerfPairsTest, Requirement3_12_AMissWaitsAndIsReadAgain) {
  FakeTarget target;
  PerfValues values;
  values.origin_delay = absl::Milliseconds(50);
  const PairsResult result = RunPairs(target, {}, values, ignored);
  ASSERT_EQ(result.pairs.size(), 5u);
  EXPECT_EQ(result.problems.count, 0u);
  EXPECT_EQ(result.pairs[0].uncached_source, "miss");
  EXPECT_EQ(result.pairs[0].cached_source, "L1");
  EXPECT_DOUBLE_EQ(result.Uncached().mean, 1 + 50 + 2);
  EXPECT_DOUBLE_EQ(result.Cached().mean, 1);
  EXPECT_DOUBLE_EQ(result.SpeedUp(), 53);
  EXPECT_EQ(target.paused, 5 * absl::Milliseconds(50 + 200)) << "the wait is not measured";
  EXPECT_EQ(target.stored.size(), 5u) << "a key of its own for each pair";
}

TEST(PerfPairsTest, TheFiguresOfTheSourcesComeOut) {
  PairsResult sources;
  sources.pairs = {{"a", 285.63, 45.12, "", ""}};  // Requirement 3-12.
  EXPECT_THAT(sources.SpeedUp(), DoubleNear(6.33, 0.005));
  sources.pairs = {{"a", 278.45, 42.89, "", ""}};
  EXPECT_THAT(sources.SpeedUp(), DoubleNear(6.49, 0.005));
  sources.pairs = {{"a", 0.384, 0.128, "", ""}};  // Requirement 4-05: 3x, about 66 %.
  EXPECT_THAT(sources.SpeedUp(), DoubleNear(3.0, 0.005));
  EXPECT_THAT(sources.SavedPercent(), DoubleNear(66.7, 0.1));
  EXPECT_EQ(PairsResult().SpeedUp(), 0) << "of nothing, nothing is known";
}

TEST(PerfPairsTest, KeysOfTheUserAreLoadedFromTheOriginAndNotWritten) {
  FakeTarget target;
  target.stored = {{"a", "1"}, {"b", "2"}};
  PairsOptions options;
  options.keys = {"a", "b"};
  const PairsResult result = RunPairs(target, options, {}, ignored);
  ASSERT_EQ(result.pairs.size(), 5u);
  EXPECT_EQ(result.pairs[2].key, "a") << "again from the beginning";
  EXPECT_EQ(result.pairs[0].uncached_source, "ORIGIN");
  EXPECT_DOUBLE_EQ(result.SpeedUp(), 100);
  EXPECT_EQ(target.stored.size(), 2u);
  EXPECT_TRUE(result.written.empty());
  options.keys = {"nobody"};
  EXPECT_THAT(RunPairs(target, options, {}, ignored).problems.first, HasSubstr("'nobody'"));
}

TEST(PerfPairsTest, ATierThatAnswersInPlaceOfTheOriginIsNamed) {
  FakeTarget target;
  target.stored = {{"a", "1"}};
  target.past_the_cache = ResultSource::kL2;
  PairsResult result = RunPairs(target, {.iterations = 2, .keys = {"a"}}, {}, ignored);
  ASSERT_EQ(result.pairs.size(), 2u);
  EXPECT_EQ(result.pairs[0].uncached_source, "L2");
  EXPECT_THAT(result.UncachedSources(), ElementsAre(Pair("L2", 2)));
  PerfReport report;
  report.pairs = result;
  EXPECT_THAT(PerfText(report),
              AllOf(HasSubstr("asked for past the cache: 2 from L2\n"), Not(HasSubstr("origin"))));
  EXPECT_THAT(RecommendationsOf(report),
              Contains(HasSubstr("2 of 2 uncached reads were answered by the cache")));
  EXPECT_EQ(PerfJson(report)["pairs"]["uncached_sources"]["L2"], 2);
  // One more, of the origin: each has its own times.
  result.pairs.push_back({"b", 300, 1, "ORIGIN", "L1"});
  report.pairs = result;
  EXPECT_THAT(PerfText(report), AllOf(HasSubstr("2 from L2, 1 from ORIGIN"), HasSubstr("\n  L2 "),
                                      HasSubstr("\n  ORIGIN ")));
  EXPECT_DOUBLE_EQ(result.UncachedOf("ORIGIN").mean, 300);
  EXPECT_THAT(PerfHtml(report), HasSubstr("uncached, 2 from L2, 1 from ORIGIN"));
}

TEST(PerfReportTest, KeysThatWereWrittenAreCountedAndNoOthers) {
  FakeTarget target;
  PerfReport report;
  target.stop_after = 5;  // In the third pair.
  report.pairs = RunPairs(target, {}, report.values, ignored);
  EXPECT_EQ(report.pairs.written.size(), target.stored.size());
  target.stop_after = 1'000'000;
  report.hit_rate = RunHitRate(target, {}, report.values, ignored);
  EXPECT_LT(report.hit_rate.written.size(), 50u) << "not every item is drawn";
  report.load.written = {7};
  std::set<std::string> expected = {report.values.Key("load", 7)};
  for (const auto& [key, value] : target.stored) expected.insert(key);
  EXPECT_THAT(WrittenKeys(report), UnorderedElementsAreArray(expected));
}

TEST(PerfPairsTest, WhatFailsIsCountedAndNotMeasured) {
  FakeTarget target;
  target.spoil = true;
  const PairsResult spoiled = RunPairs(target, {}, {}, ignored);
  EXPECT_EQ(spoiled.problems.count, 5u);
  EXPECT_TRUE(spoiled.pairs.empty());
  EXPECT_THAT(spoiled.problems.first, HasSubstr("another value"));
  target.forgetful = true;
  EXPECT_THAT(RunPairs(target, {.iterations = 1}, {.run = 7}, ignored).problems.first,
              HasSubstr("not in the cache any more"));
  target.fail_gets = true;
  EXPECT_THAT(RunPairs(target, {}, {}, ignored).problems.first, HasSubstr("UNAVAILABLE"));
}

TEST(PerfPairsTest, AnInterruptKeepsWhatWasMeasured) {
  FakeTarget target;
  target.stop_after = 5;
  EXPECT_EQ(RunPairs(target, {}, {}, ignored).pairs.size(), 2u);
}

TEST(PerfHitRateTest, Requirement4_06_FourOfFiveRequestsAreForTheFifthThatIsPopular) {
  HitRateOptions options;
  options.requests = 20'000;
  const std::vector<uint64_t> items = DrawItems(options);
  const auto popular =
      std::count_if(items.begin(), items.end(), [](uint64_t item) { return item < 10; });
  EXPECT_THAT(static_cast<double>(popular) / 20'000, DoubleNear(0.8, 0.02));
  EXPECT_EQ(std::set<uint64_t>(items.begin(), items.end()).size(), 50u);
  EXPECT_EQ(items, DrawItems(options)) << "equal seeds, equal draws";
  EXPECT_LT(*std::max_element(items.begin(), items.end()), options.items());
}

TEST(PerfHitRateTest, ACacheThatLosesNothingHasAllHitsThatThereCanBe) {
  FakeTarget target;
  const HitRateResult result = RunHitRate(target, {}, {}, ignored);
  EXPECT_EQ(result.answered(), 50u);
  EXPECT_EQ(result.Hits(), result.possible_hits);
  EXPECT_EQ(result.by_tier[0], result.Hits());
  EXPECT_EQ(result.answered() - result.Hits(), target.stored.size());
  EXPECT_THAT(result.Rate(), DoubleNear(0.6, 0.15)) << "60 % in the source";
  EXPECT_DOUBLE_EQ(result.TimesOf(true).mean, 1);
  EXPECT_DOUBLE_EQ(result.TimesOf(false).mean, 3);
}

TEST(PerfHitRateTest, ACacheThatForgetsIsSeen) {
  FakeTarget target;
  target.forgetful = true;
  const HitRateResult result = RunHitRate(target, {}, {}, ignored);
  EXPECT_EQ(result.Hits(), 0u);
  EXPECT_GT(result.possible_hits, 20u);
}

TEST(PerfHitRateTest, TheBandsOfTheSources) {
  EXPECT_STREQ(EffectivenessOf(0.81), "optimal");
  EXPECT_STREQ(EffectivenessOf(0.60), "good");
  EXPECT_STREQ(EffectivenessOf(0.49), "poor");
}

TEST(LoadSourceTest, ItEndsWritesItsShareAndStaysWithinItsKeys) {
  LoadOptions options;
  options.max_requests = 10'000;
  options.keys = 100;
  options.set_percent = 10;
  LoadSource source(options, {.run = 1}, "perf");
  ReplayRequest request;
  uint64_t count = 0, sets = 0, popular = 0;
  while (source.Next(&request)) {
    ++count;
    sets += request.op == ReplayOp::kSet ? 1 : 0;
    popular += request.key < 20 ? 1 : 0;
    ASSERT_LT(request.key, 100u);
    ASSERT_EQ(request.ttl_s, 600u);
  }
  EXPECT_EQ(count, 10'000u);
  EXPECT_THAT(static_cast<double>(sets) / 10'000, DoubleNear(0.1, 0.02));
  EXPECT_THAT(static_cast<double>(popular) / 10'000, DoubleNear(0.8, 0.02));
  options.keys = 1;
  LoadSource one(options, {}, "perf");
  ASSERT_TRUE(one.Next(&request));
  EXPECT_EQ(request.key, 0u);
}

}  // namespace
}  // namespace meridian::cli
