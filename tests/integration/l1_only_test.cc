// A node without Redis and without others is a whole cache, in memory, and says what it lacks.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using calls::GetAll;
using calls::kSpace;
using calls::SetOne;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(L1OnlyTest, Requirement3_07_ANodeAloneIsACacheAndSaysWhatItLacks) {
  absl::StatusOr<std::unique_ptr<TestNode>> node = TestNode::Start("alone");
  ASSERT_TRUE(node.ok()) << std::string(node.status().message());
  const auto stub = NewStub<cache::v1::CacheService>((*node)->data());
  cache::v1::SetEntry entry;
  entry.set_key("k");
  entry.set_value("1");
  entry.set_if_absent(true);
  const cache::v1::WriteResult first = SetOne(*stub, entry);
  EXPECT_EQ(first.status(), cache::v1::ENTRY_STATUS_OK);
  const cache::v1::WriteResult again = SetOne(*stub, entry);
  EXPECT_EQ(again.status(), cache::v1::ENTRY_STATUS_CONFLICT);
  EXPECT_EQ(again.version().hlc(), first.version().hlc());

  entry.set_if_absent(false);
  entry.set_value("2");
  *entry.mutable_expected_version() = first.version();
  EXPECT_EQ(SetOne(*stub, entry).status(), cache::v1::ENTRY_STATUS_OK);
  EXPECT_EQ(SetOne(*stub, entry).status(), cache::v1::ENTRY_STATUS_CONFLICT);
  const cache::v1::BatchGetResponse read = GetAll(*stub, {"k", "nobody"});
  EXPECT_EQ(read.entries(0).value(), "2");
  EXPECT_EQ(read.entries(0).source(), cache::v1::SOURCE_L1);
  EXPECT_EQ(read.entries(1).status(), cache::v1::ENTRY_STATUS_MISS);

  grpc::ClientContext invalidate_context;
  cache::v1::InvalidateRequest invalidate;
  invalidate.set_namespace_(kSpace);
  invalidate.set_key("k");
  cache::v1::InvalidateResponse invalidated;
  ASSERT_TRUE(stub->Invalidate(&invalidate_context, invalidate, &invalidated).ok());
  EXPECT_EQ(GetAll(*stub, {"k"}).entries(0).status(), cache::v1::ENTRY_STATUS_MISS);

  const auto admin = NewStub<admin::v1::AdminService>((*node)->admin());
  grpc::ClientContext status_context;
  admin::v1::GetStatusResponse status;
  ASSERT_TRUE(admin->GetStatus(&status_context, admin::v1::GetStatusRequest(), &status).ok());
  EXPECT_EQ(status.owned_slots(), 1024u);
  EXPECT_THAT(status.fallback_chain(), ElementsAre("l1"));
  EXPECT_THAT(status.warnings(), testing::Contains(HasSubstr("Redis")))
      << "nothing says that it all goes with the process";
}

// A defect once: nobody told them, and they waited for the lease's end.
TEST(L1OnlyTest, WhoWaitsForALeaseAtAnOwnerThatLosesTheSlotAsksTheNextOne) {
  const TempDir dir;
  WriteFile(dir / "policies.yaml", "namespaces:\n  task: {lease_ttl: 60s}\n");
  const auto cluster = StartTestCluster(
      {.regions = {"us"}, .nodes = 1, .node_flags = {"--policies", dir / "policies.yaml"}});
  ASSERT_NE(cluster, nullptr);
  absl::StatusOr<std::unique_ptr<TestNode>> node = TestNode::Start(
      "alone", {"--region", "us", "--coordinators", cluster->Address("us-coordinator-1", "grpc"),
                "--policies", dir / "policies.yaml"});
  ASSERT_TRUE(node.ok()) << node.status();
  const auto admin = NewStub<admin::v1::AdminService>((*node)->admin());
  const auto owner_of = [&](const std::string& key) {
    grpc::ClientContext context;
    admin::v1::ExplainKeyRequest request;
    request.mutable_key()->set_namespace_(kSpace);
    request.mutable_key()->set_key(key);
    admin::v1::ExplainKeyResponse response;
    EXPECT_TRUE(admin->ExplainKey(&context, request, &response).ok());
    return response.owner();
  };
  std::string key;
  ASSERT_TRUE(WaitUntil(
      [&] {
        for (int i = 0; i < 64; ++i) {
          key = absl::StrCat("key:", i);
          if (owner_of(key) == "alone") return true;
        }
        return false;
      },
      absl::Seconds(20)));
  const auto stub = NewStub<cache::v1::CacheService>((*node)->data());
  const auto ask = [&] {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(15)));
    cache::v1::GetRequest request;
    request.set_namespace_(kSpace);
    request.set_key(key);
    request.mutable_options()->set_want_lease(true);
    cache::v1::GetResponse response;
    const grpc::Status status = stub->Get(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
    return response.entry();
  };
  EXPECT_NE(ask().lease(), "");
  auto waiting = std::async(std::launch::async, ask);
  ASSERT_TRUE(WaitUntil([&] { return FetchMetric((*node)->http(), "meridian_miss_waiters") == 1; },
                        absl::Seconds(10)));
  const CommandResult drained =
      RunCommand({ProgramPath("meridianctl"), "drain", "alone", "--target",
                  cluster->Address("us-node-1", "data"), "--within", "10s", "--yes"});
  const cache::v1::Entry next = waiting.get();
  EXPECT_EQ(next.status(), cache::v1::ENTRY_STATUS_MISS);
  EXPECT_NE(next.lease(), "") << "it was not told\n" << drained.err;
}

}  // namespace
}  // namespace meridian
