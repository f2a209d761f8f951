// A regional Redis that is full: what is evicted is values, never the memory of what was deleted,
// however long another region was away.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/child_process.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr int kDeleted = 50;
constexpr absl::Duration kPatience = absl::Seconds(30);

std::string Deleted(int i) { return absl::StrCat("deleted:", i); }

class FullRedisTest : public testing::Test {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.regions = {"us", "eu"};
    options.nodes = 1;
    options.fault_proxies = "links";
    options.redis_maxmemory = "30mb";
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    ClientOptions patient;
    patient.get_timeout = patient.set_timeout = patient.batch_timeout = absl::Seconds(10);
    us_ = cluster_->NewClient("us", patient);
    eu_ = cluster_->NewClient("eu", patient);
  }
  // A figure of INFO.
  int64_t RedisFigure(const std::string& region, const std::string& name) {
    const std::string& address = cluster_->Address(region + "-redis", "redis");
    const CommandResult info =
        RunCommand({"redis-cli", "-p", address.substr(address.rfind(':') + 1), "INFO"});
    const size_t at = info.out.find("\n" + name + ":");
    return at == std::string::npos ? -1 : std::atoll(info.out.c_str() + at + name.size() + 2);
  }
  // The region's node has told the other region all it has to tell.
  bool Streams(const std::string& region) {
    const CommandResult status =
        RunCommand({ProgramPath("meridianctl"), "region", "status", "--json", "--admin",
                    cluster_->Address(region + "-node-1", "admin")});
    return status.out.find("\"state\":\"streaming\"") != std::string::npos ||
           status.out.find("\"state\": \"streaming\"") != std::string::npos;
  }
  bool AllGone(Client& client) {
    for (int i = 0; i < kDeleted; ++i) {
      if (client.Get("task", Deleted(i)).hit()) return false;
    }
    return true;
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
};

TEST_F(FullRedisTest, ForgetsNoDeleteWhileARegionIsCutOff) {
  cluster_->Cut("eu");
  for (int i = 0; i < kDeleted; ++i) ASSERT_TRUE(us_->Set("task", Deleted(i), "old").ok());
  for (int i = 0; i < kDeleted; ++i) ASSERT_TRUE(eu_->Invalidate("task", Deleted(i)).ok());
  for (int batch = 0; batch < 100 && RedisFigure("eu", "evicted_keys") < 2000; ++batch) {
    std::vector<SetItem> items(100);
    for (size_t i = 0; i < items.size(); ++i) {
      items[i].key = absl::StrCat("filler:", batch, ":", i);
      items[i].value = std::string(10'000, static_cast<char>('a' + i % 26));
    }
    for (const WriteResult& result : eu_->BatchSet("task", std::move(items))) {
      ASSERT_TRUE(result.ok()) << "a full Redis evicts, and goes on";
    }
  }
  ASSERT_GE(RedisFigure("eu", "evicted_keys"), 2000);
  ASSERT_TRUE(us_->Get("task", Deleted(0)).hit());

  // First us tells eu what it has, which is old.
  cluster_->Fault("us-to-eu-proxy", "cut=off");
  EXPECT_TRUE(WaitUntil([&] { return Streams("us"); }, kPatience));
  EXPECT_TRUE(AllGone(*eu_));
  cluster_->Heal("eu");
  EXPECT_TRUE(WaitUntil([&] { return AllGone(*us_); }, kPatience)) << "eu has told what it deleted";
  EXPECT_TRUE(WaitUntil([&] { return Streams("eu"); }, kPatience));
  EXPECT_TRUE(AllGone(*eu_));
  EXPECT_TRUE(AllGone(*us_));
}

}  // namespace
}  // namespace meridian
