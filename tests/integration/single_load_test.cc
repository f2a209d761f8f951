// Ten thousand callers of six nodes miss one key at the same time. The origin answers nothing
// before all of them wait, so that none can come late and find what was loaded.

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "meridian/origin/v1/origin_service.grpc.pb.h"
#include "tests/support/http_page.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr int kNodes = 6;
constexpr int kCallers = 10'000;

class HeldOrigin final : public origin::v1::OriginService::Service {
 public:
  std::atomic<int> keys{0};
  absl::Notification released;

 private:
  grpc::Status BatchLoad(grpc::ServerContext*, const origin::v1::BatchLoadRequest* request,
                         origin::v1::BatchLoadResponse* response) override {
    keys += request->keys_size();
    released.WaitForNotification();
    for (const std::string& key : request->keys()) {
      origin::v1::LoadResult* result = response->add_results();
      result->set_key(key);
      result->set_status(origin::v1::LOAD_STATUS_FOUND);
      result->set_value("loaded");
    }
    return grpc::Status::OK;
  }
};

TEST(SingleLoadTest, TenThousandWhoAllWaitAreAnsweredByOneLoad) {
  HeldOrigin origin;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&origin);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  const TempDir dir;
  WriteFile(dir / "node.yaml",
            absl::StrCat("namespaces:\n  task: {ttl: 10m, origin: {address: \"127.0.0.1:", port,
                         "\", timeout: 1m}}\n"));
  TestClusterOptions options;
  options.regions = {"us"};
  options.nodes = kNodes;
  options.node_flags = {absl::StrCat("--config=", dir / "node.yaml")};
  const std::unique_ptr<TestCluster> cluster = StartTestCluster(options);
  ASSERT_NE(cluster, nullptr);
  // The sum over all nodes.
  const auto metric = [&](const std::string& name) {
    double sum = 0;
    for (int i = 1; i <= kNodes; ++i) {
      sum += FetchMetric(cluster->Address(absl::StrCat("us-node-", i), "http"), name);
    }
    return sum;
  };

  struct Call {
    grpc::ClientContext context;
    cache::v1::GetResponse response;
  };
  std::vector<std::unique_ptr<cache::v1::CacheService::Stub>> nodes;
  for (int i = 0; i < 2 * kNodes; ++i) {
    // A connection takes 1024 calls at a time; channels with the same arguments share one.
    grpc::ChannelArguments own;
    own.SetInt("channel", i);
    nodes.push_back(cache::v1::CacheService::NewStub(grpc::CreateCustomChannel(
        cluster->Address(absl::StrCat("us-node-", i % kNodes + 1), "data"),
        grpc::InsecureChannelCredentials(), own)));
  }
  cache::v1::GetRequest request;
  request.set_namespace_("task");
  request.set_key("wanted");
  std::vector<Call> calls(kCallers);
  absl::BlockingCounter left(kCallers);
  std::atomic<int> found{0};
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(120);
  for (int i = 0; i < kCallers; ++i) {
    Call& call = calls[static_cast<size_t>(i)];
    call.context.set_deadline(deadline);
    nodes[static_cast<size_t>(i) % nodes.size()]->async()->Get(
        &call.context, &request, &call.response, [&](const grpc::Status& status) {
          if (status.ok() && call.response.entry().value() == "loaded") ++found;
          left.DecrementCount();
        });
  }
  // All of them are in one place: the owner's.
  EXPECT_TRUE(
      WaitUntil([&] { return metric("meridian_miss_waiters") == kCallers; }, absl::Seconds(50)))
      << metric("meridian_miss_waiters") << " wait";
  EXPECT_EQ(found, 0);
  origin.released.Notify();
  left.Wait();
  EXPECT_EQ(found, kCallers);
  EXPECT_EQ(origin.keys, 1);
  EXPECT_EQ(metric("meridian_origin_loads_total"), 1);
  EXPECT_EQ(metric("meridian_miss_waiters"), 0);
}

}  // namespace
}  // namespace meridian
