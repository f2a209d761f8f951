// A real node, its traffic, and the question what another L1 would do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/child_process.h"
#include "tests/support/redis_process.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"

namespace meridian {
namespace {

using testing::HasSubstr;

class WhatIfCallTest : public testing::Test {
 protected:
  static constexpr int kKeys = 2000;

  void SetUp() override {
    absl::StatusOr<std::unique_ptr<RedisProcess>> redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << std::string(redis.status().message());
    redis_ = *std::move(redis);
  }
  void Start(int entries) {
    WriteFile(dir_ / "policies.yaml",
              absl::StrCat("namespaces:\n  task: {max_entries: ", entries, ", eviction: lru}\n"));
    absl::StatusOr<std::unique_ptr<TestNode>> node = TestNode::Start(
        "n0",
        {"--redis", redis_->url(), "--policies", dir_ / "policies.yaml", "--l1-max-bytes", "1MiB"});
    ASSERT_TRUE(node.ok()) << std::string(node.status().message());
    node_ = *std::move(node);
    stub_ = NewStub<cache::v1::CacheService>(node_->data());
    admin_ = NewStub<admin::v1::AdminService>(node_->admin());
  }
  // Skewed reads of all keys; the hit rate of L1 over the second half of them.
  double Load() {
    std::mt19937_64 random(7);
    std::vector<std::string> keys;
    for (int i = 0; i < kKeys; ++i) keys.push_back(absl::StrCat("k", i));
    for (int i = 0; i < kKeys; i += 1000) {
      calls::SetAll(*stub_, {keys.begin() + i, keys.begin() + i + 1000}, "value");
    }
    int hits = 0;
    int counted = 0;
    for (int i = 0; i < 1000; ++i) {
      std::vector<std::string> batch;
      for (int k = 0; k < 20; ++k) {
        const double u = std::uniform_real_distribution<double>(0, 1)(random);
        batch.push_back(keys[static_cast<size_t>(kKeys * u * u)]);
      }
      const cache::v1::BatchGetResponse got = calls::GetAll(*stub_, batch);
      if (i < 500) continue;
      for (const cache::v1::Entry& entry : got.entries()) {
        ++counted;
        hits += entry.source() == cache::v1::SOURCE_L1 ? 1 : 0;
      }
    }
    return static_cast<double>(hits) / counted;
  }
  grpc::Status Ask(const admin::v1::WhatIfRequest& request, admin::v1::WhatIfResponse* response) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    return admin_->WhatIf(&context, request, response);
  }

  const TempDir dir_;
  std::unique_ptr<RedisProcess> redis_;
  std::unique_ptr<TestNode> node_;
  std::unique_ptr<cache::v1::CacheService::Stub> stub_;
  std::unique_ptr<admin::v1::AdminService::Stub> admin_;
};

TEST_F(WhatIfCallTest, WhatIsPredictedIsWhatANodeOfThatSizeThenHas) {
  Start(200);
  const double measured = Load();
  admin::v1::WhatIfRequest request;
  request.set_namespace_(calls::kSpace);
  request.set_max_entries(600);
  admin::v1::WhatIfResponse answer;
  const grpc::Status status = Ask(request, &answer);
  ASSERT_TRUE(status.ok()) << ToWireError(status);
  EXPECT_EQ(answer.node(), "n0");
  EXPECT_EQ(answer.present_max_entries(), 200);
  EXPECT_EQ(answer.present_policy(), "lru");
  EXPECT_EQ(answer.sample_rate(), 1);
  EXPECT_NEAR(answer.hit_rate(), measured, 0.02);

  const CommandResult ctl = RunCommand({ProgramPath("meridianctl"), "what-if", calls::kSpace,
                                        "--max-entries", "600", "--admin", node_->admin()},
                                       absl::Seconds(30));
  EXPECT_EQ(ctl.exit_code, 0) << ctl.err;
  EXPECT_THAT(ctl.out, HasSubstr("as asked"));
  EXPECT_EQ(answer.present_ttl_ms(), 3'600'000);
  EXPECT_THAT(ctl.out, testing::MatchesRegex("(.|\n)*as it is +200 [^\n]* 1h (.|\n)*"));

  Start(600);
  EXPECT_NEAR(answer.predicted_hit_rate(), Load(), 0.02);
}

TEST_F(WhatIfCallTest, QuestionsThatCannotBeAnsweredAreRefusedWithTheirReason) {
  Start(200);
  admin::v1::WhatIfRequest request;
  admin::v1::WhatIfResponse answer;
  EXPECT_THAT(ToWireError(Ask(request, &answer)).reason, "NAMESPACE_INVALID");
  request.set_namespace_(calls::kSpace);
  EXPECT_THAT(ToWireError(Ask(request, &answer)).reason, "FIELD_INVALID");
  request.set_policy("lru");
  EXPECT_THAT(ToWireError(Ask(request, &answer)).reason, "NO_TRAFFIC");
  request.set_ttl_ms(~uint64_t{0});
  EXPECT_THAT(ToWireError(Ask(request, &answer)).reason, "TTL_OUT_OF_RANGE");
}

TEST_F(WhatIfCallTest, ManyQuestionsAtOnceDoNotPileUp) {
  Start(200);
  Load();
  admin::v1::WhatIfRequest request;
  request.set_namespace_(calls::kSpace);
  request.set_max_entries(600);
  constexpr int kQuestions = 64;
  struct Question {
    grpc::ClientContext context;
    admin::v1::WhatIfResponse answer;
    grpc::Status status;
  };
  std::vector<Question> questions(kQuestions);
  absl::BlockingCounter pending(kQuestions);
  for (Question& question : questions) {
    calls::SetDeadline(&question.context);
    admin_->async()->WhatIf(&question.context, &request, &question.answer,
                            [&](grpc::Status status) {
                              question.status = std::move(status);
                              pending.DecrementCount();
                            });
  }
  pending.Wait();
  int answered = 0;
  int refused = 0;
  for (const Question& question : questions) {
    answered += question.status.ok() ? 1 : 0;
    refused += !question.status.ok() && ToWireError(question.status).reason == "OVERLOADED" ? 1 : 0;
  }
  EXPECT_GE(answered, 4);
  EXPECT_GE(refused, 1);
  EXPECT_EQ(answered + refused, kQuestions);
  EXPECT_TRUE(Ask(request, &questions[0].answer).ok()) << "afterwards there is room again";
}

}  // namespace
}  // namespace meridian
