#include "server/warming/warm_sources.h"

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

constexpr absl::Duration kStart = absl::Hours(1);

WarmFigures Figures(uint64_t incarnation, uint64_t warmed, uint64_t used, uint64_t unused,
                    uint64_t requests = 0) {
  WarmFigures figures;
  figures.incarnation = incarnation;
  figures.warmed = {{"rule", "task", warmed, used, unused, 0}};
  figures.requests = {{"task", requests}};
  return figures;
}

class WarmSourcesTest : public ::testing::Test {
 protected:
  WarmOutcomes Outcomes(const WarmSources& sources) {
    const auto views = sources.List("");
    return views.empty() ? WarmOutcomes{} : views[0].outcomes;
  }
  WarmSources sources_{[](const std::string&) { return 100.0; }};
};

TEST_F(WarmSourcesTest, AddsUpNodesAndStartsOfTheirProcesses) {
  sources_.Report("a", Figures(1, 10, 4, 1), kStart);
  sources_.Report("b", Figures(1, 5, 5, 0), kStart);
  sources_.Report("a", Figures(1, 12, 4, 2), kStart);
  EXPECT_EQ(Outcomes(sources_), (WarmOutcomes{17, 9, 2, 0, 0}));
  // What waited in the memory of a process that has ended is lost; the next one counts from 0.
  sources_.Report("a", Figures(2, 3, 1, 0), kStart);
  EXPECT_EQ(Outcomes(sources_), (WarmOutcomes{20, 10, 2, 0, 6}));
  // Likewise of one that is silent.
  for (int i = 0; i < 30; ++i) {
    sources_.Report("a", Figures(2, 3, 1, 0), kStart + absl::Seconds(5 * i));
    sources_.Tick(kStart + absl::Seconds(5 * i));
  }
  sources_.Report("b", Figures(1, 5, 5, 0), kStart + absl::Seconds(150));
  EXPECT_EQ(Outcomes(sources_).lost, 6u);
  sources_.Tick(kStart + absl::Seconds(600));
  EXPECT_EQ(Outcomes(sources_), (WarmOutcomes{20, 10, 2, 0, 8}));
  // It was only silent.
  sources_.Report("a", Figures(2, 4, 1, 0), kStart + absl::Seconds(601));
  EXPECT_EQ(Outcomes(sources_), (WarmOutcomes{21, 10, 2, 0, 6}));
}

TEST_F(WarmSourcesTest, WhatALeaderBeforeHasCountedIsNotCountedAgain) {
  sources_.Report("a", Figures(1, 10, 4, 1), kStart);
  sources_.AddRefused("rule", "task", 7, kStart);
  WarmSources next([](const std::string&) { return 100.0; });
  next.Restore(sources_.ToJson(), kStart);
  EXPECT_EQ(next.ToJson(), sources_.ToJson());
  next.Report("a", Figures(1, 11, 4, 1), kStart);
  next.Report("a", Figures(1, 12, 4, 1), kStart);
  EXPECT_EQ(Outcomes(next), (WarmOutcomes{11, 4, 1, 0, 0}));
  EXPECT_EQ(next.List("")[0].refused, 7u);
  // One that has started since counts as a whole.
  next.Report("a", Figures(2, 2, 0, 0), kStart);
  EXPECT_EQ(Outcomes(next).warmed, 13u);
  next.Restore(nlohmann::json::parse(R"([1, {}, {"source":"x"}, {"source":1,"namespace":"n"}])"),
               kStart);
  EXPECT_TRUE(next.List("").empty());
}

TEST_F(WarmSourcesTest, ABadSourceIsHeldBackAndAGoodOneIsNot) {
  WarmFigures figures = Figures(1, 0, 0, 0);
  figures.warmed.push_back({"startup", "task", 0, 0, 0, 0});
  absl::Duration now = kStart;
  for (int i = 0; i < 60; ++i) {
    sources_.Report("a", figures, now);
    sources_.Tick(now);
    figures.warmed[0].warmed += 50;
    figures.warmed[0].unused += 50;
    figures.warmed[1].warmed += 50;
    figures.warmed[1].used += 50;
    figures.requests["task"] += 500;  // 100 a second.
    now += absl::Seconds(5);
  }
  EXPECT_EQ(sources_.RateOf("startup", "task", now), std::nullopt);
  ASSERT_TRUE(sources_.RateOf("rule", "task", now).has_value());
  EXPECT_NEAR(*sources_.RateOf("rule", "task", now), 0.05, 0.01) << "probes, by its requests";
  EXPECT_EQ(sources_.RateOf("rule", "other", now), std::nullopt);
  EXPECT_EQ(sources_.RateOf("manual", "task", now), std::nullopt);
  EXPECT_EQ(sources_.RateOf("prediction", "task", now), WarmSources::kFirstOfPrediction);
}

