// PacedLoad notices what it is there to notice: the tests with regions rely on it.

#include "tests/support/paced_load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr int kKeys = 20;

class PacedLoadTest : public testing::Test {
 protected:
  void SetUp() override {
    auto node = TestNode::Start("paced");
    ASSERT_TRUE(node.ok()) << node.status();
    node_ = *std::move(node);
    auto client = Client::Create({.targets = {node_->data()}});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    PacedLoadOptions options;
    options.writes_per_second = 2000;
    options.reads_per_second = 500;
    options.deletes = 0.5;
    options.keys = kKeys;
    load_ = std::make_unique<PacedLoad>(*client_, options);
    ASSERT_TRUE(
        WaitUntil([&] { return load_->writes() > 1000 && load_->reads() > 100; }, kPatience));
  }

  // A key that is there, or (false) one that was deleted last.
  std::string AKey(bool there) {
    for (int i = 0; i < kKeys; ++i) {
      std::string key = absl::StrCat("paced:", i);
      if (client_->Get("task", key).hit() == there) return key;
    }
    ADD_FAILURE() << "there is no such key";
    return "";
  }

  std::unique_ptr<TestNode> node_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<PacedLoad> load_;
};

TEST_F(PacedLoadTest, ASoundCacheHasNoDifferences) {
  load_->Stop();
  EXPECT_EQ(load_->failed(), 0u) << load_->first_error();
  EXPECT_GT(load_->deletes(), load_->writes() / 4);
  EXPECT_THAT(load_->Differences(*client_), IsEmpty());
}

TEST_F(PacedLoadTest, WhatIsThereAlthoughItWasDeletedIsFound) {
  load_->Stop();
  ASSERT_TRUE(client_->Set("task", AKey(false), "back from the dead").ok());
  EXPECT_THAT(load_->Differences(*client_), ElementsAre(HasSubstr("is deleted, and can be read")));
}

TEST_F(PacedLoadTest, WhatIsGoneIsFound) {
  load_->Stop();
  ASSERT_TRUE(client_->Invalidate("task", AKey(true)).ok());
  EXPECT_THAT(load_->Differences(*client_), ElementsAre(HasSubstr("was written, and is a miss")));
}

TEST_F(PacedLoadTest, AnotherVersionIsFound) {
  load_->Stop();
  ASSERT_TRUE(client_->Set("task", AKey(true), "somebody else's").ok());
  EXPECT_THAT(load_->Differences(*client_), ElementsAre(HasSubstr("another version")));
}

TEST_F(PacedLoadTest, FailuresAreCountedAndTheFirstIsShown) {
  node_->process().Kill();
  EXPECT_TRUE(WaitUntil([&] { return load_->failed() > 0; }, kPatience));
  load_->Stop();
  EXPECT_NE(load_->first_error(), "");
}

}  // namespace
}  // namespace meridian
