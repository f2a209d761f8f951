// Invalidation of many keys on real nodes and stores: by tag, prefix and namespace.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::Duration kLong = absl::Seconds(60);
constexpr char kSpace[] = "auth";

class FenceCallTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster({.regions = {"us", "eu"}, .nodes = 3});
    ASSERT_NE(cluster_, nullptr);
    us_ = cluster_->NewClient("us", patient_);
    eu_ = cluster_->NewClient("eu", patient_);
  }

  // Each of 50 users has ten rights; all rights of one role share a tag.
  static std::string KeyOf(int user, int right) {
    return absl::StrCat("auth:user:", user, ":role:r", right, ":read");
  }
  void Fill(Client& client, const std::string& value) {
    std::vector<SetItem> items;
    for (int user = 0; user < 50; ++user) {
      for (int right = 0; right < 10; ++right) {
        SetItem item;
        item.key = KeyOf(user, right);
        item.value = value;
        item.tags = {absl::StrCat("role:", right)};
        items.push_back(std::move(item));
      }
    }
    for (const WriteResult& result : client.BatchSet(kSpace, std::move(items))) {
      ASSERT_TRUE(result.ok());
    }
  }
  // How many of a user's rights are there, of everybody's when -1.
  int Count(Client& client, int only_user, int only_right = -1) {
    std::vector<std::string> keys;
    for (int user = 0; user < 50; ++user) {
      for (int right = 0; right < 10; ++right) {
        if ((only_user < 0 || user == only_user) && (only_right < 0 || right == only_right)) {
          keys.push_back(KeyOf(user, right));
        }
      }
    }
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    int hits = 0;
    for (const GetResult& result : client.BatchGet(kSpace, views)) {
      EXPECT_NE(result.status, ResultStatus::kError) << result.error->message;
      hits += result.hit();
    }
    return hits;
  }

  // Ids of the nodes that a node has in its topology.
  std::vector<std::string> Members(const std::string& node) const {
    cache::v1::GetTopologyResponse response;
    grpc::ClientContext context;
    const auto stub = NewStub<cache::v1::CacheService>(cluster_->Address(node, "data"));
    const grpc::Status status = stub->GetTopology(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<std::string> ids;
    for (const auto& member : response.topology().members()) ids.push_back(member.id());
    return ids;
  }

  ClientOptions patient_ = [] {
    ClientOptions options;
    options.get_timeout = options.set_timeout = options.batch_timeout = absl::Seconds(10);
    return options;
  }();
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
};

// Requirements 1-03 and 1-10: hierarchical keys and permission hierarchies.
TEST_F(FenceCallTest, Line1_03And1_10KillWhatTheyCoverInEveryRegionAndNothingElse) {
  Fill(*us_, "old");
  ASSERT_TRUE(WaitUntil([&] { return Count(*eu_, -1) == 500; }, kLong));

  const WriteResult user = us_->InvalidatePrefix(kSpace, "auth:user:7:");
  ASSERT_TRUE(user.ok()) << user.error->message;
  EXPECT_THAT(user.unconfirmed_nodes, IsEmpty());
  EXPECT_EQ(Count(*us_, 7), 0);
  EXPECT_EQ(Count(*us_, -1), 490);
  const WriteResult role = us_->InvalidateTag(kSpace, "role:3");
  ASSERT_TRUE(role.ok()) << role.error->message;
  EXPECT_EQ(Count(*us_, -1, 3), 0);
  EXPECT_EQ(Count(*us_, -1), 49 * 9);
  EXPECT_TRUE(WaitUntil([&] { return Count(*eu_, 7) == 0 && Count(*eu_, -1, 3) == 0; }, kLong));
  EXPECT_EQ(Count(*eu_, -1), 49 * 9);

  ASSERT_TRUE(us_->Set(kSpace, KeyOf(7, 3), "new").ok());
  EXPECT_EQ(us_->Get(kSpace, KeyOf(7, 3)).value, "new");
  EXPECT_TRUE(WaitUntil([&] { return eu_->Get(kSpace, KeyOf(7, 3)).hit(); }, kLong));

  ASSERT_TRUE(eu_->InvalidateNamespace(kSpace).ok());
  EXPECT_EQ(Count(*eu_, -1), 0);
  EXPECT_TRUE(WaitUntil([&] { return Count(*us_, -1) == 0; }, kLong));
}

TEST_F(FenceCallTest, ANodeThatStartsKnowsWhatWasFencedBefore) {
  Fill(*us_, "old");
  ASSERT_TRUE(us_->InvalidatePrefix(kSpace, "auth:user:7:").ok());
  for (const char* node : {"us-node-1", "us-node-2", "us-node-3"}) cluster_->Kill(node);
  for (const char* node : {"us-node-1", "us-node-2", "us-node-3"}) cluster_->Restart(node);
  const std::unique_ptr<Client> client = cluster_->NewClient("us", patient_);
  GetOptions options;
  options.timeout = absl::Seconds(5);
  ASSERT_TRUE(WaitUntil([&] { return client->Get(kSpace, KeyOf(8, 1), options).hit(); }, kLong));
  EXPECT_EQ(Count(*client, 7), 0);
  EXPECT_EQ(Count(*client, 8), 10);
}

TEST_F(FenceCallTest, AFrozenNodeIsNamedAndServesNothingDeadWhenItWakes) {
  Fill(*us_, "old");
  EXPECT_EQ(Count(*us_, -1), 500);
  cluster_->Stop("us-node-2");
  const WriteResult result = us_->InvalidateNamespace(kSpace);
  // It leaves the topology after two seconds of silence; from then on nobody asks it.
  if (result.ok() && result.unconfirmed_nodes.empty()) {
    EXPECT_THAT(Members("us-node-1"), Not(Contains("us-node-2")));
  } else if (result.ok()) {
    EXPECT_THAT(result.unconfirmed_nodes, ElementsAre("us-node-2"));
  }
  ASSERT_TRUE(WaitUntil([&] { return us_->InvalidateNamespace(kSpace).ok(); }, kLong));
  cluster_->Cont("us-node-2");
  // It hears of it at its first look into the changelog.
  EXPECT_TRUE(WaitUntil([&] { return Count(*us_, -1) == 0; }, absl::Seconds(3)));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Count(*us_, -1), 0);
}

}  // namespace
}  // namespace meridian
