#include "server/coordinator/leader_forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/unit/server/figures/fake_http_sender.h"

namespace meridian {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kOverview[] = "/v1/cluster/overview";

class LeaderForwardTest : public testing::Test {
 protected:
  static LeaderView Leader(const std::string& host = "c2") {
    LeaderView leader;
    leader.address = host + ":7410";
    leader.http_address = host + ":7413";
    return leader;
  }
  void Ask(const std::string& target = kOverview, const LeaderView& leader = Leader()) {
    forward_.Ask(leader, target, [this](const HttpReply& reply) { replies_.push_back(reply); });
    executor_.RunDue();
  }
  // Of the call that has waited longest, which is answered.
  template <typename... Parts>
  HttpCall Answer(Parts... parts) {
    const HttpCall call = sender_.Answer(parts...);
    executor_.RunDue();
    return call;
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeHttpSender sender_;
  LeaderForward forward_{clock_, executor_, sender_};
  std::vector<HttpReply> replies_;
};

TEST_F(LeaderForwardTest, TheLeadersBytesAndStatusAreTheAnswer) {
  for (const int code : {200, 400, 404, 503}) {
    replies_.clear();
    Ask("/v1/cluster/hotkeys?limit=5");
    ASSERT_EQ(sender_.sent.size(), 1u);
    EXPECT_THAT(replies_, IsEmpty());
    const HttpCall call = Answer(code, "{\"any\": \"bytes\"}\n");
    EXPECT_EQ(call.url.host, "c2");
    EXPECT_EQ(call.url.port, 7413);
    EXPECT_EQ(call.url.target, "/v1/cluster/hotkeys?limit=5");
    EXPECT_EQ(call.body, "") << "a GET";
    EXPECT_TRUE(call.forwarded) << "one hop";
    EXPECT_EQ(call.timeout, LeaderForward::kTimeout);
    EXPECT_EQ(call.max_answer_bytes, LeaderForward::kMaxBytes);
    ASSERT_EQ(replies_.size(), 1u);
    EXPECT_EQ(replies_[0].code, code);
    EXPECT_EQ(replies_[0].body, "{\"any\": \"bytes\"}\n");
    EXPECT_EQ(replies_[0].content_type, "application/json");
  }
}

TEST_F(LeaderForwardTest, EqualQuestionsAtTheSameTimeAreOne) {
  Ask();
  Ask();
  Ask("/v1/cluster/ring");
  ASSERT_EQ(sender_.sent.size(), 2u);
  Answer(200, "the overview");
  ASSERT_EQ(replies_.size(), 2u);
  EXPECT_EQ(replies_[1].body, "the overview");
  Ask();
  EXPECT_EQ(sender_.sent.size(), 2u) << "nothing is kept: a later question is another one";
  Ask(kOverview, Leader("c3"));
  EXPECT_EQ(sender_.sent.size(), 3u) << "another leader is another one";
}

TEST_F(LeaderForwardTest, ALeaderThatDoesNotAnswerIsSaidAndIsNotWaitedForEachTime) {
  Ask();
  Answer(absl::DeadlineExceededError("no answer within 1.9s"));
  ASSERT_EQ(replies_.size(), 1u);
  EXPECT_EQ(replies_[0].code, 503);
  EXPECT_THAT(replies_[0].body,
              AllOf(HasSubstr("NOT_LEADER"), HasSubstr("c2:7410"), HasSubstr("within 1.9s")));
  Ask("/v1/cluster/ring");
  ASSERT_EQ(replies_.size(), 2u) << "at once";
  EXPECT_EQ(replies_[1].code, 503);
  EXPECT_TRUE(sender_.sent.empty());
  Ask(kOverview, Leader("c3"));
  EXPECT_EQ(sender_.sent.size(), 1u) << "another one may answer";
  Answer(200, "of c3");
  clock_.Advance(LeaderForward::kFailed);
  Ask();
  ASSERT_EQ(sender_.sent.size(), 1u);
  Answer(200, "it is back");
  EXPECT_EQ(replies_.back().code, 200);
}

TEST_F(LeaderForwardTest, OnlySoManyQuestionsAreUnderWay) {
  for (size_t i = 0; i < LeaderForward::kMaxUnderWay; ++i) {
    Ask(absl::StrCat("/v1/cluster/hotkeys?limit=", i));
  }
  EXPECT_THAT(replies_, IsEmpty());
  Ask("/v1/cluster/hotkeys?limit=999");
  EXPECT_EQ(sender_.sent.size(), LeaderForward::kMaxUnderWay);
  ASSERT_EQ(replies_.size(), 1u);
  EXPECT_EQ(replies_[0].code, 503);
  EXPECT_THAT(replies_[0].body, HasSubstr("OVERLOADED"));
  Ask("/v1/cluster/hotkeys?limit=0");
  EXPECT_EQ(replies_.size(), 1u) << "one that is asked already may wait for its answer";
  Answer(200, "");
  EXPECT_EQ(replies_.size(), 3u);
  Ask("/v1/cluster/hotkeys?limit=999");
  EXPECT_EQ(sender_.sent.size(), LeaderForward::kMaxUnderWay) << "there is room again";
}

TEST_F(LeaderForwardTest, OnlySoManyWait) {
  for (size_t i = 0; i < LeaderForward::kMaxWaiting; ++i) Ask();
  EXPECT_THAT(replies_, IsEmpty());
  Ask();
  ASSERT_EQ(replies_.size(), 1u);
  EXPECT_THAT(replies_[0].body, HasSubstr("OVERLOADED"));
  Answer(200, "");
  EXPECT_EQ(replies_.size(), LeaderForward::kMaxWaiting + 1);
  Ask();
  EXPECT_EQ(sender_.sent.size(), 1u);
}

TEST_F(LeaderForwardTest, AnAddressThatIsNoneIsNotAsked) {
  for (const char* address : {"nonsense:port", "c2:7413/path?x=", "user@c2:7413", ":"}) {
    LeaderView leader = Leader();
    leader.http_address = address;
    replies_.clear();
    Ask(kOverview, leader);
    ASSERT_LE(sender_.sent.size(), 1u);
    if (!sender_.sent.empty()) {
      EXPECT_EQ(Answer(200).url.target, kOverview) << address;
    }
    ASSERT_EQ(replies_.size(), 1u) << address;
  }
}

TEST(ReachableHttpTest, WhatListensEverywhereIsWhereGrpcIs) {
  EXPECT_EQ(ReachableHttp("0.0.0.0:7413", "10.1.2.3:7410"), "10.1.2.3:7413");
  EXPECT_EQ(ReachableHttp("[::]:7413", "[fd00::1]:7410"), "[fd00::1]:7413");
  EXPECT_EQ(ReachableHttp("0.0.0.0:7413", "coordinator-1.us:7410"), "coordinator-1.us:7413");
  EXPECT_EQ(ReachableHttp("10.1.2.3:7413", "10.9.9.9:7410"), "10.1.2.3:7413");
  EXPECT_EQ(ReachableHttp("127.0.0.1:7413", "127.0.0.1:7410"), "127.0.0.1:7413");
}

TEST(ReachableHttpTest, WhatOthersCannotReachIsNowhere) {
  EXPECT_EQ(ReachableHttp("127.0.0.1:7413", "10.1.2.3:7410"), "");
  EXPECT_EQ(ReachableHttp("0.0.0.0:7413", "0.0.0.0:7410"), "");
  EXPECT_EQ(ReachableHttp("0.0.0.0:7413", ""), "");
}

}  // namespace
}  // namespace meridian
