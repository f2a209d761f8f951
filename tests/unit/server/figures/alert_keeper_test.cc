#include "server/figures/alert_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/unit/server/figures/fake_figure_transport.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class AlertKeeperTest : public testing::Test {
 protected:
  AlertKeeperTest() { collector_.Start(); }

  void RunFor(absl::Duration duration) { executor_.RunFor(duration); }
  std::vector<std::string> Firing() const {
    std::vector<std::string> firing;
    for (const coordinator::v1::Alert& alert : keeper_.book().List(false)) {
      if (alert.state() != "firing") continue;
      firing.push_back(alert.name());
      for (const auto& [label, value] : alert.labels()) {
        absl::StrAppend(&firing.back(), " ", label, "=", value);
      }
    }
    std::sort(firing.begin(), firing.end());
    return firing;
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeFigureTransport transport_;
  bool leads_ = false;
  CoordinatorView view_ = {.coordinator = "c1", .knows_leader = true};
  FigureCollector collector_{
      FigureCollectorOptions(), clock_, executor_, transport_, [this](bool* leading) {
        *leading = leads_;
        return leads_ ? std::vector<FollowedNode>{Follow("n1")} : std::vector<FollowedNode>();
      }};
  AlertKeeper keeper_{collector_, clock_, nullptr, [this] { return view_; }};
};

TEST_F(AlertKeeperTest, AStandbyThatKnowsTheLeaderHasNothingToSay) {
  RunFor(absl::Minutes(1));
  EXPECT_THAT(Firing(), IsEmpty());
}

// Who leads is in Redis: whoever does not reach that knows nothing of it, and another may well
// lead.
TEST_F(AlertKeeperTest, AStandbyTellsThatRedisIsAwayAndNotThatNobodyLeads) {
  RunFor(absl::Seconds(5));
  view_ = {.coordinator = "c1", .knows_leader = false, .problem = "Connection refused"};
  RunFor(absl::Seconds(4));
  EXPECT_THAT(Firing(), IsEmpty()) << "a change of leader takes that long";
  RunFor(absl::Seconds(3));
  EXPECT_THAT(Firing(), ElementsAre("MeridianRedisAway coordinator=c1"));
  RunFor(absl::Seconds(60));
  EXPECT_THAT(Firing(), ElementsAre("MeridianRedisAway coordinator=c1"));
  view_ = {.coordinator = "c1", .knows_leader = false};
  RunFor(absl::Seconds(9));
  EXPECT_THAT(Firing(), testing::Not(testing::Contains("MeridianNoCoordinatorLeads")));
  RunFor(absl::Seconds(12));
  EXPECT_THAT(Firing(), ElementsAre("MeridianNoCoordinatorLeads"));
  view_ = {.coordinator = "c1", .knows_leader = true};
  RunFor(absl::Seconds(15));
  EXPECT_THAT(Firing(), IsEmpty());
}

TEST_F(AlertKeeperTest, AStandbyTellsThatItMustNotLeadForItsClock) {
  view_ = {.coordinator = "c1", .knows_leader = true, .clock_problem = "CLOCK_SKEW: check NTP"};
  RunFor(absl::Seconds(3));
  EXPECT_THAT(Firing(), ElementsAre("MeridianClockOff coordinator=c1"));
  view_.clock_problem.clear();
  RunFor(absl::Seconds(15));
  EXPECT_THAT(Firing(), IsEmpty());
}

TEST_F(AlertKeeperTest, WhoLeadsThenTellsThatItIsOver) {
  std::vector<std::string> told;
  keeper_.book().SetListener([&told](const coordinator::v1::Alert& alert) {
    told.push_back(absl::StrCat(alert.name(), " ", alert.state()));
  });
  view_.knows_leader = false;
  RunFor(absl::Seconds(15));
  EXPECT_THAT(told, ElementsAre("MeridianNoCoordinatorLeads firing"));
  leads_ = true;
  RunFor(absl::Seconds(15));
  EXPECT_THAT(told, testing::Contains("MeridianNoCoordinatorLeads resolved"));
}

TEST_F(AlertKeeperTest, AlertsOfALeaderAreTheNextLeaders) {
  leads_ = true;
  RunFor(absl::Seconds(10));
  EXPECT_THAT(Firing(), ElementsAre("MeridianNodeDown node=n1"));
  leads_ = false;
  RunFor(absl::Seconds(2));
  EXPECT_TRUE(keeper_.book().List(true).empty());
}

}  // namespace
}  // namespace meridian
