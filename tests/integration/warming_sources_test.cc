// Warming that nobody asks for, with real processes: hot keys that are loaded anew, and what a cold
// cluster is given first.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
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
using coordinator::v1::WarmJob;

constexpr absl::Duration kLimit = absl::Seconds(40);
const char* const kCoordinators[] = {"us-coordinator-1", "us-coordinator-2"};
const char* const kNodes[] = {"us-node-1", "us-node-2"};

class WarmingSourcesTest : public testing::Test {
 protected:
  void Start(const std::string& yaml, const std::vector<std::string>& node_flags = {}) {
    WriteFile(dir_ / "warming.yaml", yaml);
    cluster_ =
        StartTestCluster({.regions = {"us"},
                          .coordinators = 2,
                          .node_flags = node_flags,
                          .coordinator_flags = {absl::StrCat("--warm-file=", dir_ / "warming.yaml"),
                                                "--warm-settle=3s", "--lease-duration=1s"}});
    ASSERT_NE(cluster_, nullptr);
    ASSERT_TRUE(WaitUntil([&] { return !Leader().empty(); }, kLimit)) << "nobody leads";
    node_ = NewStub<CacheService>(cluster_->Address("us-node-1", "data"));
  }
  // Empty: nobody leads.
  std::string Leader() const {
    for (const char* name : kCoordinators) {
      const auto stub = NewStub<CoordinatorService>(cluster_->Address(name, "grpc"));
      grpc::ClientContext context;
      calls::SetDeadline(&context);
      coordinator::v1::GetStatusResponse status;
      if (stub->GetStatus(&context, {}, &status).ok() && status.leader()) return name;
    }
    return "";
  }
  // Those of a source that are done.
  size_t DoneJobs(const std::string& source) const {
    const std::string leader = Leader();
    if (leader.empty()) return 0;
    const auto stub = NewStub<CoordinatorService>(cluster_->Address(leader, "grpc"));
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    coordinator::v1::ListWarmJobsRequest request;
    request.set_page_size(1000);
    coordinator::v1::ListWarmJobsResponse response;
    if (!stub->ListWarmJobs(&context, request, &response).ok()) return 0;
    return static_cast<size_t>(
        std::count_if(response.jobs().begin(), response.jobs().end(), [&](const WarmJob& job) {
          return job.source() == source && job.state() == coordinator::v1::WARM_JOB_STATE_DONE;
        }));
  }
  double WarmedKeys(const std::string& source, const std::string& outcome) const {
    double sum = 0;
    for (const char* name : kCoordinators) {
      sum += FetchMetric(
          cluster_->Address(name, "http"), "meridian_warm_keys_total",
          {absl::StrCat("source=\"", source, "\""), absl::StrCat("outcome=\"", outcome, "\"")});
    }
    return sum;
  }
  double OfNodes(const std::string& metric, const std::vector<std::string>& labels) const {
    double sum = 0;
    for (const char* name : kNodes) {
      sum += FetchMetric(cluster_->Address(name, "http"), metric, labels);
    }
    return sum;
  }
  void Set(const std::vector<std::string>& keys) {
    const cache::v1::BatchSetResponse set = calls::SetAll(*node_, keys, "value");
    for (const auto& result : set.results()) {
      ASSERT_EQ(result.status(), cache::v1::ENTRY_STATUS_OK);
    }
  }

  const TempDir dir_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<calls::Stub> node_;
};

// 0-11: they are in memory, and are loaded from behind it all the same: so they stay there. Nobody
// waits for that, and it is in nobody's figures.
TEST_F(WarmingSourcesTest, HotKeysAreLoadedAnewAlthoughTheyAreInMemory) {
  constexpr absl::Duration kL1Ttl = absl::Seconds(8);
  WriteFile(dir_ / "policies.yaml", "namespaces:\n  task: {ttl: 1h, l1_ttl: 8s, ttl_jitter: 0}\n");
  Start("schedules: {hot: {cron: '@every 1s', namespace: task, top: 2}}",
        {absl::StrCat("--policies=", dir_ / "policies.yaml")});
  const std::vector<std::string> hot = {"hot:1", "hot:2"};
  Set(hot);
  double calls = 0;
  const auto read = [&] {
    for (int i = 0; i < 99; ++i) calls::GetAll(*node_, hot);
    calls += 100;
    return calls::GetAll(*node_, hot);
  };
  ASSERT_TRUE(WaitUntil(
      [&] {
        read();
        return WarmedKeys("schedule", "l2") >= 4;
      },
      kLimit));
  const absl::Time end = absl::Now() + kL1Ttl + absl::Seconds(3);
  while (absl::Now() < end) {
    const cache::v1::BatchGetResponse got = read();
    for (const auto& entry : got.entries()) ASSERT_EQ(entry.source(), cache::v1::SOURCE_L1);
    absl::SleepFor(absl::Milliseconds(200));
  }
  EXPECT_EQ(WarmedKeys("schedule", "resident"), 0);
  EXPECT_EQ(OfNodes("meridian_requests_total", {"method=\"BatchGet\""}), calls);
  EXPECT_EQ(OfNodes("meridian_request_duration_seconds_count", {"method=\"BatchGet\""}), calls);
  EXPECT_GE(OfNodes("meridian_warm_reads_total", {}), 4);
}

// 0-07, 1-04: when all nodes are new, once, though the leader dies besides.
TEST_F(WarmingSourcesTest, AColdClusterIsGivenItsFirstKeysOnceThoughTheLeaderIsKilled) {
  Start(
      "startup: {first: {namespace: task, keys: ['task:{1..100}']}}\n"
      "schedules: {tick: {cron: '@every 1s', namespace: clock, keys: [x], missed: skip}}");
  ASSERT_TRUE(WaitUntil([&] { return DoneJobs("startup") == 1; }, kLimit));
  std::vector<std::string> keys;
  for (int i = 1; i <= 100; ++i) keys.push_back(absl::StrCat("task:", i));
  Set(keys);
  const std::string leader = Leader();
  for (const char* name : kNodes) cluster_->Kill(name);
  cluster_->Kill(leader);
  ASSERT_TRUE(WaitUntil([&] { return !Leader().empty(); }, kLimit));
  for (const char* name : kNodes) cluster_->Restart(name);
  ASSERT_TRUE(WaitUntil([&] { return DoneJobs("startup") == 2; }, kLimit));
  node_ = NewStub<CacheService>(cluster_->Address("us-node-1", "data"));
  const cache::v1::BatchGetResponse got = calls::GetAll(*node_, keys);
  for (const auto& entry : got.entries()) EXPECT_EQ(entry.source(), cache::v1::SOURCE_L1);
  EXPECT_EQ(WarmedKeys("startup", "l2") + WarmedKeys("startup", "resident"), 100);

  // The next leader repeats nothing.
  cluster_->Restart(leader);
  const std::string second = Leader();
  cluster_->Kill(second);
  ASSERT_TRUE(WaitUntil([&] { return Leader() == leader; }, kLimit));
  ASSERT_TRUE(WaitUntil([&] { return DoneJobs("startup") > 0; }, kLimit));
  // It looks once a second, and has settled after three.
  const size_t ticks = DoneJobs("schedule");
  ASSERT_TRUE(WaitUntil([&] { return DoneJobs("schedule") >= ticks + 6; }, kLimit));
  EXPECT_EQ(DoneJobs("startup"), 2u);
}

}  // namespace
}  // namespace meridian
