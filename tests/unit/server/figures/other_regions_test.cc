#include "server/figures/other_regions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_executor.h"
#include "tests/unit/server/figures/fake_http_sender.h"

namespace meridian {
namespace {

using testing::IsEmpty;

constexpr char kOverview[] = "/v1/cluster/overview";
constexpr char kNotLeader[] =
    R"({"error": {"code": 503, "reason": "NOT_LEADER", "message": "no leader is known"}})";

class OtherRegionsTest : public testing::Test {
 protected:
  static OtherRegions::Coordinators Two() {
    return {{"eu", {*ParseHttpUrl("http://eu-1:7413"), *ParseHttpUrl("http://eu-2:7413")}},
            {"asia", {*ParseHttpUrl("http://asia-1:7413")}}};
  }
  void Ask(const std::string& target = kOverview) {
    answers_.reset();
    others_.Ask(target, [this](std::vector<RegionAnswer> answers) { answers_ = answers; });
  }
  // "host target" of the call that has waited longest, which is answered.
  template <typename... Parts>
  std::string Answer(Parts... parts) {
    if (sender_.sent.empty()) return "";
    const HttpCall call = sender_.Answer(parts...);
    executor_.RunDue();
    return absl::StrCat(call.url.host, " ", call.url.target);
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeHttpSender sender_;
  OtherRegions others_{Two(), clock_, executor_, sender_};
  std::optional<std::vector<RegionAnswer>> answers_;
};

TEST_F(OtherRegionsTest, OnlySoManyDifferentQuestionsAreUnderWay) {
  const auto ask = [this](const std::string& target) {
    return others_.Ask(target, [](const std::vector<RegionAnswer>&) {});
  };
  EXPECT_TRUE(ask(kOverview));
  Answer(200, "of asia");
  Answer(200, "of eu");
  for (size_t i = 0; i < OtherRegions::kMaxUnderWay; ++i) {
    EXPECT_TRUE(ask(absl::StrCat("/", i)));
  }
  const size_t sent = sender_.sent.size();
  EXPECT_EQ(sent, 2 * OtherRegions::kMaxUnderWay);
  EXPECT_FALSE(ask("/one-more"));
  EXPECT_EQ(sender_.sent.size(), sent);
  EXPECT_TRUE(ask("/0")) << "it is asked already";
  EXPECT_TRUE(ask(kOverview)) << "its answers are there";
  Answer(200, "of asia");
  EXPECT_FALSE(ask("/one-more")) << "eu has not answered";
  Answer(200, "of eu");
  EXPECT_TRUE(ask("/one-more"));
}

TEST_F(OtherRegionsTest, EachIsAskedTheSameAndAllAnswersComeTogether) {
  Ask();
  EXPECT_EQ(Answer(200, "of asia"), "asia-1 /v1/cluster/overview");
  EXPECT_FALSE(answers_.has_value());
  EXPECT_EQ(Answer(200, "of eu"), "eu-1 /v1/cluster/overview");
  ASSERT_EQ(answers_->size(), 2u);
  EXPECT_EQ((*answers_)[0].region, "asia");
  EXPECT_EQ((*answers_)[0].body, "of asia");
  EXPECT_EQ((*answers_)[0].age, absl::ZeroDuration());
  EXPECT_EQ((*answers_)[0].problem, "");
  EXPECT_EQ((*answers_)[1].body, "of eu");
}

TEST_F(OtherRegionsTest, WhoeverAsksWithinASecondIsToldTheSame) {
  Ask();
  Answer(200, "1");
  Ask();  // Another, meanwhile.
  EXPECT_EQ(sender_.sent.size(), 1u) << "eu is being asked, and asia has just answered";
  Answer(200, "2");
  ASSERT_TRUE(answers_.has_value());
  clock_.Advance(OtherRegions::kFresh - absl::Milliseconds(1));
  Ask();
  EXPECT_THAT(sender_.sent, IsEmpty());
  EXPECT_EQ((*answers_)[0].age, OtherRegions::kFresh - absl::Milliseconds(1));
  clock_.Advance(absl::Milliseconds(1));
  Ask();
  EXPECT_EQ(sender_.sent.size(), 2u);
  Ask("/v1/cluster/ring");
  EXPECT_EQ(sender_.sent.size(), 4u) << "another question";
}

TEST_F(OtherRegionsTest, ARegionThatDoesNotAnswerIsUnknownWithItsAgeAndNotZeros) {
  Ask();
  Answer(200, "of asia");
  Answer(200, "of eu");
  for (const absl::Duration age : {absl::Seconds(10), absl::Seconds(15), absl::Seconds(18)}) {
    clock_.Advance(age - (*answers_)[0].age.value());
    Ask();
    Answer(absl::UnavailableError("no connection"));
    Answer(200, "of eu");
    ASSERT_TRUE(answers_.has_value());
    EXPECT_EQ((*answers_)[0].age, age);
    EXPECT_EQ((*answers_)[0].problem, "no connection");
    EXPECT_EQ((*answers_)[0].body.has_value(), age <= OtherRegions::kShown);
    EXPECT_EQ((*answers_)[1].problem, "");
  }
}

TEST_F(OtherRegionsTest, ARegionThatNeverAnsweredHasNoAge) {
  Ask();
  Answer(absl::UnavailableError("no connection"));
  Answer(200, "of eu");
  EXPECT_EQ((*answers_)[0].age, std::nullopt);
  EXPECT_EQ((*answers_)[0].body, std::nullopt);
}

TEST_F(OtherRegionsTest, OfSeveralCoordinatorsTheOneThatLeadsIsFoundAndRemembered) {
  Ask();
  Answer(200, "of asia");
  EXPECT_EQ(Answer(503, kNotLeader), "eu-1 /v1/cluster/overview");
  EXPECT_EQ(Answer(200, "of eu"), "eu-2 /v1/cluster/overview");
  EXPECT_EQ((*answers_)[1].body, "of eu");
  clock_.Advance(absl::Seconds(2));
  Ask();
  Answer(200, "of asia");
  EXPECT_EQ(Answer(200, "again"), "eu-2 /v1/cluster/overview");
}

TEST_F(OtherRegionsTest, WhenNoneOfThemLeadsTheirReasonIsTold) {
  Ask();
  Answer(200, "of asia");
  Answer(503, kNotLeader);
  Answer(503, kNotLeader);
  EXPECT_EQ((*answers_)[1].problem, "no leader is known");
  clock_.Advance(OtherRegions::kFailed);
  Ask();
  Answer(200, "of asia");
  Answer(502, "<html>");
  Answer(404, R"({"error": 7})");
  EXPECT_EQ((*answers_)[1].problem, "HTTP 404");
}

TEST_F(OtherRegionsTest, ASilentCoordinatorLeavesTimeForTheNext) {
  Ask();
  EXPECT_EQ(sender_.sent[0].call.timeout, OtherRegions::kTimeout) << "there is one of asia";
  Answer(200, "of asia");
  const absl::Duration half = OtherRegions::kTimeout / 2;
  EXPECT_EQ(sender_.sent[0].call.timeout, half);
  clock_.Advance(half);
  Answer(absl::DeadlineExceededError("late"));
  ASSERT_EQ(sender_.sent.size(), 1u);
  EXPECT_EQ(sender_.sent[0].call.timeout, half);
  EXPECT_EQ(Answer(200, "of eu"), "eu-2 /v1/cluster/overview");
}

TEST_F(OtherRegionsTest, ACoordinatorThatTookAllTheTimeIsNotTheFirstTheNextTime) {
  Ask();
  Answer(200, "of asia");
  clock_.Advance(OtherRegions::kTimeout);
  EXPECT_EQ(Answer(absl::DeadlineExceededError("late")), "eu-1 /v1/cluster/overview");
  ASSERT_TRUE(answers_.has_value()) << "there is no time for another";
  clock_.Advance(OtherRegions::kFailed);
  Ask();
  Answer(200, "of asia");
  EXPECT_EQ(Answer(200, "of eu"), "eu-2 /v1/cluster/overview");
}

TEST_F(OtherRegionsTest, WhoDoesNotAnswerIsLeftAloneForAWhile) {
  Ask();
  Answer(absl::UnavailableError("no connection"));
  Answer(200, "of eu");
  for (int i = 0; i < 19; ++i) {
    clock_.Advance(OtherRegions::kFailed / 20);
    Ask();
    for (const auto& sent : sender_.sent) EXPECT_NE(sent.call.url.host, "asia-1") << i;
    while (!sender_.sent.empty()) Answer(200, "of eu");
    ASSERT_TRUE(answers_.has_value());
    EXPECT_EQ((*answers_)[0].problem, "no connection");
  }
  clock_.Advance(OtherRegions::kFailed / 20);
  Ask();
  EXPECT_EQ(Answer(200, "of asia"), "asia-1 /v1/cluster/overview");
}

TEST_F(OtherRegionsTest, LargeAnswersAreForgottenFirstComeFirst) {
  const std::string large(OtherRegions::kMaxKeptBytes / 4, 'x');
  const auto ask = [&](int question) {
    clock_.Advance(absl::Milliseconds(1));
    Ask(absl::StrCat("/v1/cluster/hotkeys?limit=", question));
    const size_t asked = sender_.sent.size();
    while (!sender_.sent.empty()) Answer(200, large);
    return asked;
  };
  for (int question = 0; question < 4; ++question) EXPECT_EQ(ask(question), 2u);
  EXPECT_EQ(ask(3), 0u);
  EXPECT_EQ(ask(0), 2u) << "eight answers are twice what is kept";
}

TEST_F(OtherRegionsTest, QuestionsThatNobodyAsksAgainAreForgotten) {
  for (int i = 0; i < 1000; ++i) {
    clock_.Advance(absl::Microseconds(1));
    Ask(absl::StrCat("/v1/cluster/hotkeys?limit=", i));
    Answer(200, "of asia");
    Answer(200, "of eu");
    ASSERT_TRUE(answers_.has_value());
  }
  Ask("/v1/cluster/hotkeys?limit=0");
  EXPECT_EQ(sender_.sent.size(), 2u);
  Answer(200, "of asia");
  Answer(200, "of eu");
  Ask("/v1/cluster/hotkeys?limit=999");
  EXPECT_THAT(sender_.sent, IsEmpty());
}

}  // namespace
}  // namespace meridian
