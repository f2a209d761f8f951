// A real node whose file of policies is edited while it serves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::HasSubstr;

class PolicyReloadTest : public testing::Test {
 protected:
  void Start(const std::string& policies, const std::string& poll) {
    WriteFile(file_, policies);
    absl::StatusOr<std::unique_ptr<TestNode>> node = TestNode::Start(
        "n0", {"--policies", file_, "--policies-poll", poll, "--l1-max-bytes", "4MiB"});
    ASSERT_TRUE(node.ok()) << std::string(node.status().message());
    node_ = *std::move(node);
    stub_ = NewStub<cache::v1::CacheService>(node_->data());
    admin_ = NewStub<admin::v1::AdminService>(node_->admin());
  }
  // The life that a value without a TTL of its own is given, in milliseconds.
  uint64_t Life() {
    cache::v1::SetEntry entry;
    entry.set_key("k");
    entry.set_value("v");
    calls::SetOne(*stub_, entry);
    return calls::GetAll(*stub_, {"k"}).entries(0).ttl_ms();
  }
  admin::v1::ListPoliciesResponse Policies() {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    admin::v1::ListPoliciesResponse response;
    EXPECT_TRUE(admin_->ListPolicies(&context, {}, &response).ok());
    return response;
  }
  std::string Warnings() {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    admin::v1::GetStatusResponse response;
    EXPECT_TRUE(admin_->GetStatus(&context, {}, &response).ok());
    std::string all;
    for (const std::string& warning : response.warnings()) absl::StrAppend(&all, warning, "\n");
    return all;
  }
  double Metric(const std::string& name, const std::vector<std::string>& labels = {}) {
    return FetchMetric(node_->http(), name, labels);
  }

  const TempDir dir_;
  const std::string file_ = dir_ / "policies.yaml";
  std::unique_ptr<TestNode> node_;
  std::unique_ptr<cache::v1::CacheService::Stub> stub_;
  std::unique_ptr<admin::v1::AdminService::Stub> admin_;
};

TEST_F(PolicyReloadTest, AnEditIsInForceWithoutARestartAndAWrongOneChangesNothing) {
  Start("namespaces:\n  task: {ttl: 10m, ttl_jitter: 0}\n", "50ms");
  EXPECT_GT(Life(), 500'000);
  WriteFile(file_, "namespaces:\n  task: {ttl: 2m, ttl_jitter: 0}\n");
  EXPECT_TRUE(WaitUntil([&] { return Life() <= 120'000; }, absl::Seconds(10)));
  EXPECT_THAT(Policies().policies(0).yaml(), HasSubstr("ttl: 2m"));
  EXPECT_EQ(Policies().file(), file_);

  WriteFile(file_, "namespaces:\n  task: {tlt: 5m}\n");
  EXPECT_TRUE(WaitUntil([&] { return Metric("meridian_policy_last_reload_successful") == 0; },
                        absl::Seconds(10)));
  EXPECT_EQ(Metric("meridian_policy_reloads_total", {"result=\"failed\""}), 1);
  EXPECT_THAT(Warnings(), HasSubstr(file_ + ":2: namespaces.task.tlt: unknown; did you mean ttl?"));
  EXPECT_THAT(Policies().problem(), HasSubstr("tlt"));
  EXPECT_THAT(node_->Log(), HasSubstr("those of before stay in force"));
  const uint64_t life = Life();
  EXPECT_GT(life, 100'000);
  EXPECT_LE(life, 120'000);
}

TEST_F(PolicyReloadTest, SighupReadsTheFileAtOnce) {
  Start("namespaces:\n  task: {ttl: 10m, ttl_jitter: 0}\n", "1h");
  WriteFile(file_, "namespaces:\n  task: {ttl: 1m, ttl_jitter: 0}\n");
  EXPECT_GT(Life(), 500'000);
  node_->process().Signal(SIGHUP);
  EXPECT_TRUE(WaitUntil([&] { return Life() <= 60'000; }, absl::Seconds(10)));
  EXPECT_EQ(Metric("meridian_policy_reloads_total", {"result=\"ok\""}), 1);
}

TEST_F(PolicyReloadTest, BudgetsChangeUnderLoad) {
  Start("namespaces:\n  task: {max_entries: 2000}\n", "50ms");
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::thread load([&] {
    auto stub = NewStub<cache::v1::CacheService>(node_->data());
    for (int i = 0; !stop; ++i) {
      std::vector<std::string> keys;
      for (int k = 0; k < 50; ++k) keys.push_back(absl::StrCat("k", (i * 50 + k) % 5000));
      const cache::v1::BatchSetResponse stored = calls::SetAll(*stub, keys, "value");
      for (const cache::v1::WriteResult& result : stored.results()) failures += result.has_error();
      const cache::v1::BatchGetResponse got = calls::GetAll(*stub, keys);
      for (const cache::v1::Entry& entry : got.entries()) failures += entry.has_error();
    }
  });
  const auto entries = [&] { return Metric("meridian_l1_entries", {"namespace=\"task\""}); };
  EXPECT_TRUE(WaitUntil([&] { return entries() > 1500; }, absl::Seconds(20)));
  WriteFile(file_, "namespaces:\n  task: {max_entries: 200, eviction: lru}\n");
  EXPECT_TRUE(WaitUntil([&] { return entries() <= 200; }, absl::Seconds(10)));
  WriteFile(file_, "namespaces:\n  task: {max_entries: 1000}\n");
  EXPECT_TRUE(WaitUntil([&] { return entries() > 900; }, absl::Seconds(20)));
  EXPECT_LE(entries(), 1000);
  WriteFile(file_, "namespaces:\n  task: {max_bytes: 1GiB}\n");
  EXPECT_TRUE(WaitUntil([&] { return Warnings().find("more than all of L1") != std::string::npos; },
                        absl::Seconds(10)));
  stop = true;
  load.join();
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace meridian
