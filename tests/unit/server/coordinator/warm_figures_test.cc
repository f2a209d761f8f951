#include "server/coordinator/warm_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Told(const RegionFigures& figures, absl::Duration now) {
  std::vector<std::string> nodes;
  ReportWarmFigures(figures, now, [&](const std::string& node, const WarmFigures& said) {
    nodes.push_back(node);
    EXPECT_EQ(said.incarnation, 1u);
  });
  return nodes;
}

TEST(WarmFiguresTest, OfANodeThatIsSilentTheLastAnswerIsNotToldAgain) {
  RegionFigures figures;
  figures.SetNodes({Follow("n1"), Follow("n2")}, absl::Seconds(0));
  EXPECT_THAT(Told(figures, absl::Seconds(1)), IsEmpty());
  figures.Take("n1", Answer("n1"), absl::Seconds(1));
  figures.Take("n2", Answer("n2"), absl::Seconds(9));
  EXPECT_THAT(Told(figures, absl::Seconds(2)), ElementsAre("n1", "n2"));
  EXPECT_THAT(Told(figures, absl::Seconds(10)), ElementsAre("n2"));
}

TEST(WarmFiguresTest, CountsForAlertsAreOfThisLeaderAndWithWhatWasLeft) {
  MetricRegistry registry;
  WarmMetrics metrics(registry);
  const auto count = [&](std::string_view source, std::string_view outcome, uint64_t keys) {
    metrics.keys.With({std::string_view("task"), source, outcome}).Add(keys);
  };
  count("rule", "l2", 10);
  count("rule", "failed", 3);
  count("schedule", "late", 4);
  WarmSources::View view;
  view.name_space = "task";
  view.outcomes.used = 100;
  view.outcomes.unused = 50;
  view.earlier.used = 90;
  view.earlier.unused = 20;
  const WarmedKeys keys = WarmCountsOf(metrics, {view, view}).namespaces.at("task");
  EXPECT_EQ(keys.all, 17u);
  EXPECT_EQ(keys.failed, 7u);
  EXPECT_EQ(keys.used, 20u);
  EXPECT_EQ(keys.unused, 60u);
}

}  // namespace
}  // namespace meridian
