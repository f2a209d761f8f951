// A cluster whose namespaces load from the example's origin: real processes, a real database.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "client/cpp/client.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "origin_admin.grpc.pb.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using example::v1::OriginAdminService;
using testing::HasSubstr;

constexpr int kNodes = 6;

class OriginTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    TestClusterOptions options;
    options.regions = {"us"};
    options.nodes = kNodes;
    options.origin = true;
    cluster_ = StartTestCluster(options).release();
    if (cluster_ == nullptr) return;
    origin_ = NewStub<OriginAdminService>(cluster_->Address("origin", "origin")).release();
    client_ = cluster_->NewClient("us", {.get_timeout = absl::Seconds(5)}).release();
  }
  static void TearDownTestSuite() {
    delete client_;
    delete origin_;
    delete cluster_;
  }
  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    SetBehaviour(0, 0);
    Stats(/*reset=*/true);
  }

  static example::v1::GetStatsResponse Stats(bool reset = false) {
    grpc::ClientContext context;
    example::v1::GetStatsRequest request;
    request.set_reset(reset);
    example::v1::GetStatsResponse response;
    EXPECT_TRUE(origin_->GetStats(&context, request, &response).ok());
    return response;
  }
  static void SetBehaviour(uint32_t delay_ms, double failure_rate) {
    grpc::ClientContext context;
    example::v1::SetBehaviourRequest request;
    request.set_delay_ms(delay_ms);
    request.set_failure_rate(failure_rate);
    example::v1::SetBehaviourResponse response;
    EXPECT_TRUE(origin_->SetBehaviour(&context, request, &response).ok());
  }
  static std::vector<std::string> Update(const std::string& kind, const std::string& id,
                                         const std::string& body, const std::string& state = "",
                                         const std::string& parent = "", bool remove = false) {
    grpc::ClientContext context;
    example::v1::UpdateRequest request;
    request.set_kind(kind);
    request.set_id(id);
    request.set_body(body);
    request.set_state(state);
    request.set_parent(parent);
    request.set_remove(remove);
    example::v1::UpdateResponse response;
    const grpc::Status status = origin_->Update(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.invalidated().begin(), response.invalidated().end()};
  }
  // "miss" or the reason of an error when there is no value.
  static std::string Read(const std::string& name_space, const std::string& key,
                          const GetOptions& options = {}) {
    const GetResult result = client_->Get(name_space, key, options);
    if (result.hit()) return result.value;
    return result.error == nullptr ? "miss" : result.error->reason;
  }
  // The sum over all nodes.
  static double Metric(const std::string& name, const std::string& name_space) {
    double sum = 0;
    for (int i = 1; i <= kNodes; ++i) {
      sum += FetchMetric(cluster_->Address(absl::StrCat("us-node-", i), "http"), name,
                         {absl::StrCat("namespace=\"", name_space, "\"")});
    }
    return sum;
  }

  static TestCluster* cluster_;
  static OriginAdminService::Stub* origin_;
  static Client* client_;
};

TestCluster* OriginTest::cluster_ = nullptr;
OriginAdminService::Stub* OriginTest::origin_ = nullptr;
Client* OriginTest::client_ = nullptr;

TEST_F(OriginTest, TenThousandConcurrentMissesOfOneKeyAreOneLoad) {
  constexpr int kCallers = 10'000;
  SetBehaviour(/*delay_ms=*/300, 0);
  std::vector<std::unique_ptr<cache::v1::CacheService::Stub>> nodes;
  for (int i = 1; i <= kNodes; ++i) {
    nodes.push_back(
        NewStub<cache::v1::CacheService>(cluster_->Address(absl::StrCat("us-node-", i), "data")));
  }
  struct Call {
    grpc::ClientContext context;
    cache::v1::GetResponse response;
  };
  cache::v1::GetRequest request;
  request.set_namespace_("assessment");
  request.set_key("assessment:777:details");
  std::vector<Call> calls(kCallers);
  absl::BlockingCounter left(kCallers);
  std::atomic<int> found{0};
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(30);
  for (int i = 0; i < kCallers; ++i) {
    Call& call = calls[static_cast<size_t>(i)];
    call.context.set_deadline(deadline);
    nodes[static_cast<size_t>(i % kNodes)]->async()->Get(
        &call.context, &request, &call.response, [&](const grpc::Status& status) {
          if (status.ok() && absl::StrContains(call.response.entry().value(), "assessment 777")) {
            ++found;
          }
          left.DecrementCount();
        });
  }
  left.Wait();
  EXPECT_EQ(found, kCallers);
  EXPECT_EQ(Stats().loads(), 1);
  EXPECT_EQ(Stats().keys(), 1);
  EXPECT_EQ(Metric("meridian_origin_loads_total", "assessment"), 1);
}

