// A node that dies or freezes costs time, never the truth.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/integration/checked_load.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

// A write that goes around a node reaches that node's memory through the changelog, within this.
// 20 ms or so on a quiet machine; a test must also pass on a loaded one.
constexpr absl::Duration kChangelogBound = absl::Seconds(5);
constexpr absl::Duration kMembershipLimit = absl::Seconds(20);

class NodeFailureTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster({.regions = {"us"}, .nodes = 3, .node_flags = {}});
    ASSERT_NE(cluster_, nullptr);
    ClientOptions options;
    options.get_timeout = options.set_timeout = options.batch_timeout = absl::Seconds(4);
    client_ = cluster_->NewClient("us", options);
    ASSERT_NE(client_, nullptr);
  }

  // True when nodes 1 and 3 have a topology of so many members.
  bool OthersKnow(double members) const {
    return WaitUntil(
        [&] {
          return Nodes("us-node-1") == members && Nodes("us-node-3") == members;
        },
        kMembershipLimit);
  }
  double Nodes(const std::string& node) const {
    return FetchMetric(cluster_->Address(node, "http"), "meridian_ring_nodes");
  }
  double Epoch(const std::string& node) const {
    return FetchMetric(cluster_->Address(node, "http"), "meridian_ring_epoch");
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
};

TEST_F(NodeFailureTest, NoAnswerIsWrongWhenANodeIsKilledAndComesBack) {
  CheckedLoad load(*client_, {.stale_bound = kChangelogBound});
  ASSERT_TRUE(load.Progress(2000));
  EXPECT_EQ(load.errors(), 0u) << load.error_text();
  const double epoch = Epoch("us-node-1");

  cluster_->Kill("us-node-2");
  ASSERT_TRUE(OthersKnow(2)) << "the coordinator does not notice";
  EXPECT_GT(Epoch("us-node-1"), epoch);
  ASSERT_TRUE(load.Progress(500));  // What was under way has ended.
  const uint64_t while_it_died = load.errors();
  EXPECT_LE(while_it_died, 50u) << load.error_text();
  ASSERT_TRUE(load.Progress(2000));
  EXPECT_EQ(load.errors(), while_it_died) << "with the new topology: " << load.error_text();

  cluster_->Restart("us-node-2");
  ASSERT_TRUE(OthersKnow(3)) << "it does not join again";
  ASSERT_TRUE(load.Progress(2000));
  EXPECT_EQ(load.errors(), while_it_died) << "while it joined: " << load.error_text();
  load.Stop();
  EXPECT_TRUE(WaitUntil(
      [&] {
        return FetchMetric(cluster_->Address("us-node-2", "http"), "meridian_l1_entries") > 0;
      },
      kMembershipLimit)) << "it owns nothing";
  load.CheckAllAtRest();
  EXPECT_THAT(load.wrong(), testing::IsEmpty());
  std::printf("%llu answers, %llu errors (%s), stale by %s at most\n",
              static_cast<unsigned long long>(load.answers()),
              static_cast<unsigned long long>(load.errors()), load.error_text().c_str(),
              absl::FormatDuration(load.max_staleness()).c_str());
}

TEST_F(NodeFailureTest, AFrozenNodeIsGoneAroundAndForgetsWhatIsOldWhenItWakes) {
  // Keys in the memory of node 2, as its own data port says.
  const auto frozen = NewStub<cache::v1::CacheService>(cluster_->Address("us-node-2", "data"));
  const auto ask_frozen = [&frozen](const std::string& key) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    cache::v1::GetRequest request;
    request.set_namespace_("task");
    request.set_key(key);
    cache::v1::GetResponse response;
    (void)frozen->Get(&context, request, &response);
    return response.entry();
  };
  std::vector<std::string> keys;
  for (int i = 0; i < 60; ++i) {
    keys.push_back(absl::StrCat("frozen:", i));
    ASSERT_TRUE(client_->Set("task", keys.back(), "old").ok());
    ASSERT_EQ(ask_frozen(keys.back()).value(), "old");
  }
  CheckedLoad load(*client_, {.stale_bound = kChangelogBound});
  ASSERT_TRUE(load.Progress(500));

  cluster_->Stop("us-node-2");
  const absl::Time frozen_at = absl::Now();
  // At once: the others ask it for half of the time that there is, then go around it.
  const auto other = NewStub<cache::v1::CacheService>(cluster_->Address("us-node-1", "data"));
  const cache::v1::BatchGetResponse around = calls::GetAll(*other, keys);
  for (const cache::v1::Entry& entry : around.entries()) {
    EXPECT_EQ(entry.value(), "old") << entry.error().reason() << " " << entry.error().message();
  }
  ASSERT_TRUE(OthersKnow(2)) << "the coordinator does not notice";
  for (const std::string& key : keys) {
    // A client that has not heard of it yet waits for the frozen node until its deadline, once.
    EXPECT_TRUE(WaitUntil([&] { return client_->Set("task", key, "new").ok(); }, kMembershipLimit));
  }
  ASSERT_TRUE(load.Progress(500));  // What was under way has ended.
  const uint64_t while_it_froze = load.errors();
  EXPECT_LE(while_it_froze, 50u) << load.error_text();
  ASSERT_TRUE(load.Progress(500));
  EXPECT_EQ(load.errors(), while_it_froze) << "with the new topology: " << load.error_text();
  EXPECT_TRUE(WaitUntil([&] { return absl::Now() - frozen_at >= absl::Seconds(3); },
                        absl::Seconds(10)));

  cluster_->Cont("us-node-2");
  const absl::Time woken_at = absl::Now();
  for (const std::string& key : keys) {
    EXPECT_TRUE(WaitUntil([&] { return ask_frozen(key).value() == "new"; }, kMembershipLimit)) << key;
  }
  const absl::Duration until_new = absl::Now() - woken_at;
  EXPECT_LE(until_new, kChangelogBound);
  ASSERT_TRUE(OthersKnow(3)) << "it does not join again";
  ASSERT_TRUE(load.Progress(1000));
  load.Stop();
  for (const std::string& key : keys) EXPECT_EQ(ask_frozen(key).value(), "new") << "again";
  load.CheckAllAtRest();
  EXPECT_THAT(load.wrong(), testing::IsEmpty());
  std::printf("new values %s after waking; %llu answers, %llu errors (%s), stale by %s at most\n",
              absl::FormatDuration(until_new).c_str(),
              static_cast<unsigned long long>(load.answers()),
              static_cast<unsigned long long>(load.errors()), load.error_text().c_str(),
              absl::FormatDuration(load.max_staleness()).c_str());
}

}  // namespace
}  // namespace meridian
