#include "server/coordinator/cluster_analytics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/error.h"
#include "common/rpc/proto_json.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"
#include "tests/unit/server/figures/fake_figure_transport.h"
#include "tests/unit/server/figures/fake_http_sender.h"
#include "tests/unit/server/figures/figures_fixture.h"

namespace meridian {
namespace {

using coordinator::v1::GetAnalyticsRequest;
using coordinator::v1::GetAnalyticsResponse;
using testing::HasSubstr;

class ClusterAnalyticsTest : public testing::Test {
 protected:
  static CoordinatorOptions Options() {
    CoordinatorOptions options;
    options.id = "c1";
    options.membership.region = "us";
    options.lease.holder = "c1";
    return options;
  }

  ClusterAnalyticsTest() {
    analytics_.SetOtherRegions(&others_);
    transport_.analytics->mutable_stats()->set_ttl_seconds(300);
    collector_.Start();
  }
  // n1 and n2 have told what they count.
  void Tell() {
    executor_.RunFor(absl::Seconds(1));
    for (const char* id : {"n1", "n2"}) {
      admin::v1::GetFiguresResponse answer = Answer(id);
      AddReads("task", Reads(80, 0, 20), &answer);
      std::exchange(transport_.waiting[std::string(id) + ":7402"], nullptr)(answer);
    }
    executor_.RunFor(absl::Seconds(1));
  }
  void Get(const GetAnalyticsRequest& request) {
    answer_.reset();
    analytics_.Get(request, [this](const grpc::Status& status, GetAnalyticsResponse answer) {
      status_ = status;
      answer_ = std::move(answer);
    });
    executor_.RunDue();
  }
  // What eu's coordinator says: twice as many hits, each a millisecond slower, and another TTL.
  static std::string Eu(double ttl_seconds) {
    admin::v1::GetFiguresResponse node = Answer("e1");
    AddReads("task", Reads(320, 0, 40), &node);
    return ToJson(AnalyticsOf({&node, 1}, {.ttl = absl::Seconds(ttl_seconds)})).dump();
  }
  static GetAnalyticsRequest AllRegions() {
    GetAnalyticsRequest request;
    request.set_all_regions(true);
    return request;
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeLeaseStore leases_{clock_};
  std::unique_ptr<FakeLeaseStore::View> store_ = leases_.ViewFor(executor_);
  Coordinator coordinator_{Options(), clock_, executor_, *store_};
  FakeFigureTransport transport_ = [] {
    FakeFigureTransport transport;
    transport.analytics = admin::v1::GetAnalyticsResponse();
    return transport;
  }();
  FigureCollector collector_{FigureCollectorOptions(), clock_, executor_, transport_,
                             [](bool* leading) {
                               *leading = true;
                               return std::vector<FollowedNode>{Follow("n1"), Follow("n2")};
                             }};
  FakeHttpSender sender_;
  OtherRegions others_{{{"eu", {*ParseHttpUrl("http://eu:7413")}}}, clock_, executor_, sender_};
  ClusterAnalytics analytics_{coordinator_, collector_, transport_, UnitCosts{0.5, "EUR"}};
  grpc::Status status_;
  std::optional<GetAnalyticsResponse> answer_;
};

TEST_F(ClusterAnalyticsTest, OfTheRegionOfANodeAndOfANamespace) {
  Tell();
  Get({});
  ASSERT_TRUE(answer_.has_value() && status_.ok());
  EXPECT_EQ(answer_->analytics().stats().metrics().hits(), 160u);
  EXPECT_EQ(answer_->analytics().stats().ttl_seconds(), 300);
  EXPECT_EQ(answer_->regions_size(), 0);
  EXPECT_TRUE(sender_.sent.empty()) << "nobody else is asked";
  GetAnalyticsRequest request;
  request.set_node("n1");
  Get(request);
  EXPECT_EQ(answer_->analytics().stats().metrics().hits(), 80u);
  request.set_namespace_("other");
  Get(request);
  EXPECT_EQ(answer_->analytics().stats().metrics().hits(), 0u);
}

TEST_F(ClusterAnalyticsTest, OfAllRegionsAreTheSumsWithAveragesByTheirCounts) {
  Tell();
  GetAnalyticsRequest request = AllRegions();
  request.set_namespace_("task");
  Get(request);
  ASSERT_EQ(sender_.sent.size(), 1u);
  EXPECT_EQ(sender_.sent[0].call.url.target, "/v1/cluster/analytics?namespace=task");
  EXPECT_FALSE(answer_.has_value()) << "eu has not answered";
  sender_.Answer(HttpAnswer{.code = 200, .body = Eu(300)});
  executor_.RunDue();
  ASSERT_TRUE(answer_.has_value());
  const admin::v1::CacheMetrics& metrics = answer_->analytics().stats().metrics();
  EXPECT_EQ(metrics.hits(), 160u + 320u);
  EXPECT_EQ(metrics.misses(), 40u + 40u);
  EXPECT_NEAR(metrics.hit_rate_percent(), 100.0 * 480 / 560, 1e-6);
  EXPECT_NEAR(metrics.average_miss_latency_ms(), 40, 1e-6);
  EXPECT_EQ(answer_->analytics().stats().ttl_seconds(), 300) << "both have it";
  EXPECT_EQ(answer_->analytics().cost_savings().estimated_cost_savings(), 240);
  ASSERT_EQ(answer_->regions_size(), 2);
  EXPECT_EQ(answer_->regions(0).region(), "us");
  EXPECT_EQ(answer_->regions(1).region(), "eu");
  EXPECT_TRUE(answer_->regions(1).known());
  EXPECT_EQ(answer_->regions(1).analytics().stats().metrics().hits(), 320u);
}

TEST_F(ClusterAnalyticsTest, OfNamespacesThatNobodyHereHasReadOnlySoManyAreAskedElsewhere) {
  Tell();
  GetAnalyticsRequest request = AllRegions();
  for (int i = 0; i < ClusterAnalytics::kMaxUnknown; ++i) {
    request.set_namespace_(absl::StrCat("made-up-", i));
    Get(request);
    EXPECT_FALSE(answer_.has_value()) << i;
  }
  request.set_namespace_("made-up-more");
  Get(request);
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(FromGrpcStatus(status_).reason, "OVERLOADED");
  const size_t unknown = ClusterAnalytics::kMaxUnknown;
  EXPECT_EQ(sender_.sent.size(), unknown);
  // What is known here, and what is asked of this region alone, goes on.
  request.set_namespace_("task");
  Get(request);
  EXPECT_EQ(sender_.sent.size(), unknown + 1);
  Get(AllRegions());
  EXPECT_EQ(sender_.sent.size(), unknown + 2);
  request.set_namespace_("made-up-more");
  request.set_all_regions(false);
  Get(request);
  ASSERT_TRUE(answer_.has_value() && status_.ok());
  // With an answer there is room for one more, which may be known there alone.
  sender_.Answer(HttpAnswer{.code = 200, .body = Eu(300)});
  executor_.RunDue();
  request.set_all_regions(true);
  Get(request);
  EXPECT_FALSE(answer_.has_value());
  EXPECT_EQ(sender_.sent.size(), unknown + 2);
}

TEST_F(ClusterAnalyticsTest, OnlySoManyCallsAreUnderWay) {
  Tell();
  for (int i = 0; i < ClusterAnalytics::kMaxUnderWay; ++i) Get(AllRegions());
  EXPECT_FALSE(answer_.has_value());
  EXPECT_EQ(sender_.sent.size(), 1u) << "they are equal";
  Get({});
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  sender_.Answer(HttpAnswer{.code = 200, .body = Eu(300)});
  executor_.RunDue();
  Get({});
  EXPECT_TRUE(status_.ok());
}

TEST_F(ClusterAnalyticsTest, TtlsThatDifferOrAreNotKnownAreNone) {
  Tell();
  Get(AllRegions());
  sender_.Answer(HttpAnswer{.code = 200, .body = Eu(60)});
  executor_.RunDue();
  EXPECT_TRUE(std::isnan(answer_->analytics().stats().ttl_seconds()));
  EXPECT_EQ(answer_->regions(1).analytics().stats().ttl_seconds(), 60);
  executor_.RunFor(absl::Seconds(2));
  Tell();
  Get(AllRegions());
  auto json = nlohmann::ordered_json::parse(Eu(60));
  json["stats"]["ttl_seconds"] = nullptr;
  sender_.Answer(HttpAnswer{.code = 200, .body = json.dump()});
  executor_.RunDue();
  EXPECT_TRUE(std::isnan(answer_->regions(1).analytics().stats().ttl_seconds())) << "not 0";
}

TEST_F(ClusterAnalyticsTest, ARegionThatIsAwayOrTalksNonsenseIsNotKnownAndInNoSum) {
  Tell();
  Get(AllRegions());
  sender_.Answer(absl::UnavailableError("no connection"));
  executor_.RunDue();
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(answer_->analytics().stats().metrics().hits(), 160u);
  EXPECT_FALSE(answer_->regions(1).known());
  EXPECT_FALSE(answer_->regions(1).has_age_seconds());
  EXPECT_EQ(answer_->regions(1).problem(), "no connection");
  for (const char* body : {"", "[]", "{}", "{\"stats\": 1}", "{\"stats\": {\"entries\": \"x\"}}"}) {
    executor_.RunFor(absl::Seconds(3));
    Tell();
    Get(AllRegions());
    sender_.Answer(HttpAnswer{.code = 200, .body = body});
    executor_.RunDue();
    ASSERT_TRUE(answer_.has_value()) << body;
    EXPECT_FALSE(answer_->regions(1).known()) << body;
    EXPECT_THAT(answer_->regions(1).problem(), HasSubstr("no analytics")) << body;
  }
}

TEST_F(ClusterAnalyticsTest, WhatCannotBeAnsweredSaysWhy) {
  Get({});
  EXPECT_EQ(FromGrpcStatus(status_).reason, "NOT_READY");
  Tell();
  GetAnalyticsRequest request;
  request.set_node("n9");
  Get(request);
  EXPECT_EQ(FromGrpcStatus(status_).reason, reason::kNodeUnknown);
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_all_regions(true);
  Get(request);
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request = {};
  request.set_namespace_("a b");
  Get(request);
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace meridian