TEST_F(OriginTest, Requirement4_02_AnAssessmentLivesByItsStateAndAnUpdateIsSeenAtOnce) {
  Update("assessment", "12", "first", "in_progress");
  GetResult result = client_->Get("assessment", "assessment:12:details");
  EXPECT_THAT(result.value, HasSubstr("first"));
  EXPECT_LE(result.ttl, absl::Seconds(60));
  Update("assessment", "12", "second", "completed");
  result = client_->Get("assessment", "assessment:12:details");
  EXPECT_THAT(result.value, HasSubstr("second"));
  EXPECT_GT(result.ttl, absl::Seconds(60));
  EXPECT_LE(result.ttl, absl::Seconds(300));
  Update("assessment", "12", "", "", "", /*remove=*/true);
  EXPECT_EQ(Read("assessment", "assessment:12:details"), "miss");
  const uint64_t keys = Stats().keys();
  EXPECT_EQ(Read("assessment", "assessment:12:details"), "miss");
  EXPECT_EQ(Stats().keys(), keys) << "known to be absent";
}

TEST_F(OriginTest, Requirement4_03_ForceRefreshComputesTheDashboardAnew) {
  const std::string key = "dashboard:overview:7";
  EXPECT_THAT(Read("dashboard", key), HasSubstr("completed"));
  EXPECT_THAT(Read("dashboard", key), HasSubstr("completed"));
  EXPECT_EQ(Stats().keys(), 1);
  GetOptions force;
  force.force_refresh = true;
  EXPECT_THAT(Read("dashboard", key, force), HasSubstr("completed"));
  EXPECT_EQ(Stats().keys(), 2);

  // A row of user 7 changes in the database, and the cache has what was computed before, as it has
  // when somebody changes rows without telling it.
  const std::string before = Read("dashboard", key);
  ASSERT_FALSE(absl::StrContains(before, "abandoned"));
  Update("assessment", "7", "", "abandoned");
  ASSERT_TRUE(client_->Set("dashboard", key, before).ok());
  EXPECT_EQ(Read("dashboard", key), before) << "nobody has told it";
  EXPECT_THAT(Read("dashboard", key, force), HasSubstr("abandoned"));
  const uint64_t keys = Stats().keys();
  for (int i = 0; i < 12; ++i) {
    EXPECT_THAT(Read("dashboard", key), HasSubstr("abandoned")) << "for all who ask later";
  }
  EXPECT_EQ(Stats().keys(), keys) << "and they are answered by the cache";
}

TEST_F(OriginTest, Requirement4_04_FilteredListsAreNotCachedAndANewOneReplacesTheOld) {
  const std::string key = "recommendations:31:list";
  EXPECT_THAT(Read("recommendations", key), HasSubstr("recommendation 2 for assessment 31"));
  EXPECT_EQ(Read("recommendations", key + "?agent_filter=a"), "miss");
  Update("recommendation", "31-3", "generated later", "", "31");
  EXPECT_THAT(Read("recommendations", key), HasSubstr("generated later"));
  EXPECT_EQ(Stats().keys(), 2);
}

TEST_F(OriginTest, Requirement2_09_AChangedProjectReachesItsBranchesAndTasks) {
  EXPECT_THAT(Read("task", "task:4-1-2"), HasSubstr("project 4"));
  EXPECT_THAT(Read("git_branch", "git_branch:4-1"), HasSubstr("project 4"));
  EXPECT_THAT(Read("task", "task:5-1-2"), HasSubstr("project 5"));
  Update("project", "4", "renamed");
  EXPECT_THAT(Read("task", "task:4-1-2"), HasSubstr("renamed"));
  EXPECT_THAT(Read("git_branch", "git_branch:4-1"), HasSubstr("renamed"));
  const uint64_t keys = Stats().keys();
  EXPECT_THAT(Read("task", "task:5-1-2"), HasSubstr("project 5"));
  EXPECT_EQ(Stats().keys(), keys) << "others stay cached";
}

