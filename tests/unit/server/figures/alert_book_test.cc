#include "server/figures/alert_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

using testing::ElementsAre;

absl::Duration Sec(double seconds) { return absl::Seconds(seconds); }

class AlertBookTest : public testing::Test {
 protected:
  AlertBookTest() {
    book_.SetListener([this](const coordinator::v1::Alert& alert) {
      told_.push_back(absl::StrCat(alert.name(), " ", alert.state()));
    });
  }
  void At(double seconds, const std::vector<AlertCondition>& conditions) {
    book_.Update(conditions, Sec(seconds), absl::FromUnixSeconds(1000) + Sec(seconds));
  }
  static AlertCondition Condition(const std::string& name, double after,
                                  const std::string& node = "n1") {
    return {name, "critical", Sec(after), {{"node", node}}, "it is so", 1};
  }
  std::vector<std::string> Shown() const {
    std::vector<std::string> shown;
    for (const coordinator::v1::Alert& alert : book_.List(true)) {
      shown.push_back(absl::StrCat(alert.name(), "/", alert.labels().at("node"), " ", alert.state(),
                                   " ", alert.since().seconds()));
    }
    return shown;
  }

  AlertBook book_;
  std::vector<std::string> told_;
};

TEST_F(AlertBookTest, FiresWhenTheConditionHasHeldLongEnough) {
  At(0, {Condition("Down", 5)});
  EXPECT_THAT(Shown(), ElementsAre("Down/n1 pending 1000"));
  At(4, {Condition("Down", 5)});
  EXPECT_THAT(Shown(), ElementsAre("Down/n1 pending 1000"));
  At(5, {Condition("Down", 5)});
  EXPECT_THAT(Shown(), ElementsAre("Down/n1 firing 1005"));
  At(6, {Condition("Down", 5)});
  EXPECT_THAT(told_, ElementsAre("Down firing")) << "once";
  EXPECT_EQ(book_.Count().firing, 1);
  EXPECT_EQ(book_.Count().critical, 1);
}

TEST_F(AlertBookTest, WhatWasTakenIsNotedUnlessItHasChangedSince) {
  At(0, {Condition("Down", 0)});
  const coordinator::v1::Alert fires = book_.List(true)[0];
  book_.NoteTold(fires, absl::FromUnixSeconds(1001));
  EXPECT_EQ(book_.List(true)[0].told_time().seconds(), 1001);
  At(20, {});
  ASSERT_EQ(book_.List(true)[0].state(), "resolved");
  EXPECT_FALSE(book_.List(true)[0].has_told_time()) << "its end was not told";
  book_.NoteTold(fires, absl::FromUnixSeconds(1021));
  EXPECT_FALSE(book_.List(true)[0].has_told_time());
  const uint64_t changes = book_.changes();
  book_.NoteTold(book_.List(true)[0], absl::FromUnixSeconds(1022));
  EXPECT_EQ(book_.List(true)[0].told_time().seconds(), 1022);
  EXPECT_GT(book_.changes(), changes) << "so that it is stored";
}

TEST_F(AlertBookTest, WhatIsOverBeforeItFiredLeavesNothing) {
  At(0, {Condition("Down", 5)});
  At(1, {});
  EXPECT_TRUE(Shown().empty());
  EXPECT_TRUE(told_.empty());
}

TEST_F(AlertBookTest, AnAlertThatComesAndGoesIsOne) {
  At(0, {Condition("Down", 0)});
  At(5, {});
  At(6, {Condition("Down", 0)});
  At(15, {});
  EXPECT_THAT(Shown(), ElementsAre("Down/n1 firing 1000"));
  At(16, {});
  EXPECT_THAT(Shown(), ElementsAre("Down/n1 resolved 1000"));
  EXPECT_THAT(told_, ElementsAre("Down firing", "Down resolved"));
  EXPECT_TRUE(book_.List(/*include_resolved=*/false).empty());
}

TEST_F(AlertBookTest, LabelsMakeAlertsDistinctAndFiringComesFirst) {
  At(0, {Condition("Down", 0, "n1"), Condition("Slow", 60, "n1")});
  At(1, {Condition("Down", 0, "n1"), Condition("Down", 0, "n2"), Condition("Slow", 60, "n1")});
  EXPECT_THAT(Shown(),
              ElementsAre("Down/n2 firing 1001", "Down/n1 firing 1000", "Slow/n1 pending 1000"));
}

TEST_F(AlertBookTest, IsBounded) {
  std::vector<AlertCondition> many;
  for (size_t i = 0; i < AlertBook::kMaxLive + 5; ++i) {
    many.push_back(Condition("Down", 0, absl::StrCat("n", i)));
  }
  At(0, many);
  EXPECT_EQ(book_.List(true).size(), AlertBook::kMaxLive);
  At(20, {});
  EXPECT_EQ(book_.List(true).size(), AlertBook::kMaxResolved);
}

}  // namespace
}  // namespace meridian
