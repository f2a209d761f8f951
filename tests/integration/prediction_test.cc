// Warming that pays for itself, with real processes: what sessions ask for one after the other is
// expected, read and marked at its owner, and explained.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using cache::v1::CacheService;
using coordinator::v1::CoordinatorService;

constexpr absl::Duration kLimit = absl::Seconds(60);
const char* const kNodes[] = {"us-node-1", "us-node-2"};

class PredictionTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(dir_ / "policies.yaml", "namespaces:\n  task: {ttl: 10m, l1_ttl: 3s}\n");
    cluster_ = StartTestCluster(
        {.regions = {"us"},
         .coordinators = 1,
         .node_flags = {"--sample-callers=1", "--policies=" + (dir_ / "policies.yaml")},
         .coordinator_flags = {"--prediction=true"}});
    ASSERT_NE(cluster_, nullptr);
    node_ = NewStub<CacheService>(cluster_->Address("us-node-1", "data"));
    coordinator_ = NewStub<CoordinatorService>(cluster_->Address("us-coordinator-1", "grpc"));
  }
  cache::v1::Source Get(const std::string& key, const std::string& session) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    cache::v1::GetRequest request;
    request.mutable_header()->set_session(session);
    request.set_namespace_(calls::kSpace);
    request.set_key(key);
    cache::v1::GetResponse response;
    EXPECT_TRUE(node_->Get(&context, request, &response).ok());
    return response.entry().source();
  }
  double Warmed(const std::string& outcome) const {
    double sum = 0;
    for (const char* name : kNodes) {
      sum += FetchMetric(cluster_->Address(name, "http"), "meridian_warmed_entries_total",
                         {"source=\"prediction\"", absl::StrCat("outcome=\"", outcome, "\"")});
    }
    return sum;
  }
  coordinator::v1::ExplainPredictionResponse Explain(const std::string& key) const {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    coordinator::v1::ExplainPredictionRequest request;
    request.set_namespace_(calls::kSpace);
    request.set_key(key);
    coordinator::v1::ExplainPredictionResponse response;
    EXPECT_TRUE(coordinator_->ExplainPrediction(&context, request, &response).ok());
    return response;
  }

  const TempDir dir_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<calls::Stub> node_;
  std::unique_ptr<CoordinatorService::Stub> coordinator_;
};

// 2-10, too; it is explained, and a hit of what was brought is counted where it is.
TEST_F(PredictionTest, Requirement1_05_2_11_WhatASessionWantsNextIsInMemoryBeforeItAsks) {
  calls::SetAll(*node_, {"task:1", "project:1", "other:1"}, "value");
  // People pause between two looks: what comes within a second could not be brought in before.
  for (int i = 0; i < 20; ++i) Get("task:1", absl::StrCat("user-", i));
  absl::SleepFor(absl::Milliseconds(1500));
  for (int i = 0; i < 20; ++i) Get("project:1", absl::StrCat("user-", i));
  ASSERT_TRUE(WaitUntil(
      [&] {
        Get("task:1", "looker");
        return Explain("project:1").confidence() >= 0.5;
      },
      kLimit));
  const coordinator::v1::ExplainPredictionResponse why = Explain("project:1");
  ASSERT_GT(why.signals_size(), 0);
  EXPECT_THAT(why.signals(0).evidence(), testing::HasSubstr("task:1"));
  EXPECT_EQ(Explain("other:1").signals_size(), 0);
  // L1 forgets them after 3 s; somebody new asks for the first.
  int session = 0;
  EXPECT_TRUE(WaitUntil(
      [&] {
        const double before = Warmed("warmed");
        const std::string name = absl::StrCat("new-", ++session);
        Get("task:1", name);
        if (!WaitUntil([&] { return Warmed("warmed") > before; }, absl::Seconds(6))) return false;
        return Get("project:1", name) == cache::v1::SOURCE_L1;
      },
      kLimit));
  EXPECT_GE(Warmed("used"), 1);
}

}  // namespace
}  // namespace meridian
