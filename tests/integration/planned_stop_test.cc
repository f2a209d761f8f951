// A node that holds writes which were accepted without Redis is stopped, or drained, as planned.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/http_page.h"
#include "tests/support/redis_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr absl::Duration kLong = absl::Seconds(30);
constexpr char kPolicies[] = "namespaces:\n  task: {write_without_redis: accept}\n";

class PlannedStopTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(dir_ / "policies.yaml", kPolicies);
    auto redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
    node_ = Start("first");
    ASSERT_NE(node_, nullptr);
    cache::v1::SetEntry entry;
    entry.set_key("k");
    entry.set_value("old");
    ASSERT_EQ(calls::SetOne(*stub_, entry).status(), cache::v1::ENTRY_STATUS_OK);
    // It answers again when it is told to go on, with all that it had.
    redis_->Stop();
    ASSERT_TRUE(WaitUntil([&] { return Delete("k"); }, kLong));
  }
  std::unique_ptr<TestNode> Start(const std::string& id) {
    auto node = TestNode::Start(
        id, {"--region", "us", "--redis", redis_->url(), "--policies", dir_ / "policies.yaml"});
    EXPECT_TRUE(node.ok()) << node.status();
    if (!node.ok()) return nullptr;
    stub_ = NewStub<cache::v1::CacheService>((*node)->data());
    return *std::move(node);
  }
  // Whether it was acknowledged as degraded.
  bool Delete(const std::string& key) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    cache::v1::InvalidateRequest request;
    request.set_namespace_(calls::kSpace);
    request.set_key(key);
    cache::v1::InvalidateResponse response;
    return stub_->Invalidate(&context, request, &response).ok() && response.result().degraded();
  }

  const TempDir dir_;
  std::unique_ptr<RedisProcess> redis_;
  std::unique_ptr<TestNode> node_;
  std::unique_ptr<cache::v1::CacheService::Stub> stub_;
};

TEST_F(PlannedStopTest, WaitsForRedisAndADeletedKeyStaysAway) {
  node_->process().Signal(SIGTERM);
  EXPECT_FALSE(node_->process().WaitForExit(absl::Seconds(1))) << "with a delete that nobody has";
  EXPECT_TRUE(Delete("other")) << "it serves until its turn has come";
  redis_->Cont();
  ASSERT_TRUE(node_->process().WaitForExit(kLong));
  EXPECT_EQ(node_->process().exit_code(), 0);
  EXPECT_THAT(node_->Log(), testing::Not(HasSubstr("are lost")));
  node_ = Start("next");
  ASSERT_NE(node_, nullptr);
  EXPECT_EQ(calls::GetAll(*stub_, {"k"}).entries(0).status(), cache::v1::ENTRY_STATUS_MISS);
}

TEST_F(PlannedStopTest, EndsWithoutRedisAfterAWhileAndSaysWhatIsLost) {
  const absl::Time begin = absl::Now();
  node_->process().Signal(SIGTERM);
  ASSERT_TRUE(node_->process().WaitForExit(kLong));
  EXPECT_GT(absl::Now() - begin, absl::Seconds(4));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(15));
  EXPECT_THAT(node_->Log(), HasSubstr("1 writes that were accepted without Redis are lost"));
  redis_->Cont();
}

TEST(PlannedDrainTest, ServesOnUntilRedisHasWhatWasAccepted) {
  const TempDir dir;
  WriteFile(dir / "policies.yaml", kPolicies);
  const auto cluster =
      StartTestCluster({.regions = {"us"}, .node_flags = {"--policies", dir / "policies.yaml"}});
  ASSERT_NE(cluster, nullptr);
  ClientOptions patient;
  patient.get_timeout = patient.set_timeout = absl::Seconds(5);
  const std::unique_ptr<Client> client = cluster->NewClient("us", patient);
  const auto held = [&](const std::string& node) {
    return FetchMetric(cluster->Address(node, "http"), "meridian_hints_entries");
  };
  for (int i = 0; i < 32; ++i) ASSERT_TRUE(client->Set("task", absl::StrCat("k", i), "old").ok());
  cluster->Stop("us-redis");
  ASSERT_TRUE(WaitUntil([&] { return client->Invalidate("task", "k0").degraded; }, kLong));
  for (int i = 0; i < 32; ++i) client->Invalidate("task", absl::StrCat("k", i));
  ASSERT_GT(held("us-node-2"), 0);
  const auto drain = [&](const std::string& within) {
    return RunCommand({ProgramPath("meridianctl"), "drain", "us-node-2", "--target",
                       cluster->Address("us-node-1", "data"), "--within", within, "--yes"});
  };
  // The coordinator leads by the same Redis: it may say that it does not, before the node is asked.
  const CommandResult refused = drain("2s");
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.err, AnyOf(HasSubstr("HINTS_HELD"), HasSubstr("NO_COORDINATOR")));
  EXPECT_GT(held("us-node-2"), 0) << "it serves on";
  cluster->Cont("us-redis");
  CommandResult drained;
  EXPECT_TRUE(WaitUntil([&] { return (drained = drain("10s")).exit_code == 0; }, kLong))
      << drained.err;
  for (int i = 0; i < 32; ++i) {
    EXPECT_FALSE(client->Get("task", absl::StrCat("k", i)).hit()) << i;
  }
}

}  // namespace
}  // namespace meridian
