#include "server/figures/advisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/unit/server/figures/fake_figure_transport.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

class AdvisorTest : public testing::Test {
 protected:
  void SetUp() override {
    collector_.Start();
    executor_.RunDue();
  }
  void Second() {
    clock_.Advance(absl::Seconds(1));
    executor_.RunDue();
  }
  // The node has so many hits and misses of "task" since its start.
  void AnswerNode(uint64_t hits, uint64_t misses) {
    admin::v1::GetFiguresResponse answer = Answer("n1");
    AddReads("task", Reads(hits, 0, misses), &answer);
    std::exchange(transport_.waiting["n1:7402"], nullptr)(std::move(answer));
    executor_.RunDue();
  }
  // Of the oldest question that waits: what another TTL or size would bring.
  admin::v1::WhatIfRequest AnswerQuestion(double predicted) {
    FakeFigureTransport::Asked asked = std::move(transport_.what_ifs.front());
    transport_.what_ifs.erase(transport_.what_ifs.begin());
    admin::v1::WhatIfResponse answer;
    answer.set_requests(1000);
    answer.set_hit_rate(0.3);
    answer.set_replayed_hit_rate(0.3);
    answer.set_predicted_hit_rate(predicted);
    answer.set_present_ttl_ms(1000);
    answer.set_present_max_bytes(1 << 20);
    asked.done(answer);
    executor_.RunDue();
    return asked.request;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& row : advisor_.Recommend("")) names.push_back(row.name());
    return names;
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeFigureTransport transport_;
  bool leads_ = true;
  FigureCollector collector_{FigureCollectorOptions(), clock_, executor_, transport_,
                             [this](bool* leading) {
                               *leading = leads_;
                               return std::vector<FollowedNode>{Follow("n1")};
                             }};
  Advisor advisor_{collector_, clock_, executor_, transport_, nullptr};
};

TEST_F(AdvisorTest, AsksOneQuestionAtATimeAndMoreWhenALongLifeWouldHelp) {
  AnswerNode(0, 0);
  Second();
  AnswerNode(300, 700);
  Second();
  ASSERT_EQ(transport_.what_ifs.size(), 1);
  EXPECT_EQ(transport_.what_ifs[0].request.namespace_(), "task");
  EXPECT_EQ(AnswerQuestion(0.95).ttl_ms(), 24u * 3600 * 1000);
  std::vector<uint64_t> ttls;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(transport_.what_ifs.size(), 1) << "one at a time";
    ttls.push_back(AnswerQuestion(i == 0 ? 0.5 : 0.94).ttl_ms());
  }
  EXPECT_THAT(ttls, testing::ElementsAre(4000, 15'000, 60'000));
  ASSERT_EQ(transport_.what_ifs.size(), 1);
  EXPECT_EQ(AnswerQuestion(0.3).max_bytes(), 2u << 20);
  EXPECT_THAT(Names(), testing::ElementsAre("ttl_too_short"));
  EXPECT_THAT(advisor_.Recommend("task")[0].command(), testing::HasSubstr("ttl: 15s"));
  EXPECT_TRUE(advisor_.Recommend("other").empty());
}

TEST_F(AdvisorTest, AGoodHitRateIsNotAskedAbout) {
  AnswerNode(0, 0);
  Second();
  AnswerNode(900, 100);
  for (int i = 0; i < 30; ++i) Second();
  EXPECT_TRUE(transport_.what_ifs.empty());
  EXPECT_TRUE(Names().empty());
}

TEST_F(AdvisorTest, WhoLeadsNoLongerForgetsAndIgnoresLateAnswers) {
  AnswerNode(0, 0);
  Second();
  AnswerNode(300, 700);
  Second();
  ASSERT_EQ(transport_.what_ifs.size(), 1);
  leads_ = false;
  Second();
  AnswerQuestion(0.95);
  EXPECT_TRUE(transport_.what_ifs.empty()) << "no more is asked";
  EXPECT_TRUE(Names().empty());
}

}  // namespace
}  // namespace meridian
