// The owner of keys is killed while it loads one of them from an origin, and while others hold
// leases of it: who waits is answered in time, and what the dead one began brings nothing old back.

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "meridian/origin/v1/origin_service.grpc.pb.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using cache::v1::Entry;
using Stub = cache::v1::CacheService::Stub;
constexpr absl::Duration kLimit = absl::Seconds(20);

// Loads what the test says, when it says so.
class HeldOrigin final : public origin::v1::OriginService::Service {
 public:
  int loads() const { return loads_; }
  void Release(const std::string& value) {
    absl::MutexLock lock(&mu_);
    value_ = value;
  }

 private:
  grpc::Status BatchLoad(grpc::ServerContext*, const origin::v1::BatchLoadRequest* request,
                         origin::v1::BatchLoadResponse* response) override {
    ++loads_;
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(
                             +[](std::string* value) { return !value->empty(); }, &value_),
                         kLimit);
    for (const std::string& key : request->keys()) {
      origin::v1::LoadResult* result = response->add_results();
      result->set_key(key);
      result->set_status(origin::v1::LOAD_STATUS_FOUND);
      result->set_value(value_);
    }
    return grpc::Status::OK;
  }

  std::atomic<int> loads_{0};
  absl::Mutex mu_;
  std::string value_ ABSL_GUARDED_BY(mu_);  // Empty: not yet.
};

class OwnerDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&origin_);
    server_ = builder.BuildAndStart();
    WriteFile(dir_ / "policies.yaml",
              absl::StrCat("namespaces:\n  loaded: {origin: {address: \"127.0.0.1:", port,
                           "\", timeout: 15s}}\n  task: {lease_ttl: 60s}\n"));
    cluster_ = StartTestCluster(
        {.regions = {"us"}, .nodes = 3, .node_flags = {"--policies", dir_ / "policies.yaml"}});
    ASSERT_NE(cluster_, nullptr);
    asked_ = NewStub<cache::v1::CacheService>(cluster_->Address("us-node-1", "data"));
  }
  void TearDown() override {
    origin_.Release("the end");
    server_->Shutdown();
  }

  std::string OwnerOf(const std::string& name_space, const std::string& key) {
    const auto admin = NewStub<admin::v1::AdminService>(cluster_->Address("us-node-1", "admin"));
    grpc::ClientContext context;
    admin::v1::ExplainKeyRequest request;
    request.mutable_key()->set_namespace_(name_space);
    request.mutable_key()->set_key(key);
    admin::v1::ExplainKeyResponse response;
    EXPECT_TRUE(admin->ExplainKey(&context, request, &response).ok());
    return response.owner();
  }
  // A key that the second node owns, which dies.
  std::string DoomedKey(const std::string& name_space) {
    for (int i = 0;; ++i) {
      const std::string key = absl::StrCat("key:", i);
      if (OwnerOf(name_space, key) == "us-node-2") return key;
    }
  }

  // Of the first node.
  Entry Get(const std::string& name_space, const std::string& key,
            absl::Duration timeout = absl::Seconds(10)) {
    return GetOf(*asked_, name_space, key, timeout);
  }
  static Entry GetOf(Stub& node, const std::string& name_space, const std::string& key,
                     absl::Duration timeout) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    cache::v1::GetRequest request;
    request.set_namespace_(name_space);
    request.set_key(key);
    request.mutable_options()->set_want_lease(name_space == "task");
    cache::v1::GetResponse response;
    const grpc::Status status = node.Get(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.entry();
  }
  cache::v1::WriteResult Fill(const std::string& key, const std::string& value,
                              const std::string& lease,
                              absl::Duration timeout = absl::Seconds(10)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    cache::v1::SetRequest request;
    request.set_namespace_("task");
    request.mutable_entry()->set_key(key);
    request.mutable_entry()->set_value(value);
    request.mutable_entry()->set_lease(lease);
    cache::v1::SetResponse response;
    EXPECT_TRUE(asked_->Set(&context, request, &response).ok());
    return response.result();
  }

  const TempDir dir_;
  HeldOrigin origin_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<cache::v1::CacheService::Stub> asked_;
};

TEST_F(OwnerDeathTest, WhoWaitsIsAnsweredInTimeAndWhatTheDeadOneBeganIsHarmless) {
  const std::string loaded = DoomedKey("loaded");
  const std::string leased = DoomedKey("task");
  const std::string old_lease = Get("task", leased).lease();
  ASSERT_FALSE(old_lease.empty());
  std::future<Entry> waits_for_load =
      std::async(std::launch::async, [&] { return Get("loaded", loaded); });
  std::future<Entry> waits_for_holder =
      std::async(std::launch::async, [&] { return Get("task", leased); });
  ASSERT_TRUE(WaitUntil([&] { return origin_.loads() == 1; }, kLimit));

  cluster_->Kill("us-node-2");
  const absl::Time killed = absl::Now();
  // Around the dead owner: a load of this node's own, and a miss for who waits for a holder.
  ASSERT_TRUE(WaitUntil([&] { return origin_.loads() == 2; }, kLimit));
  origin_.Release("value");
  EXPECT_EQ(waits_for_load.get().value(), "value");
  const Entry missed = waits_for_holder.get();
  EXPECT_EQ(missed.status(), cache::v1::ENTRY_STATUS_MISS) << missed.error().message();
  EXPECT_LT(absl::Now() - killed, absl::Seconds(10)) << "within their deadlines";

  // The next owner gives a lease, long before that of the dead one is over.
  std::string lease = missed.lease();
  ASSERT_TRUE(WaitUntil(
      [&] {
        if (lease.empty()) lease = Get("task", leased, absl::Seconds(1)).lease();
        return !lease.empty();
      },
      kLimit));
  EXPECT_NE(OwnerOf("task", leased), "us-node-2");
  EXPECT_EQ(Fill(leased, "new", lease).status(), cache::v1::ENTRY_STATUS_OK);
  const cache::v1::WriteResult late = Fill(leased, "old", old_lease);
  EXPECT_EQ(late.status(), cache::v1::ENTRY_STATUS_CONFLICT);
  EXPECT_EQ(late.error().reason(), "LEASE_VOID");
  EXPECT_EQ(Get("task", leased).value(), "new");
  EXPECT_EQ(Get("loaded", loaded).value(), "value");
}

// A defect once: until the lease was over, a minute here, the owner knew nothing of the value.
TEST_F(OwnerDeathTest, AFillThatWentAroundAFrozenOwnerIsThereWhenItGoesOn) {
  const std::string key = DoomedKey("task");
  const std::string lease = Get("task", key).lease();
  ASSERT_FALSE(lease.empty());
  const auto owner = NewStub<cache::v1::CacheService>(cluster_->Address("us-node-2", "data"));
  std::future<Entry> waits =
      std::async(std::launch::async, [&] { return GetOf(*owner, "task", key, absl::Seconds(15)); });
  cluster_->Stop("us-node-2");
  EXPECT_EQ(Fill(key, "new", lease, absl::Seconds(1)).status(), cache::v1::ENTRY_STATUS_OK);
  cluster_->Cont("us-node-2");
  EXPECT_EQ(GetOf(*owner, "task", key, absl::Seconds(5)).value(), "new");
  EXPECT_EQ(waits.get().value(), "new");
}

}  // namespace
}  // namespace meridian
