// A changelog that is trimmed while a region is cut off: mended by itself, as `meridianctl region`
// shows it.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/child_process.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

class RegionRepairTest : public testing::Test {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.regions = {"us", "eu"};
    options.nodes = 1;
    options.node_flags = {"--changelog-max-entries=100"};
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
  }
  nlohmann::json Region(const std::string& command) {
    const CommandResult result =
        RunCommand({ProgramPath("meridianctl"), "region", command, "--json", "--admin",
                    cluster_->Address("us-node-1", "admin")});
    return nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  uint64_t Differing() { return Region("diff").value("differing_keys", uint64_t{1} << 40); }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(RegionRepairTest, ALogThatIsTrimmedDuringACutIsMendedAndNoDeletedKeyComesBack) {
  ClientOptions patient;
  patient.get_timeout = patient.set_timeout = absl::Seconds(10);
  auto us = cluster_->NewClient("us", patient);
  auto eu = cluster_->NewClient("eu", patient);
  ASSERT_TRUE(us->Set("task", "{a}deleted", "v").ok());
  ASSERT_TRUE(WaitUntil([&] { return eu->Get("task", "{a}deleted").hit(); }, absl::Seconds(20)));
  ASSERT_TRUE(WaitUntil([&] { return Differing() == 0; }, absl::Seconds(20)));

  cluster_->Stop("eu-redis");
  ASSERT_TRUE(us->Invalidate("task", "{a}deleted").ok());
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(us->Set("task", absl::StrCat("{a}", i), "v").ok()) << i;
  }
  cluster_->Kill("us-node-1");  // It had them all in memory; the next owner has the log alone.
  cluster_->Cont("eu-redis");
  cluster_->Restart("us-node-1");

  EXPECT_TRUE(WaitUntil([&] { return Differing() == 0; }, absl::Seconds(60)));
  EXPECT_TRUE(eu->Get("task", "{a}0").hit());
  EXPECT_FALSE(eu->Get("task", "{a}deleted").hit());
  const nlohmann::json link = Region("status")["links"][0];
  EXPECT_GT(link["repair_sent_total"].get<int>(), 1000) << link;
  EXPECT_TRUE(WaitUntil([&] { return Region("status")["links"][0]["state"] == "streaming"; },
                        absl::Seconds(20)));
}

}  // namespace
}  // namespace meridian
