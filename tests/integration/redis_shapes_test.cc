// Regions whose Redis is a cluster of three servers here and a group with sentinels there: values
// cross, and the death of a primary costs seconds of writes, never a hit or a wrong value.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/paced_load.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";
constexpr int kWarmKeys = 100;
constexpr absl::Duration kPatience = absl::Seconds(60);
// From the primary's death to the first write that is acknowledged again.
constexpr absl::Duration kFailover = absl::Seconds(8);

class RedisShapesTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.regions = {"us", "eu"};
    options.nodes = 1;
    options.redis = "us=cluster,eu=sentinel";  // The source systems' own set-up.
    options.redis_tls = GetParam();
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    ClientOptions patient;
    patient.get_timeout = patient.set_timeout = absl::Seconds(5);
    us_ = cluster_->NewClient("us", patient);
    eu_ = cluster_->NewClient("eu", patient);
  }

  static std::string WarmKey(int i) { return absl::StrCat("warm:", i); }
  static std::string ValueOf(int i) { return absl::StrCat("value ", i); }
  static bool Arrives(Client& client, const std::string& key, const std::string& value) {
    return WaitUntil([&] { return client.Get(kSpace, key).value == value; }, kPatience);
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
};

TEST_P(RedisShapesTest, ValuesCrossAndADeadPrimaryCostsSecondsOfWritesAndNoHit) {
  for (int i = 0; i < kWarmKeys; ++i) {
    Client& writer = i % 2 == 0 ? *us_ : *eu_;
    ASSERT_TRUE(writer.Set(kSpace, WarmKey(i), ValueOf(i)).ok());
  }
  for (Client* reader : {us_.get(), eu_.get()}) {
    for (int i = 0; i < kWarmKeys; ++i) {
      ASSERT_TRUE(Arrives(*reader, WarmKey(i), ValueOf(i))) << i;
    }
  }

  PacedLoadOptions options;
  options.name = "eu";
  options.writes_per_second = options.reads_per_second = 100;
  PacedLoad load(*eu_, options);
  ASSERT_TRUE(WaitUntil([&] { return load.writes() > 200; }, kPatience));
  cluster_->Kill("eu-redis-1");
  const absl::Time killed = absl::Now();
  int next = 0;
  const bool writes_again = WaitUntil(
      [&] {
        // L1 has them: nobody notices.
        const int i = next++ % kWarmKeys;
        const GetResult read = eu_->Get(kSpace, WarmKey(i));
        EXPECT_EQ(read.value, ValueOf(i)) << (read.error == nullptr ? "" : read.error->message);
        SetOptions brief;
        brief.timeout = absl::Milliseconds(200);
        return eu_->Set(kSpace, "again", "works", brief).ok();
      },
      kPatience);
  const absl::Duration took = absl::Now() - killed;
  std::printf("writes go on %.2f s after the death of the primary\n", absl::ToDoubleSeconds(took));
  EXPECT_TRUE(writes_again);
  EXPECT_LT(took, kFailover);
  EXPECT_TRUE(Arrives(*us_, "again", "works")) << "eu to us does not go on";
  ASSERT_TRUE(us_->Set(kSpace, "back", "as well").ok());
  EXPECT_TRUE(Arrives(*eu_, "back", "as well")) << "us to eu does not go on";
  load.Stop();
  for (int i = 0; i < kWarmKeys; ++i) {
    EXPECT_EQ(us_->Get(kSpace, WarmKey(i)).value, ValueOf(i));
    EXPECT_EQ(eu_->Get(kSpace, WarmKey(i)).value, ValueOf(i));
  }
}

INSTANTIATE_TEST_SUITE_P(Redis, RedisShapesTest, testing::Bool(),
                         [](const auto& one) { return one.param ? "WithTls" : "PlainText"; });

}  // namespace
}  // namespace meridian