TEST_F(WarmSourcesTest, TheNextLeaderKnowsWhatWasGainedAndLost) {
  WarmFigures figures = Figures(1, 0, 0, 0);
  figures.warmed.push_back({"prediction", "task", 0, 0, 0, 0});
  absl::Duration now = kStart;
  for (int i = 0; i < 6; ++i) {
    sources_.Report("a", figures, now);
    sources_.Tick(now);
    figures.warmed[0].warmed += 20;
    figures.warmed[0].unused += 20;
    figures.warmed[1].warmed += 20;
    figures.warmed[1].used += 20;
    now += absl::Seconds(5);
  }
  const auto rate_of = [&](WarmSources& sources, const std::string& source) {
    return sources.RateOf(source, "task", now).value_or(100);
  };
  EXPECT_LT(rate_of(sources_, "rule"), 0.01);
  EXPECT_GE(rate_of(sources_, "prediction"), 20);
  WarmSources next([](const std::string&) { return 100.0; });
  next.Restore(sources_.ToJson(), now);
  for (int i = 0; i < 3; ++i) {
    next.Tick(now);
    EXPECT_LT(rate_of(next, "rule"), 0.01) << "it is trusted anew";
    EXPECT_GE(rate_of(next, "prediction"), 20) << "what it has gained is forgotten";
    now += absl::Seconds(5);
  }
  EXPECT_EQ(next.RateOf("schedule", "task", now), std::nullopt);
}

// Of a leader of a release before: what was at its ceiling was trusted.
TEST_F(WarmSourcesTest, AStateWithoutCreditIsRead) {
  sources_.Restore(nlohmann::json::parse(R"([
      {"source": "rule", "namespace": "task", "rate": 100, "warmed": 900, "used": 900},
      {"source": "schedule", "namespace": "task", "rate": 50, "warmed": 900, "used": 900}])"),
                   kStart);
  EXPECT_EQ(sources_.RateOf("rule", "task", kStart), std::nullopt);
  ASSERT_TRUE(sources_.RateOf("schedule", "task", kStart).has_value());
  EXPECT_EQ(*sources_.RateOf("schedule", "task", kStart), WarmSources::kCredit / 5);
}

TEST_F(WarmSourcesTest, TellsWhenThereIsSomethingToKeep) {
  sources_.Report("a", Figures(1, 1, 0, 0), kStart);
  EXPECT_TRUE(sources_.Tick(kStart));
  EXPECT_FALSE(sources_.Tick(kStart)) << "too soon";
  sources_.Report("a", Figures(1, 1, 0, 0), kStart + absl::Seconds(5));
  EXPECT_FALSE(sources_.Tick(kStart + absl::Seconds(5)));
}

TEST_F(WarmSourcesTest, WhatDidNothingForADayIsForgotten) {
  WarmFigures figures;
  for (int i = 0; i < 500; ++i) {
    figures.warmed.push_back({"rule", absl::StrCat("n", i), 1, 0, 0, 0});
  }
  sources_.Report("a", figures, kStart);
  for (int hour = 1; hour <= 25; ++hour) {
    const absl::Duration now = kStart + absl::Hours(hour);
    figures.warmed[7].warmed += 1;
    sources_.Report("a", figures, now);
    sources_.Tick(now);
  }
  ASSERT_EQ(sources_.List("").size(), 1u);
  EXPECT_EQ(sources_.List("")[0].name_space, "n7");
  figures.warmed.push_back({"rule", "new", 3, 0, 0, 0});
  sources_.Report("a", figures, kStart + absl::Hours(25));
  EXPECT_EQ(sources_.List("new").size(), 1u);
}

TEST_F(WarmSourcesTest, IsBounded) {
  WarmFigures figures;
  for (int i = 0; i < 2000; ++i) {
    figures.warmed.push_back({"rule", absl::StrCat("n", i), 1, 0, 0, 0});
  }
  sources_.Report("a", figures, kStart);
  EXPECT_EQ(sources_.List("").size(), WarmSources::kMaxSources);
  EXPECT_EQ(sources_.List("n7").size(), 1u);
  EXPECT_EQ(sources_.RateOf("rule", "new", kStart), std::nullopt);
  EXPECT_EQ(sources_.RateOf("prediction", "new", kStart), WarmSources::kFirstOfPrediction)
      << "nothing is known of it";
}

}  // namespace
}  // namespace meridian