TEST_F(OriginTest, Requirement2_16_AChangedContextReachesWhatInheritsFromIt) {
  EXPECT_THAT(Read("context", "context:234"), HasSubstr("context 23"));
  EXPECT_THAT(Read("context", "context:245"), HasSubstr("context 24"));
  // One value is named: what inherits from it depends on it.
  EXPECT_EQ(Update("context", "23", "changed above"),
            std::vector<std::string>{"context context:23"});
  EXPECT_THAT(Read("context", "context:234"), HasSubstr("changed above"));
  const uint64_t keys = Stats().keys();
  EXPECT_THAT(Read("context", "context:245"), HasSubstr("context 24"));
  EXPECT_EQ(Stats().keys(), keys) << "others stay cached";
  Update("context", "2", "changed far above");
  EXPECT_THAT(Read("context", "context:234"), HasSubstr("changed far above"));
  EXPECT_THAT(Read("context", "context:245"), HasSubstr("changed far above"));
}

TEST_F(OriginTest, KeysThatAreMissingTogetherAreLoadedTogether) {
  std::vector<std::string> keys;
  std::vector<std::string_view> views;
  for (int i = 100; i < 200; ++i) keys.push_back(absl::StrCat("assessment:", i, ":details"));
  for (const std::string& key : keys) views.push_back(key);
  for (const GetResult& result : client_->BatchGet("assessment", views)) {
    EXPECT_TRUE(result.hit());
  }
  EXPECT_EQ(Stats().keys(), 100);
  EXPECT_LE(Stats().loads(), 2 * kNodes) << "a call or two for each owner";
}

TEST_F(OriginTest, Requirement2_13_4_08_TheDatabaseHasAFifthOfTheLoadOrLess) {
  const CommandResult load = RunCommand({ProgramPath("meridian-example-load"), "--origin",
                                         cluster_->Address("origin", "origin"), "--target",
                                         cluster_->Address("us-node-1", "data"), "--requests",
                                         "10000", "--cold", "--max-share", "0.20"});
  EXPECT_EQ(load.exit_code, 0) << load.out << load.err;
  EXPECT_THAT(load.out, HasSubstr("wrong answers: 0"));
}

// Of a namespace without an origin: the services load for themselves, one of them for all.
TEST_F(OriginTest, AServiceFillsUnderItsLeaseAndTheOthersAreGivenTheValue) {
  GetOptions options;
  options.timeout = absl::Seconds(10);
  options.want_lease = true;
  std::mutex mu;
  std::vector<GetResult> results;
  constexpr int kCallers = 50;
  const auto count = [&] {
    const std::lock_guard lock(mu);
    return results.size();
  };
  for (int i = 0; i < kCallers; ++i) {
    client_->Get("look_aside", "k", options, [&](GetResult result) {
      const std::lock_guard lock(mu);
      results.push_back(std::move(result));
    });
  }
  ASSERT_TRUE(WaitUntil([&] { return count() == 1; }, absl::Seconds(5)));
  ASSERT_EQ(results[0].status, ResultStatus::kMiss);
  ASSERT_FALSE(results[0].lease.empty());
  SetOptions fill;
  fill.lease = results[0].lease;
  const WriteResult filled = client_->Set("look_aside", "k", "loaded", fill);
  ASSERT_TRUE(filled.ok()) << filled.error->message;
  ASSERT_TRUE(WaitUntil([&] { return count() == kCallers; }, absl::Seconds(5)));
  for (size_t i = 1; i < kCallers; ++i) EXPECT_EQ(results[i].value, "loaded");

  ASSERT_TRUE(client_->Invalidate("look_aside", "k").ok());
  const WriteResult late = client_->Set("look_aside", "k", "from before the change", fill);
  EXPECT_EQ(late.status, ResultStatus::kConflict);
  ASSERT_NE(late.error, nullptr);
  EXPECT_EQ(late.error->reason, "LEASE_VOID");
  EXPECT_EQ(Read("look_aside", "k"), "miss");

  SetItem item{.key = "k", .value = "v"};
  item.lease = client_->Get("look_aside", "k", options).lease;
  ASSERT_FALSE(item.lease.empty());
  EXPECT_TRUE(client_->BatchSet("look_aside", {item})[0].ok());
  EXPECT_EQ(Read("look_aside", "k"), "v");
}

TEST_F(OriginTest, AnOriginThatFailsCostsNoHitAndSaysSo) {
  EXPECT_THAT(Read("persona", "calm-flowing-seek_advice"), HasSubstr("calm"));
  SetBehaviour(0, /*failure_rate=*/1);
  EXPECT_THAT(Read("persona", "calm-flowing-seek_advice"), HasSubstr("calm"));
  EXPECT_EQ(Read("persona", "calm-flowing-learning"), "ORIGIN_UNAVAILABLE");
}

}  // namespace
}  // namespace meridian
