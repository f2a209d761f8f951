#include "server/figures/figure_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/unit/server/figures/fake_figure_transport.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class FigureCollectorTest : public testing::Test {
 protected:
  void SetUp() override {
    collector_.AddObserver([this] { ++seconds_; });
    collector_.Start();
    executor_.RunDue();
  }
  void Second() {
    clock_.Advance(absl::Seconds(1));
    executor_.RunDue();
  }
  void AnswerNode(const std::string& id, absl::StatusOr<admin::v1::GetFiguresResponse> answer) {
    const auto done = std::exchange(transport_.waiting[id + ":7402"], nullptr);
    ASSERT_NE(done, nullptr) << id << " is not asked";
    done(std::move(answer));
    executor_.RunDue();
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeFigureTransport transport_;
  bool leads_ = true;
  std::vector<FollowedNode> members_ = {Follow("n1"), Follow("n2")};
  int seconds_ = 0;
  FigureCollector collector_{FigureCollectorOptions(), clock_, executor_, transport_,
                             [this](bool* leading) {
                               *leading = leads_;
                               return leads_ ? members_ : std::vector<FollowedNode>();
                             }};
};

TEST_F(FigureCollectorTest, AsksEveryMemberOnceASecondAndWhoIsSlowOnlyOnceAtATime) {
  EXPECT_THAT(transport_.asked, ElementsAre("n1:7402", "n2:7402"));
  EXPECT_THAT(transport_.kept, ElementsAre("n1:7402", "n2:7402"));
  AnswerNode("n1", Answer("n1"));
  transport_.asked.clear();
  Second();
  EXPECT_THAT(transport_.asked, ElementsAre("n1:7402")) << "n2 has not answered yet";
  AnswerNode("n2", absl::DeadlineExceededError("too late"));
  EXPECT_EQ(collector_.figures().nodes().at("n2").problem, "too late");
  transport_.asked.clear();
  Second();
  EXPECT_THAT(transport_.asked, testing::Contains("n2:7402"));
  EXPECT_EQ(seconds_, 3);
}

TEST_F(FigureCollectorTest, AnotherNodeAtTheAddressIsNotBelieved) {
  AnswerNode("n1", Answer("n9"));
  EXPECT_FALSE(collector_.figures().nodes().at("n1").answered.has_value());
  EXPECT_THAT(collector_.figures().nodes().at("n1").problem, testing::HasSubstr("another node"));
}

TEST_F(FigureCollectorTest, AStandbyAsksNobodyAndKeepsNothing) {
  AnswerNode("n1", Answer("n1"));
  leads_ = false;
  transport_.asked.clear();
  Second();
  EXPECT_FALSE(collector_.leading());
  EXPECT_TRUE(collector_.figures().nodes().empty());
  EXPECT_EQ(seconds_, 2) << "observers hear of the end";
  Second();
  EXPECT_TRUE(transport_.asked.empty());
  EXPECT_EQ(seconds_, 3) << "and of time, that a standby has, too";
  AnswerNode("n2", Answer("n2"));
  EXPECT_TRUE(collector_.figures().nodes().empty()) << "a late answer";
  leads_ = true;
  Second();
  EXPECT_THAT(transport_.asked, ElementsAre("n1:7402", "n2:7402"));
}

}  // namespace
}  // namespace meridian
