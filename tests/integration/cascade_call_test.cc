// Entries that depend on others, on real nodes and stores of two regions: what an invalidation with
// cascade kills, for clients, near caches and on the command line.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "tests/support/child_process.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSpace[] = "context";
constexpr absl::Duration kLong = absl::Seconds(60);

class CascadeCallTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster({.regions = {"us", "eu"}, .nodes = 2});
    ASSERT_NE(cluster_, nullptr);
    const ClientOptions patient = {
        .get_timeout = kLong, .set_timeout = kLong, .batch_timeout = kLong};
    us_ = cluster_->NewClient("us", patient);
    eu_ = cluster_->NewClient("eu", patient);
    ClientOptions near = patient;
    near.near_cache_bytes = 8 << 20;
    near_ = cluster_->NewClient("us", near);
  }
  void Put(const std::string& key, const std::vector<std::string>& depends_on = {}) {
    SetOptions options;
    options.depends_on = depends_on;
    const WriteResult result = us_->Set(kSpace, key, "value of " + key, options);
    ASSERT_TRUE(result.ok()) << result.error->message;
    EXPECT_FALSE(result.dependencies_cut);
  }
  static std::vector<std::string> Alive(Client& client) {
    const std::vector<std::string_view> keys(kKeys.begin(), kKeys.end());
    std::vector<std::string> alive;
    const std::vector<GetResult> results = client.BatchGet(kSpace, keys);
    for (size_t i = 0; i < keys.size(); ++i) {
      EXPECT_NE(results[i].status, ResultStatus::kError);
      if (results[i].hit()) alive.emplace_back(keys[i]);
    }
    return alive;
  }
  CommandResult Ctl(std::vector<std::string> words) const {
    words.insert(words.begin(), ProgramPath("meridianctl"));
    words.insert(words.end(), {"--cluster", cluster_->file(), "--region", "us"});
    return RunCommand(words);
  }

  inline static const std::vector<std::string> kKeys = {"global", "project", "branch", "task",
                                                        "other"};
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
  std::unique_ptr<Client> near_;
};

TEST_F(CascadeCallTest, Line1_10And2_16WhatWasMadeOfAKeyDiesWithItEverywhere) {
  Put("global");
  Put("project", {"key:global"});
  Put("branch", {"key:project", "tag:branches"});
  Put("task", {"key:branch"});
  Put("other");
  EXPECT_EQ(Alive(*us_), kKeys);
  EXPECT_TRUE(WaitUntil([&] { return Alive(*eu_) == kKeys; }, kLong));
  EXPECT_TRUE(
      WaitUntil([&] { return Alive(*near_) == kKeys && near_->near_stats().hits >= 5; }, kLong));

  const WriteResult killed = us_->InvalidateCascade(kSpace, "project");
  ASSERT_TRUE(killed.ok()) << killed.error->message;
  EXPECT_THAT(killed.unconfirmed_nodes, IsEmpty());
  EXPECT_THAT(Alive(*us_), ElementsAre("global", "other")) << "at once, in the whole region";
  EXPECT_TRUE(WaitUntil([&] { return Alive(*near_).size() == 2; }, absl::Seconds(10)));
  EXPECT_TRUE(WaitUntil([&] { return Alive(*eu_).size() == 2; }, kLong));
  EXPECT_THAT(Alive(*eu_), ElementsAre("global", "other"));

  // Who cascades never sees the old value in its own near cache, and sees the rest of it there again
  // when the owners have told what was done.
  Put("branch", {"key:project"});
  EXPECT_TRUE(
      WaitUntil([&] { return near_->Get(kSpace, "branch").source == ResultSource::kNear; }, kLong));
  EXPECT_TRUE(
      WaitUntil([&] { return near_->Get(kSpace, "other").source == ResultSource::kNear; }, kLong));
  ASSERT_TRUE(near_->InvalidateCascade(kSpace, "project").ok());
  EXPECT_FALSE(near_->Get(kSpace, "branch").hit());
  EXPECT_TRUE(
      WaitUntil([&] { return near_->Get(kSpace, "other").source == ResultSource::kNear; }, kLong));

  // What is written again lives; a tag that is depended on kills as well.
  Put("branch", {"key:project", "tag:branches"});
  Put("task", {"key:branch"});
  EXPECT_THAT(Alive(*us_), ElementsAre("global", "branch", "task", "other"));
  ASSERT_TRUE(us_->InvalidateTag(kSpace, "branches").ok());
  EXPECT_THAT(Alive(*us_), ElementsAre("global", "other"));
}

TEST_F(CascadeCallTest, FromTheCommandLine) {
  ASSERT_EQ(Ctl({"set", kSpace, "project", "v"}).exit_code, 0);
  const CommandResult set =
      Ctl({"set", kSpace, "task", "v", "--depends-on", "key:project", "--depends-on", "tag:t"});
  ASSERT_EQ(set.exit_code, 0) << set.err;
  const CommandResult explain = Ctl({"explain", kSpace, "task"});
  EXPECT_THAT(explain.out, HasSubstr("key#"));
  EXPECT_EQ(explain.out.find('\0'), std::string::npos);
  EXPECT_THAT(Alive(*us_), ElementsAre("project", "task"));
  EXPECT_EQ(Ctl({"invalidate", kSpace, "--prefix", "t:", "--cascade"}).exit_code, 2);
  const CommandResult killed = Ctl({"invalidate", kSpace, "project", "--cascade"});
  EXPECT_EQ(killed.exit_code, 0) << killed.err;
  EXPECT_THAT(Alive(*us_), IsEmpty());
}

}  // namespace
}  // namespace meridian
