// A replica that follows no more answers reads while its primary stands still (replica_reads=true):
// what it has may be answered, and nobody keeps it.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/support/fault_proxy/test_socket.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";
constexpr absl::Duration kPatience = absl::Seconds(60);

// Sends one command in Redis' inline form; the beginning of its answer.
std::string Ask(const std::string& address, const std::string& command) {
  TestSocket redis(address);
  std::string answer;
  if (!redis.ok() || !redis.Send(absl::StrCat(command, "\r\n"))) return "";
  (void)redis.ReceiveUntil(3, absl::Seconds(10), &answer);
  return answer;
}

TEST(ReplicaReadCallTest, WhatWasDeletedIsNotKeptWhenAReplicaGivesItOnceMore) {
  TestClusterOptions options;
  options.regions = {"us"};
  options.nodes = 1;
  options.redis = "sentinel";
  options.redis_replica_reads = true;
  const std::unique_ptr<TestCluster> cluster = StartTestCluster(options);
  ASSERT_NE(cluster, nullptr);
  const std::string primary = cluster->Address("us-redis-1", "redis");
  const std::string replica = cluster->Address("us-redis-2", "redis");
  ClientOptions patient;
  patient.get_timeout = patient.set_timeout = absl::Seconds(5);
  const std::unique_ptr<Client> client = cluster->NewClient("us", patient);
  const auto stub = NewStub<cache::v1::CacheService>(cluster->Address("us-node-1", "data"));
  const auto get = [&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    cache::v1::GetRequest request;
    request.set_namespace_(kSpace);
    request.set_key("k");
    request.mutable_options()->set_for_near_cache(true);
    cache::v1::GetResponse response;
    (void)stub->Get(&context, request, &response);
    return response;
  };
  ASSERT_TRUE(client->Set(kSpace, "k", "v").ok());
  ASSERT_TRUE(WaitUntil([&] { return get().header().watch_incarnation() != 0; }, kPatience));
  // WAIT: the replica has what that connection wrote; a connection's own write comes last.
  ASSERT_TRUE(WaitUntil(
      [&] {
        return Ask(replica, "DBSIZE") == Ask(primary, "DBSIZE") &&
               absl::StartsWith(Ask(replica, "DBSIZE"), ":");
      },
      kPatience));
  // It is no candidate, and follows nobody from here on.
  ASSERT_TRUE(absl::StartsWith(Ask(replica, "CONFIG SET replica-priority 0"), "+OK"));
  ASSERT_TRUE(absl::StartsWith(Ask(replica, "REPLICAOF 127.0.0.1 1"), "+OK"));
  ASSERT_TRUE(client->Invalidate(kSpace, "k").ok());
  ASSERT_EQ(client->Get(kSpace, "k").status, ResultStatus::kMiss);

  cluster->Stop("us-redis-1");
  cache::v1::GetResponse answer;
  ASSERT_TRUE(WaitUntil(
      [&] {
        answer = get();
        return answer.entry().status() == cache::v1::ENTRY_STATUS_OK;
      },
      kPatience))
      << "the replica does not answer";
  EXPECT_EQ(answer.entry().value(), "v");
  EXPECT_EQ(answer.entry().source(), cache::v1::SOURCE_L2);
  EXPECT_EQ(answer.header().watch_incarnation(), 0u) << "whoever is answered may keep it";
  EXPECT_NE(get().entry().source(), cache::v1::SOURCE_L1);

  cluster->Cont("us-redis-1");
  EXPECT_TRUE(WaitUntil([&] { return client->Get(kSpace, "k").status == ResultStatus::kMiss; },
                        absl::Seconds(20)))
      << "it is served from L1, from before its deletion";
}

}  // namespace
}  // namespace meridian
