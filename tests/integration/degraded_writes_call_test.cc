// Writes while the regional Redis is away, on real nodes and stores.

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/http_page.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr absl::Duration kLong = absl::Seconds(60);
constexpr int kKeys = 200;

class DegradedWritesCallTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(dir_ / "policies.yaml") << "namespaces:\n"
                                             "  cart: {write_without_redis: accept}\n";
    TestClusterOptions options;
    options.regions = {"us", "eu"};
    options.node_flags = {"--policies=" + (dir_ / "policies.yaml")};
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    ClientOptions patient;
    patient.get_timeout = patient.set_timeout = absl::Seconds(5);
    us_ = cluster_->NewClient("us", patient);
    eu_ = cluster_->NewClient("eu", patient);
  }
  double Sum(const std::string& metric, const std::vector<std::string>& labels = {}) {
    double sum = 0;
    for (const char* node : {"us-node-1", "us-node-2"}) {
      sum += FetchMetric(cluster_->Address(node, "http"), metric, labels);
    }
    return sum;
  }

  const TempDir dir_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
};

TEST_F(DegradedWritesCallTest, AreAnsweredAsDegradedReadAtOnceAndArriveWhenRedisIsBack) {
  ASSERT_TRUE(us_->Set("cart", "deleted", "v").ok());
  ASSERT_TRUE(WaitUntil([&] { return eu_->Get("cart", "deleted").hit(); }, kLong));
  cluster_->Kill("us-redis");
  // Until the connections notice, an answer may be an error or late.
  ASSERT_TRUE(WaitUntil([&] { return us_->Set("cart", "probe", "v").degraded; }, kLong));
  for (int i = 0; i < kKeys; ++i) {
    const WriteResult written = us_->Set("cart", absl::StrCat("key:", i), absl::StrCat("v", i));
    ASSERT_TRUE(written.ok()) << i;
    EXPECT_TRUE(written.degraded);
  }
  EXPECT_TRUE(us_->Invalidate("cart", "deleted").degraded);
  for (int i = 0; i < kKeys; ++i) {
    EXPECT_EQ(us_->Get("cart", absl::StrCat("key:", i)).value, absl::StrCat("v", i));
  }
  EXPECT_FALSE(us_->Get("cart", "deleted").hit());
  EXPECT_FALSE(us_->Set("task", "k", "v").ok());  // Another policy.
  EXPECT_GE(Sum("meridian_hints_entries"), kKeys);

  cluster_->Restart("us-redis");
  EXPECT_TRUE(WaitUntil([&] { return Sum("meridian_hints_entries") == 0; }, kLong));
  EXPECT_GE(Sum("meridian_hints_total", {"result=\"replayed\""}), kKeys);
  for (int i = 0; i < kKeys; ++i) {
    const std::string key = absl::StrCat("key:", i);
    ASSERT_TRUE(
        WaitUntil([&] { return eu_->Get("cart", key).value == absl::StrCat("v", i); }, kLong))
        << key;
  }
  EXPECT_TRUE(WaitUntil([&] { return !eu_->Get("cart", "deleted").hit(); }, kLong));
  const WriteResult normal = us_->Set("cart", "key:0", "normal");
  EXPECT_TRUE(normal.ok());
  EXPECT_FALSE(normal.degraded);
}

}  // namespace
}  // namespace meridian
