// `meridianctl perf` against real nodes: what it measures, saves and leaves behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::StartsWith;

class CliPerfTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = StartTestCluster({.regions = {"us"}, .node_flags = {}});
  }
  static void TearDownTestSuite() { cluster_.reset(); }
  void SetUp() override { ASSERT_NE(cluster_, nullptr); }

  std::vector<std::string> Words(std::vector<std::string> words) const {
    words.insert(words.begin(), ProgramPath("meridianctl"));
    words.insert(words.end(), {"--target", cluster_->Address("us-node-1", "data")});
    return words;
  }
  CommandResult Ctl(std::vector<std::string> words) const {
    return RunCommand(Words(std::move(words)), absl::Seconds(60));
  }

  static inline std::unique_ptr<TestCluster> cluster_;
  const TempDir dir_;
};

TEST_F(CliPerfTest, Requirement3_12_4_05_4_06_ThreeTestsAreMeasuredAndSaved) {
  const CommandResult result =
      Ctl({"perf", "--origin-delay", "20ms", "--wait", "50ms", "--load-time", "1s", "--concurrency",
           "2", "--keys", "200", "--report", dir_ / "r", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  const nlohmann::json json = nlohmann::json::parse(result.out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << result.out;
  ASSERT_EQ(json["backends"].size(), 2u);
  for (const auto& node : json["backends"]) EXPECT_EQ(node["redis"], "connected") << node;

  const auto& pairs = json["pairs"];
  EXPECT_EQ(pairs["iterations"], 5);
  EXPECT_GE(pairs["uncached"]["mean_ms"], 20);
  EXPECT_GT(pairs["speed_up"], 1.5);
  for (const auto& pair : pairs["pairs"]) {
    EXPECT_EQ(pair["uncached_source"], "miss") << pair;
    EXPECT_EQ(pair["cached_source"], "L1") << pair;
  }

  const auto& hits = json["hit_rate"];
  EXPECT_EQ(hits["requests"], 50);
  EXPECT_EQ(hits["hit_rate_percent"], hits["possible_hit_rate_percent"]) << "nothing was lost";
  EXPECT_EQ(hits["effectiveness"], "good");

  const auto& load = json["load"];
  EXPECT_GT(load["requests"], 200);
  EXPECT_GT(load["hit_rate"], 0.3);
  EXPECT_TRUE(load["errors"].empty()) << load["errors"];
  EXPECT_TRUE(load["mismatches"].empty()) << load["mismatches"];
  EXPECT_GE(load["points"].size(), 2u);

  EXPECT_THAT(ReadFile(dir_ / "r.txt"), AllOf(StartsWith("Cache performance report"),
                                              HasSubstr("speed-up"), HasSubstr("us-node-2")));
  EXPECT_EQ(nlohmann::json::parse(ReadFile(dir_ / "r.json")), json);
  EXPECT_THAT(ReadFile(dir_ / "r.html"), AllOf(HasSubstr("<svg"), HasSubstr("us-node-1")));

  // Nothing is left of it.
  // Each item that was drawn missed once, and was stored; items that nobody drew were not.
  const int by_load = json["written_keys"].get<int>() - 5 - hits["misses"].get<int>();
  EXPECT_GT(by_load, 0);
  EXPECT_LE(by_load, 200);
  EXPECT_EQ(json["not_removed_keys"], 0);
  const std::string pair_key = pairs["pairs"][0]["key"];
  const std::string run = pair_key.substr(0, pair_key.rfind(":pair:"));
  std::vector<std::string> words = {"mget", "perf", pair_key};
  for (int i = 0; i < 200; ++i) words.push_back(run + ":load:" + std::to_string(i));
  for (int i = 0; i < 50; ++i) words.push_back(run + ":hit:" + std::to_string(i));
  EXPECT_THAT(Ctl(words).out, testing::Not(HasSubstr("\tOK\t")));
}

TEST_F(CliPerfTest, AnInterruptEndsItWithWhatWasMeasured) {
  ChildOptions options;
  options.words = Words(
      {"perf", "--iterations", "2", "--wait", "1ms", "--load-time", "5m", "--report", dir_ / "r"});
  options.stdout_path = dir_ / "out";
  options.stderr_path = dir_ / "err";
  const absl::Time start = absl::Now();
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.ok()) << child.status();
  // Its progress, once every 5 s where there is no terminal.
  ASSERT_TRUE(WaitUntil([&] { return ReadFile(dir_ / "err").find("load [") != std::string::npos; },
                        absl::Seconds(30)))
      << ReadFile(dir_ / "err");
  (*child)->Signal(SIGINT);
  ASSERT_TRUE((*child)->WaitForExit(absl::Seconds(30)));
  EXPECT_EQ((*child)->exit_code(), 130);
  EXPECT_LT(absl::Now() - start, absl::Seconds(60));
  EXPECT_THAT(ReadFile(dir_ / "out"), AllOf(HasSubstr("speed-up"), HasSubstr("requests/s"),
                                            HasSubstr("ended by signal 2")));
  const auto json = nlohmann::json::parse(ReadFile(dir_ / "r.json"), nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["signal"], 2);
  EXPECT_EQ(json["not_removed_keys"], 0);
}

TEST_F(CliPerfTest, OneTestAloneAndWrongUsage) {
  const CommandResult pairs = Ctl({"perf", "--tests", "pairs", "--iterations", "1", "--no-report"});
  EXPECT_EQ(pairs.exit_code, 0) << pairs.err;
  EXPECT_THAT(pairs.out, AllOf(HasSubstr("speed-up"), testing::Not(HasSubstr("80/20"))));
  // No origin knows the key.
  EXPECT_THAT(pairs.out, HasSubstr("1 keys written by the tests, 1 of them removed"));
  // A namespace without an origin: Redis answers what is asked for past the cache.
  ASSERT_EQ(Ctl({"set", "perf", "mine", "v"}).exit_code, 0);
  const CommandResult mine =
      Ctl({"perf", "mine", "--tests", "pairs", "--iterations", "2", "--no-report"});
  EXPECT_EQ(mine.exit_code, 0) << mine.err;
  EXPECT_THAT(mine.out, AllOf(HasSubstr("past the cache: 2 from L2"),
                              HasSubstr("2 of 2 uncached reads were answered by the cache"),
                              HasSubstr("0 keys written by the tests")));
  const CommandResult unknown =
      Ctl({"perf", "nobody", "--tests", "pairs", "--iterations", "1", "--no-report"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.out, HasSubstr("'nobody'"));
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"perf", "--tests", "pears"},
                                             {"perf", "--load-time", "11m"},
                                             {"perf", "--iterations", "0"},
                                             {"perf", "--requests=-1"},
                                             {"perf", "--value-bytes", "1"},
                                             {"perf", "--report", dir_ / "no/such/r"}}) {
    EXPECT_EQ(Ctl(words).exit_code, 2) << testing::PrintToString(words);
  }
  const CommandResult away = RunCommand({ProgramPath("meridianctl"), "perf", "--no-report",
                                         "--timeout", "1s", "--target", FreeAddress()});
  EXPECT_EQ(away.exit_code, 5) << away.err;
}

}  // namespace
}  // namespace meridian
