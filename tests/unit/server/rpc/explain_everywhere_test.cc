// What an operator is told of a key: the owner first, then whoever else has something.

#include "server/rpc/explain_everywhere.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;

class ExplainEverywhereTest : public OriginFixture {
 protected:
  void SetUp() override {
    Start(3, nullptr);
    key_ = KeyOwnedBy(1);
    WriteOne(node(1), SetOf(key_, "v"));
  }
  // "L1 n1 value", ... as the answer has them, or the error.
  std::vector<std::string> Explain(int at) {
    Explainer explainer(node(at).context());
    admin::v1::ExplainKeyResponse response;
    std::optional<grpc::Status> status;
    int answers = 0;
    ExplainEverywhere(node(at).context(), explainer, node(at).topology().Get(), std::string(kSpace),
                      key_, clock_.Now() + absl::Seconds(5), &response,
                      [&](const grpc::Status& given) {
                        status = given;
                        ++answers;
                      });
    executor_.RunDue();
    EXPECT_EQ(answers, 1);
    if (!status || !status->ok()) return {status ? status->error_message() : "no answer"};
    std::vector<std::string> lines;
    for (const admin::v1::TierState& tier : response.tiers()) {
      lines.push_back(absl::StrCat(tier.tier() == cache::v1::SOURCE_L1 ? "L1 " : "L2", tier.node(),
                                   " ", tier.state()));
    }
    return lines;
  }

  std::string key_;
};

TEST_F(ExplainEverywhereTest, TheOwnersTiersComeFirstWhoeverIsAsked) {
  for (int at = 0; at < 3; ++at) {
    EXPECT_THAT(Explain(at), ElementsAre("L1 n1 value", "L2 value")) << at;
  }
}

TEST_F(ExplainEverywhereTest, WhatOthersHaveInMemoryIsShown) {
  // Nobody put it there but a test.
  Entry entry;
  entry.value = Buffer::CopyOf("old");
  entry.raw_size = 3;
  entry.version = node(2).versions().Next();
  entry.expires_at = clock_.Monotonic() + absl::Hours(1);
  node(2).engine().Put(node(2).KeyOf(key_), std::move(entry), clock_.Monotonic());
  for (int at = 0; at < 3; ++at) {
    EXPECT_THAT(Explain(at), ElementsAre("L1 n1 value", "L2 value", "L1 n2 value")) << at;
  }
}

TEST_F(ExplainEverywhereTest, WhoDoesNotAnswerIsNamedAndWithoutTheOwnerThereIsNoAnswer) {
  peers_.Fail("n2", absl::UnavailableError("connection refused"));
  EXPECT_THAT(Explain(0), ElementsAre("L1 n1 value", "L2 value", "L1 n2 unavailable"));
  peers_.Fail("n1", absl::UnavailableError("connection refused"));
  EXPECT_THAT(Explain(0), ElementsAre(testing::HasSubstr("node n1 owns the key")));
}

}  // namespace
}  // namespace meridian
