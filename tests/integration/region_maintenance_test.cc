// `meridianctl region cut|heal` on real nodes and stores.

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr absl::Duration kLong = absl::Seconds(60);
constexpr int kKeys = 10'000;
constexpr int kBatch = 500;

class RegionMaintenanceTest : public testing::Test {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.regions = {"us", "eu"};
    options.nodes = 2;
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    patient_.get_timeout = patient_.set_timeout = patient_.batch_timeout = absl::Seconds(10);
  }
  CommandResult Run(std::vector<std::string> arguments) {
    std::vector<std::string> command = {ProgramPath("meridianctl"), "--cluster", cluster_->file()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return RunCommand(command);
  }
  nlohmann::json Json(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    return nlohmann::json::parse(Run(std::move(arguments)).out, nullptr,
                                 /*allow_exceptions=*/false);
  }
  std::string State(const std::string& from, const std::string& to) {
    nlohmann::json status = Json({"region", "status"});
    for (const nlohmann::json& link : status["links"]) {
      if (link["from"] == from && link["to"] == to) return link["state"];
    }
    return "";
  }
  // "none": deleted.
  std::string ValueOf(Client& client, int key) {
    const GetResult result = client.Get("task", absl::StrCat("key:", key));
    return result.hit() ? result.value : result.status == ResultStatus::kMiss ? "none" : "error";
  }
  uint64_t Differing() {
    return Json({"--region", "us", "region", "diff"}).value("differing_keys", uint64_t{1} << 40);
  }
  // Sets key:<begin> .. key:<end-1>, and deletes every tenth.
  void WriteKeys(Client& client, const std::string& value, int begin, int end) {
    for (int first = begin; first < end; first += kBatch) {
      std::vector<SetItem> items;
      std::vector<std::string> deleted;
      for (int i = first; i < std::min(end, first + kBatch); ++i) {
        if (i % 10 == 9) {
          deleted.push_back(absl::StrCat("key:", i));
        } else {
          items.push_back({.key = absl::StrCat("key:", i), .value = absl::StrCat(value, ":", i)});
        }
      }
      for (const WriteResult& result : client.BatchSet("task", std::move(items))) {
        ASSERT_TRUE(result.ok());
      }
      const std::vector<std::string_view> views(deleted.begin(), deleted.end());
      for (const WriteResult& result : client.BatchInvalidate("task", views)) {
        ASSERT_TRUE(result.ok());
      }
    }
  }

  std::unique_ptr<TestCluster> cluster_;
  ClientOptions patient_;
};

TEST_F(RegionMaintenanceTest, ACutStopsAllNodesSurvivesARestartAndIsVisible) {
  auto us = cluster_->NewClient("us", patient_);
  auto eu = cluster_->NewClient("eu", patient_);
  ASSERT_TRUE(us->Set("task", "k", "old").ok());
  ASSERT_TRUE(WaitUntil([&] { return eu->Get("task", "k").hit(); }, kLong));

  const CommandResult cut = Run({"region", "cut", "eu", "--reason", "new disks", "--yes"});
  ASSERT_EQ(cut.exit_code, 0) << cut.out << cut.err;
  EXPECT_EQ(cut.out, "us -> eu: cut\n");
  EXPECT_EQ(State("us", "eu"), "cut");
  EXPECT_EQ(State("eu", "us"), "streaming");
  for (const char* node : {"us-node-1", "us-node-2"}) {
    EXPECT_EQ(
        FetchMetric(cluster_->Address(node, "http"), "meridian_replication_cut", {"to=\"eu\""}), 1)
        << node;
  }
  const std::string status = Run({"--region", "us", "status"}).out;
  EXPECT_NE(status.find("new disks"), std::string::npos) << status;

  // Every Redis is asked what time it is.
  const std::string http = cluster_->Address("us-node-2", "http");
  const auto page = HttpGet(http, "/metrics");
  ASSERT_TRUE(page.ok());
  for (const char* region : {"us", "eu"}) {
    EXPECT_NE(page->body.find(absl::StrCat("meridian_clock_offset_seconds{reference=\"redis of ",
                                           region, "\"}")),
              std::string::npos);
  }
  EXPECT_EQ(FetchMetric(http, "meridian_clock_refused"), 0);

  cluster_->Kill("us-node-1");
  cluster_->Restart("us-node-1");
  ASSERT_TRUE(WaitUntil([&] { return us->Set("task", "k", "new").ok(); }, kLong));
  ASSERT_TRUE(WaitUntil([&] { return us->Set("task", "probe", "v").ok(); }, kLong));
  EXPECT_EQ(State("us", "eu"), "cut");
  EXPECT_EQ(eu->Get("task", "k").value, "old");
  EXPECT_FALSE(eu->Get("task", "probe").hit());

  const CommandResult heal = Run({"region", "heal", "eu"});
  ASSERT_EQ(heal.exit_code, 0) << heal.out << heal.err;
  EXPECT_TRUE(WaitUntil([&] { return eu->Get("task", "k").value == "new"; }, kLong));
  EXPECT_TRUE(WaitUntil([&] { return State("us", "eu") == "streaming"; }, kLong));
  EXPECT_NE(Run({"region", "cut", "mars", "--yes"}).exit_code, 0);
}

TEST_F(RegionMaintenanceTest, TheSameKeysWrittenInBothCutRegionsEndOnTheNewestVersion) {
  auto us = cluster_->NewClient("us", patient_);
  auto eu = cluster_->NewClient("eu", patient_);
  WriteKeys(*us, "first", 0, kKeys);
  ASSERT_TRUE(WaitUntil([&] { return Differing() == 0; }, kLong));
  const CommandResult cut = Run({"region", "cut", "eu", "--both-ways", "--yes"});
  ASSERT_EQ(cut.exit_code, 0) << cut.out << cut.err;
  ASSERT_EQ(State("us", "eu"), "cut");
  ASSERT_EQ(State("eu", "us"), "cut");
  // Each region has the last word on one half of the keys.
  WriteKeys(*us, "us", 0, kKeys);
  WriteKeys(*eu, "eu", 0, kKeys);
  WriteKeys(*us, "us-again", 0, kKeys / 2);
  ASSERT_TRUE(us->Set("task", "key:9", "back").ok());
  ASSERT_TRUE(us->Invalidate("task", "key:1").ok());
  ASSERT_GE(Differing(), 9000u);

  ASSERT_EQ(Run({"region", "heal", "eu", "--both-ways"}).exit_code, 0);
  EXPECT_TRUE(WaitUntil([&] { return Differing() == 0; }, kLong)) << Differing();
  for (Client* client : {us.get(), eu.get()}) {
    EXPECT_EQ(ValueOf(*client, 9), "back");
    EXPECT_EQ(ValueOf(*client, 1), "none");
    for (int i = 0; i < kKeys; ++i) {
      if (i == 1 || i == 9) continue;
      const std::string last = i < kKeys / 2 ? "us-again" : "eu";
      ASSERT_EQ(ValueOf(*client, i), i % 10 == 9 ? "none" : absl::StrCat(last, ":", i)) << i;
    }
  }
}

}  // namespace
}  // namespace meridian
