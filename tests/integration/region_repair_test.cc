// A changelog that is trimmed while a region is cut off: mended by itself, as `meridianctl region`
// shows it.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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
    options.fault_proxies = "links";
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
  }
  nlohmann::json Region(const std::string& command) {
    const CommandResult result =
        RunCommand({ProgramPath("meridianctl"), "region", command, "--json", "--admin",
                    cluster_->Address("us-node-1", "admin")});
    return nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  // Very many when they cannot be compared.
  uint64_t Differing() {
    const nlohmann::json diff = Region("diff");
    return diff.is_object() ? diff.value("differing_keys", uint64_t{1} << 40) : uint64_t{1} << 40;
  }

  // The stores are equal before a node's memory is: it follows its region's changelog.
  static bool BecomesMiss(Client& client, const std::string& key) {
    return WaitUntil([&] { return !client.Get("task", key).hit(); }, kFollowed);
  }
  static bool BecomesValue(Client& client, const std::string& key, const std::string& value) {
    return WaitUntil([&] { return client.Get("task", key).value == value; }, kFollowed);
  }

  static constexpr absl::Duration kFollowed = absl::Seconds(5);

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
  EXPECT_TRUE(BecomesValue(*eu, "{a}0", "v"));
  EXPECT_TRUE(BecomesMiss(*eu, "{a}deleted"));
  const nlohmann::json link = Region("status")["links"][0];
  EXPECT_GT(link["repair_sent_total"].get<int>(), 1000) << link;
  EXPECT_TRUE(WaitUntil([&] { return Region("status")["links"][0]["state"] == "streaming"; },
                        absl::Seconds(20)));
}

// More is written than the node keeps in memory for a region that is away, while both sides and the
// node itself go on.
TEST_F(RegionRepairTest, ALogThatIsTrimmedWhileARegionIsCutOffIsMendedWhileItIsWritten) {
  constexpr int kKeys = 200;
  constexpr int kRounds = 220;  // 44,000 changes; the node keeps 32,768.
  ClientOptions patient;
  patient.get_timeout = patient.set_timeout = patient.batch_timeout = absl::Seconds(10);
  auto us = cluster_->NewClient("us", patient);
  auto eu = cluster_->NewClient("eu", patient);
  const auto write_round = [&](int round) {
    std::vector<SetItem> items;
    for (int i = 0; i < kKeys; ++i) {
      SetItem item;
      item.key = absl::StrCat("{a}", i);
      item.value = absl::StrCat("round ", round);
      items.push_back(std::move(item));
    }
    for (const WriteResult& result : us->BatchSet("task", std::move(items))) {
      ASSERT_TRUE(result.ok());
    }
  };
  ASSERT_TRUE(us->Set("task", "{a}deleted", "v").ok());
  ASSERT_TRUE(WaitUntil([&] { return eu->Get("task", "{a}deleted").hit(); }, absl::Seconds(20)));

  cluster_->Cut("eu");
  ASSERT_TRUE(us->Invalidate("task", "{a}deleted").ok());
  ASSERT_TRUE(eu->Set("task", "{a}of-eu", "v").ok());
  for (int round = 0; round < kRounds; ++round) ASSERT_NO_FATAL_FAILURE(write_round(round));
  EXPECT_TRUE(eu->Get("task", "{a}deleted").hit()) << "the cut does not hold";
  cluster_->Heal("eu");
  for (int round = 0; round < 10; ++round) ASSERT_NO_FATAL_FAILURE(write_round(kRounds + round));

  EXPECT_TRUE(WaitUntil([&] { return Differing() == 0; }, absl::Seconds(60)))
      << Region("status") << Region("diff");
  EXPECT_TRUE(BecomesMiss(*eu, "{a}deleted"));
  EXPECT_TRUE(BecomesValue(*us, "{a}of-eu", "v"));
  for (int i = 0; i < kKeys; ++i) {
    ASSERT_TRUE(BecomesValue(*eu, absl::StrCat("{a}", i), absl::StrCat("round ", kRounds + 9)))
        << i;
  }
  const nlohmann::json link = Region("status")["links"][0];
  EXPECT_GT(link["repair_compared_total"].get<int>(), 0) << link;
  EXPECT_TRUE(WaitUntil([&] { return Region("status")["links"][0]["state"] == "streaming"; },
                        absl::Seconds(20)));
}

}  // namespace
}  // namespace meridian
