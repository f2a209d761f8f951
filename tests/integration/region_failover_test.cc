// A failover that loses acknowledged writes for certain, of a region whose only node was restarted
// and remembers nothing: the other region gives back what it has, deletes included, and nobody
// helps.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/fault_proxy/test_socket.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";
constexpr int kKeys = 20;  // One half is deleted, the other changed.
constexpr absl::Duration kPatience = absl::Seconds(60);
// From the moment in which the region can be read again: the other region looks once a second, and
// compares 20 000 keys a second.
constexpr absl::Duration kMended = absl::Seconds(10);

std::string KeyOf(int i) { return absl::StrCat("k", i); }

TEST(RegionFailoverTest, WhatANewPrimaryLacksComesBackFromTheOtherRegionByItself) {
  TestClusterOptions options;
  options.regions = {"us", "eu"};
  options.nodes = 1;
  options.redis = "eu=sentinel";  // A primary, a replica, three sentinels.
  const std::unique_ptr<TestCluster> cluster = StartTestCluster(options);
  ASSERT_NE(cluster, nullptr);
  ClientOptions patient;
  patient.get_timeout = patient.set_timeout = absl::Seconds(5);
  const std::unique_ptr<Client> us = cluster->NewClient("us", patient);
  std::unique_ptr<Client> eu = cluster->NewClient("eu", patient);
  const auto wait_for = [&](Client& client, int i, const std::string& value) {
    return WaitUntil([&] { return client.Get(kSpace, KeyOf(i)).value == value; }, kPatience);
  };
  const auto is_gone = [&](Client& client, int i) {
    return client.Get(kSpace, KeyOf(i)).status == ResultStatus::kMiss;
  };
  for (int i = 0; i < kKeys; ++i) ASSERT_TRUE(eu->Set(kSpace, KeyOf(i), "old").ok());
  for (int i = 0; i < kKeys; ++i) ASSERT_TRUE(wait_for(*us, i, "old"));

  // From here on the replica gets nothing more, whatever waits for it in the network.
  cluster->Stop("eu-redis-2");
  {
    TestSocket redis(cluster->Address("eu-redis-1", "redis"));
    ASSERT_TRUE(redis.ok());
    ASSERT_TRUE(redis.Send("CLIENT KILL TYPE replica\r\n"));
    std::string answer;
    ASSERT_TRUE(redis.ReceiveUntil(4, absl::Seconds(10), &answer).ok());
    ASSERT_EQ(answer.substr(0, 2), ":1") << answer;
  }
  for (int i = 0; i < kKeys; ++i) {
    if (i % 2 == 0) {
      ASSERT_TRUE(eu->Invalidate(kSpace, KeyOf(i)).ok());
    } else {
      ASSERT_TRUE(eu->Set(kSpace, KeyOf(i), "new").ok());
    }
  }
  for (int i = 0; i < kKeys; ++i) {
    ASSERT_TRUE(i % 2 == 0 || wait_for(*us, i, "new"));
    ASSERT_TRUE(i % 2 == 1 || WaitUntil([&] { return is_gone(*us, i); }, kPatience));
  }

  cluster->Kill("eu-node-1");
  cluster->Kill("eu-redis-1");
  cluster->Cont("eu-redis-2");
  cluster->Restart("eu-node-1");
  eu = cluster->NewClient("eu", patient);
  ASSERT_TRUE(WaitUntil([&] { return eu->Set(kSpace, "again", "works").ok(); }, kPatience));
  const absl::Time back = absl::Now();
  int older = 0;
  for (int i = 0; i < kKeys; ++i) older += eu->Get(kSpace, KeyOf(i)).value == "old" ? 1 : 0;
  const bool mended = WaitUntil(
      [&] {
        for (int i = 0; i < kKeys; ++i) {
          const GetResult read = eu->Get(kSpace, KeyOf(i));
          if (i % 2 == 0 ? read.status != ResultStatus::kMiss : read.value != "new") return false;
        }
        return true;
      },
      kPatience);
  const absl::Duration took = absl::Now() - back;
  std::printf("%d of %d keys were old at first; mended after %.2f s\n", older, kKeys,
              absl::ToDoubleSeconds(took));
  EXPECT_TRUE(mended);
  EXPECT_LE(took, kMended);
  // And it stays so, in both regions.
  for (int i = 0; i < kKeys; ++i) {
    for (Client* client : {us.get(), eu.get()}) {
      if (i % 2 == 0) {
        EXPECT_TRUE(is_gone(*client, i)) << i;
      } else {
        EXPECT_EQ(client->Get(kSpace, KeyOf(i)).value, "new") << i;
      }
    }
  }
}

}  // namespace
}  // namespace meridian
