// `meridianctl doctor` and `top` against real nodes, well and sick.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/redis_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsSubsetOf;
using testing::Not;

class CliDoctorTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster({.regions = {"us"}, .node_flags = {}});
    ASSERT_NE(cluster_, nullptr);
  }

  CommandResult Ctl(std::vector<std::string> words) const {
    words.insert(words.begin(), ProgramPath("meridianctl"));
    words.insert(words.end(), {"--cluster", cluster_->file(), "--timeout", "2s"});
    return RunCommand(words, absl::Seconds(60));
  }
  // "critical redis_away us-node-1"; fills the exit code.
  std::set<std::string> Findings(int* exit_code) const {
    const CommandResult result = Ctl({"doctor", "--json"});
    *exit_code = result.exit_code;
    const auto json = nlohmann::json::parse(result.out, nullptr, false);
    EXPECT_FALSE(json.is_discarded()) << result.out << result.err;
    std::set<std::string> findings;
    if (json.is_discarded()) return findings;
    for (const auto& finding : json["findings"]) {
      EXPECT_FALSE(finding["advice"].get<std::string>().empty()) << finding;
      findings.insert(finding["severity"].get<std::string>() + " " +
                      finding["check"].get<std::string>() + " " +
                      finding["about"].get<std::string>());
    }
    return findings;
  }
  // Until doctor says all of it.
  void ExpectFindings(const std::set<std::string>& expected, int expected_code) const {
    std::set<std::string> found;
    int code = -1;
    EXPECT_TRUE(WaitUntil(
        [&] {
          found = Findings(&code);
          return std::includes(found.begin(), found.end(), expected.begin(), expected.end());
        },
        absl::Seconds(30)))
        << testing::PrintToString(found);
    EXPECT_EQ(code, expected_code);
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(CliDoctorTest, AHealthyDemoClusterHasOnlyTheNotesThatAreTrueOfIt) {
  int code = -1;
  // No TLS, one coordinator, a Redis without files: that is how a demo is started.
  ExpectFindings({"info redis_persistence us"}, 0);
  EXPECT_EQ(Findings(&code),
            (std::set<std::string>{"info plaintext cluster", "info redis_persistence us",
                                   "info single_coordinator us"}));
  EXPECT_EQ(code, 0);
  const CommandResult text = Ctl({"doctor"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out,
              AllOf(HasSubstr("2 nodes of us and 1 coordinators"),
                    HasSubstr("0 critical, 0 warnings, 3 notes"), Not(HasSubstr("\033"))));
}

TEST_F(CliDoctorTest, ADeadNodeIsNamed) {
  cluster_->Kill("us-node-2");
  ExpectFindings({"critical node_down us-node-2"}, 7);
  EXPECT_THAT(Ctl({"doctor"}).out, HasSubstr("docs/runbooks/MeridianNodeDown.md"));
}

TEST_F(CliDoctorTest, ARedisThatIsAwayIsNamedByBothNodes) {
  cluster_->Kill("us-redis");
  ExpectFindings({"critical redis_away us-node-1", "critical redis_away us-node-2"}, 7);
  cluster_->Restart("us-redis");
  int code = -1;
  EXPECT_TRUE(
      WaitUntil([&] { return Findings(&code).size() == 3 && code == 0; }, absl::Seconds(60)))
      << Ctl({"doctor"}).out;
}

// By the real server's settings; nodes look every 10 s.
TEST_F(CliDoctorTest, WhatARedisLosesIsSaid) {
  const auto redis = [this](const std::vector<std::string>& words) {
    const std::string address = cluster_->Address("us-redis", "redis");
    const size_t colon = address.rfind(':');
    std::vector<std::string> all = {"redis-cli", "-h", address.substr(0, colon), "-p",
                                    address.substr(colon + 1)};
    all.insert(all.end(), words.begin(), words.end());
    return RunCommand(all, absl::Seconds(10)).out;
  };
  ASSERT_EQ(redis({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"}), "OK\n");
  ASSERT_EQ(redis({"CONFIG", "SET", "save", "3600 1"}), "OK\n");
  ExpectFindings({"warning redis_eviction us"}, 6);
  int code = -1;
  EXPECT_EQ(Findings(&code).count("info redis_persistence us"), 0u);
  EXPECT_THAT(Ctl({"doctor"}).out, HasSubstr("CONFIG SET maxmemory-policy volatile-lfu"));
}

// Alone it looks well.
TEST_F(CliDoctorTest, ANodeThatWasStartedWithOtherSettingsIsTold) {
  const TempDir dir;
  WriteFile(dir / "policies.yaml", "namespaces:\n  task: {ttl: 7s}\n");
  const auto redis = RedisProcess::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const auto node = TestNode::Start(
      "us-node-9", {"--region=us", "--redis=" + (*redis)->url(), "--l1-max-bytes=4MiB",
                    "--coordinators=" + cluster_->Address("us-coordinator-1", "grpc"),
                    "--policies=" + (dir / "policies.yaml")});
  ASSERT_TRUE(node.ok()) << node.status();
  ExpectFindings(
      {"critical redis_differs us", "warning l1_differs us", "warning policies_differ us"}, 7);
  EXPECT_THAT(Ctl({"doctor"}).out, HasSubstr("us-node-9: 4 MiB"));
}

TEST_F(CliDoctorTest, ACoordinatorThatIsAwayIsNoticed) {
  cluster_->Kill("us-coordinator-1");
  ExpectFindings({"critical coordinator_unheard us"}, 7);
}

TEST_F(CliDoctorTest, ADeadCoordinatorIsNamedWhileAnotherLeads) {
  cluster_.reset();
  cluster_ = StartTestCluster({.regions = {"us"}, .coordinators = 2, .node_flags = {}});
  ASSERT_NE(cluster_, nullptr);
  cluster_->Kill("us-coordinator-2");
  // Had it led, the other one does soon.
  int code = -1;
  EXPECT_TRUE(WaitUntil(
      [&] { return Findings(&code).count("warning coordinator_down us") == 1 && code == 6; },
      absl::Seconds(30)))
      << Ctl({"doctor"}).out;
}

TEST_F(CliDoctorTest, ByATargetItFindsTheRegionAndWithoutAnybodyItSaysSo) {
  const CommandResult target = RunCommand(
      {ProgramPath("meridianctl"), "doctor", "--target", cluster_->Address("us-node-1", "data")});
  EXPECT_EQ(target.exit_code, 0) << target.out << target.err;
  EXPECT_THAT(target.out, HasSubstr("2 nodes of us"));
  const CommandResult nobody = RunCommand(
      {ProgramPath("meridianctl"), "doctor", "--timeout", "1s", "--target", FreeAddress()});
  EXPECT_EQ(nobody.exit_code, 5);
}

TEST_F(CliDoctorTest, TopShowsRatesOfNodesAndRegionAndWhoIsAway) {
  const auto client = cluster_->NewClient("us");
  ASSERT_TRUE(client->Set("task", "hot", "v").ok());
  // Traffic while it looks.
  std::atomic<bool> end{false};
  std::thread reader([&] {
    while (!end) client->Get("task", "hot");
  });
  const CommandResult json = Ctl({"top", "--once", "--json", "--interval", "1s"});
  end = true;
  reader.join();
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const auto top = nlohmann::json::parse(json.out, nullptr, false);
  ASSERT_FALSE(top.is_discarded()) << json.out;
  ASSERT_EQ(top["nodes"].size(), 2u);
  ASSERT_EQ(top["regions"].size(), 1u);
  const auto& all = top["regions"][0];
  EXPECT_GT(all["reads_per_second"], 10) << all;
  EXPECT_GT(all["l1_hit_rate"], 0.9) << all;
  EXPECT_GT(all["p99_ms"], 0) << all;
  EXPECT_GT(all["l1_limit_bytes"], 0) << all;

  // Without a terminal it prints once, and has no codes of one.
  cluster_->Kill("us-node-2");
  const CommandResult text = Ctl({"top", "--interval", "100ms"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("us-node-1"), HasSubstr("away"), HasSubstr("p99 ms"),
                              Not(HasSubstr("\033"))));
  EXPECT_EQ(RunCommand({ProgramPath("meridianctl"), "top", "--once", "--timeout", "1s", "--target",
                        FreeAddress()})
                .exit_code,
            5);
}

}  // namespace
}  // namespace meridian
