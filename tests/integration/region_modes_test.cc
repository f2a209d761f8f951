// The modes of replication, on real nodes and stores.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kLong = absl::Seconds(60);

class RegionModesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(dir_ / "policies.yaml") << "namespaces:\n"
                                             "  order: {replication: sync}\n"
                                             "  catalog: {replication: invalidate_only}\n"
                                             "  scratch: {replication: local}\n";
    TestClusterOptions options;
    options.node_flags = {"--policies=" + (dir_ / "policies.yaml")};
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    ClientOptions patient;
    patient.get_timeout = patient.set_timeout = patient.batch_timeout = absl::Seconds(5);
    us_ = cluster_->NewClient("us", patient);
    eu_ = cluster_->NewClient("eu", patient);
  }
  std::string ValueOf(Client& client, const char* name_space) {
    const GetResult result = client.Get(name_space, "k");
    return result.hit() ? result.value : result.status == ResultStatus::kMiss ? "none" : "error";
  }

  const TempDir dir_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
};

TEST_F(RegionModesTest, ASyncWriteNamesTheRegionsThatHaveIt) {
  // Links come up within moments; from then on every answer names both.
  ASSERT_TRUE(WaitUntil(
      [&] { return us_->Set("order", "first", "v").replicated_regions.size() == 2; }, kLong));
  for (int i = 0; i < 20; ++i) {
    const WriteResult written = us_->Set("order", "k", std::to_string(i));
    ASSERT_TRUE(written.ok());
    EXPECT_THAT(written.replicated_regions, UnorderedElementsAre("eu", "asia"));
    GetOptions from_redis;
    from_redis.force_refresh = true;
    EXPECT_EQ(eu_->Get("order", "k", from_redis).value, std::to_string(i));
  }
  EXPECT_THAT(us_->Set("task", "k", "v").replicated_regions, IsEmpty());

  cluster_->Kill("asia-redis");
  // What the links of both nodes do not know yet they learn with the first write.
  ASSERT_TRUE(WaitUntil(
      [&] {
        const WriteResult written = us_->Set("order", "k", "without asia");
        return written.ok() && written.replicated_regions == std::vector<std::string>{"eu"};
      },
      kLong));
}

TEST_F(RegionModesTest, InvalidateOnlyRemovesWhatIsOlderAndLocalStaysAtHome) {
  ASSERT_TRUE(eu_->Set("catalog", "k", "eu's").ok());
  EXPECT_EQ(ValueOf(*eu_, "catalog"), "eu's");
  ASSERT_TRUE(us_->Set("scratch", "k", "us's").ok());
  ASSERT_TRUE(us_->Set("catalog", "k", "us's").ok());
  ASSERT_TRUE(us_->Set("task", "k", "us's").ok());
  EXPECT_TRUE(WaitUntil([&] { return ValueOf(*eu_, "catalog") == "none"; }, kLong));
  EXPECT_TRUE(WaitUntil([&] { return ValueOf(*eu_, "task") == "us's"; }, kLong));
  EXPECT_EQ(ValueOf(*us_, "catalog"), "us's");
  EXPECT_EQ(ValueOf(*eu_, "scratch"), "none");
}

}  // namespace
}  // namespace meridian
