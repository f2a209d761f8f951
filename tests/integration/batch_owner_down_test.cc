// A batch whose keys belong to several nodes, one of which is dead: the others' entries are served, and
// the dead one's come from Redis, or say what is wrong.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/redis_process.h"
#include "tests/support/stub.h"
#include "tests/support/test_node.h"
#include "tests/support/wire_error.h"

namespace meridian {
namespace {

using calls::GetAll;
using calls::kSpace;
using calls::SetAll;
using calls::SetDeadline;
using calls::Stub;

std::string OwnerOf(const TestNode& node, const std::string& key) {
  const auto admin = NewStub<admin::v1::AdminService>(node.admin());
  grpc::ClientContext context;
  SetDeadline(&context);
  admin::v1::ExplainKeyRequest request;
  request.mutable_key()->set_namespace_(kSpace);
  request.mutable_key()->set_key(key);
  admin::v1::ExplainKeyResponse response;
  EXPECT_TRUE(admin->ExplainKey(&context, request, &response).ok());
  return response.owner();
}

std::vector<std::string> Keys(int count) {
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) keys.push_back(absl::StrCat("key:", i));
  return keys;
}

class OwnerDownTest : public testing::Test {
 protected:
  // Three static peers; n2 dies. Fills mine_ and orphans_ with the keys of the living and the dead.
  void StartAndKill(const std::vector<std::string>& flags) {
    absl::StatusOr<std::vector<std::unique_ptr<TestNode>>> nodes = TestNode::StartPeers(3, flags);
    ASSERT_TRUE(nodes.ok()) << std::string(nodes.status().message());
    nodes_ = *std::move(nodes);
    stub_ = NewStub<cache::v1::CacheService>(nodes_[0]->data());
    keys_ = Keys(300);
    const cache::v1::BatchSetResponse stored = SetAll(*stub_, keys_, "old");
    for (const cache::v1::WriteResult& result : stored.results()) {
      ASSERT_EQ(result.status(), cache::v1::ENTRY_STATUS_OK) << result.error().message();
    }
    for (const std::string& key : keys_) orphan_.push_back(OwnerOf(*nodes_[0], key) == "n2");
    ASSERT_THAT(orphan_, testing::AllOf(testing::Contains(true), testing::Contains(false)));
    nodes_[2]->process().Kill();
  }

  std::vector<std::unique_ptr<TestNode>> nodes_;
  std::unique_ptr<Stub> stub_;
  std::vector<std::string> keys_;
  std::vector<bool> orphan_;  // By key: it belonged to the dead node.
};

TEST_F(OwnerDownTest, WithoutRedisExactlyTheEntriesOfTheDeadOwnerFail) {
  StartAndKill({});
  if (HasFatalFailure()) return;
  const auto owner_down = IsWireError(grpc::StatusCode::UNAVAILABLE, "OWNER_UNAVAILABLE", "");
  const cache::v1::BatchGetResponse read = GetAll(*stub_, keys_);
  ASSERT_EQ(read.entries_size(), static_cast<int>(keys_.size()));
  for (int i = 0; i < read.entries_size(); ++i) {
    const cache::v1::Entry& entry = read.entries(i);
    if (orphan_[static_cast<size_t>(i)]) {
      EXPECT_EQ(entry.status(), cache::v1::ENTRY_STATUS_ERROR);
      EXPECT_THAT(entry.error(), owner_down);
    } else {
      EXPECT_EQ(entry.value(), "old") << entry.error().message();
      EXPECT_EQ(entry.source(), cache::v1::SOURCE_L1);
    }
  }
  const cache::v1::BatchSetResponse write = SetAll(*stub_, keys_, "new");
  ASSERT_EQ(write.results_size(), static_cast<int>(keys_.size()));
  for (int i = 0; i < write.results_size(); ++i) {
    if (orphan_[static_cast<size_t>(i)]) {
      EXPECT_EQ(write.results(i).status(), cache::v1::ENTRY_STATUS_ERROR);
      EXPECT_THAT(write.results(i).error(), owner_down);
    } else {
      EXPECT_EQ(write.results(i).status(), cache::v1::ENTRY_STATUS_OK);
    }
  }
}

TEST_F(OwnerDownTest, WithRedisEveryEntryIsServed) {
  absl::StatusOr<std::unique_ptr<RedisProcess>> redis = RedisProcess::Start();
  ASSERT_TRUE(redis.ok()) << std::string(redis.status().message());
  StartAndKill({"--redis", (*redis)->url()});
  if (HasFatalFailure()) return;
  const auto expect_all = [this](const std::string& value) {
    const cache::v1::BatchGetResponse read = GetAll(*stub_, keys_);
    ASSERT_EQ(read.entries_size(), static_cast<int>(keys_.size()));
    for (int i = 0; i < read.entries_size(); ++i) {
      const cache::v1::Entry& entry = read.entries(i);
      EXPECT_EQ(entry.value(), value) << entry.error().message();
      if (orphan_[static_cast<size_t>(i)]) {
        EXPECT_EQ(entry.source(), cache::v1::SOURCE_L2);
      }
    }
  };
  expect_all("old");
  const cache::v1::BatchSetResponse written = SetAll(*stub_, keys_, "new");
  for (const cache::v1::WriteResult& result : written.results()) {
    EXPECT_EQ(result.status(), cache::v1::ENTRY_STATUS_OK) << result.error().message();
  }
  expect_all("new");
  nodes_.clear();  // Before their Redis.
}

}  // namespace
}  // namespace meridian
