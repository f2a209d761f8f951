// `meridianctl region diff` with and without --repair, on real nodes and stores.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/hash.h"
#include "tests/support/child_process.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kLong = absl::Seconds(60);
// What is older, and lacking somewhere, may have been deleted there.
constexpr absl::Duration kTombstoneTtl = absl::Seconds(30);

class RegionDiffCallTest : public testing::Test {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.regions = {"us", "eu"};
    options.nodes = 1;
    options.node_flags = {absl::StrCat("--tombstone-ttl=", absl::FormatDuration(kTombstoneTtl))};
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    us_ = cluster_->NewClient("us");
    eu_ = cluster_->NewClient("eu");
    for (const char* key : {"lost", "doubtful", "whole"}) {
      ASSERT_TRUE(us_->Set("task", key, "v").ok());
      ASSERT_TRUE(WaitUntil([&] { return eu_->Get("task", key).hit(); }, kLong)) << key;
    }
  }
  // As an eviction does: nobody is told.
  void Lose(const std::string& key) { EXPECT_EQ(RedisOfEu("DEL", key), "1"); }
  bool EuHas(const std::string& key) { return RedisOfEu("EXISTS", key) == "1"; }
  std::string RedisOfEu(const std::string& command, const std::string& key) {
    const std::string& address = cluster_->Address("eu-redis", "redis");
    const CommandResult result =
        RunCommand({"redis-cli", "-p", address.substr(address.rfind(':') + 1), command,
                    absl::StrCat("m:{", SlotOf("task", key), "}:e:task:", key)});
    return result.out.substr(0, result.out.find('\n'));
  }
  nlohmann::json Diff(std::vector<std::string> flags, int* exit_code) {
    std::vector<std::string> words = {ProgramPath("meridianctl"),
                                      "--cluster",
                                      cluster_->file(),
                                      "--region",
                                      "us",
                                      "region",
                                      "diff",
                                      "--json"};
    words.insert(words.end(), flags.begin(), flags.end());
    const CommandResult result = RunCommand(words);
    *exit_code = result.exit_code;
    nlohmann::json json = nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
    EXPECT_TRUE(json.is_object()) << result.out << result.err;
    return json.is_object() ? json : nlohmann::json::object();
  }
  // "<differing> differ, <mended> mended, <doubtful> doubtful: <exit code>"
  std::string Counts(std::vector<std::string> flags) {
    int code = -1;
    const nlohmann::json json = Diff(std::move(flags), &code);
    const auto count = [&](const char* name) { return json.value(name, uint64_t{0}); };
    return absl::StrCat(count("differing_keys"), " differ, ", count("repaired_keys"), " mended, ",
                        count("doubtful_keys"), " doubtful: ", code);
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
};

TEST_F(RegionDiffCallTest, MendsWhatDiffersAndSpreadsWhatIsDoubtfulOnlyWhenItIsTold) {
  const absl::Time written = absl::Now();
  EXPECT_EQ(Counts({}), "0 differ, 0 mended, 0 doubtful: 0");
  Lose("lost");
  int code = 0;
  EXPECT_THAT(Diff({}, &code).dump(), HasSubstr("task lost"));
  EXPECT_EQ(Counts({}), "1 differ, 0 mended, 0 doubtful: 1");
  EXPECT_FALSE(EuHas("lost")) << "it was only asked for";
  EXPECT_EQ(Counts({"--repair"}), "1 differ, 1 mended, 0 doubtful: 0");
  ASSERT_LT(absl::Now() - written, kTombstoneTtl / 2) << "the machine is too slow for this test";
  EXPECT_TRUE(EuHas("lost"));
  EXPECT_EQ(Counts({}), "0 differ, 0 mended, 0 doubtful: 0");

  ASSERT_TRUE(WaitUntil([&] { return absl::Now() - written > kTombstoneTtl; }, kLong));
  Lose("doubtful");
  EXPECT_EQ(Counts({"--repair"}), "1 differ, 0 mended, 1 doubtful: 1");
  EXPECT_FALSE(EuHas("doubtful"));
  EXPECT_EQ(Counts({"--repair", "--spread-doubtful", "--yes"}),
            "1 differ, 1 mended, 1 doubtful: 0");
  EXPECT_TRUE(EuHas("doubtful"));
  EXPECT_EQ(Counts({}), "0 differ, 0 mended, 0 doubtful: 0");
}

}  // namespace
}  // namespace meridian
