// The judge of the other tests must see what is wrong, or they prove nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "client/cpp/client.h"
#include "tests/integration/checked_load.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::Duration kLimit = absl::Seconds(20);

class CheckedLoadTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<TestNode>> node = TestNode::Start("n0");
    ASSERT_TRUE(node.ok()) << std::string(node.status().message());
    node_ = *std::move(node);
    ClientOptions options;
    options.targets = {node_->data()};
    options.get_timeout = options.set_timeout = absl::Seconds(5);
    absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options);
    ASSERT_TRUE(client.ok()) << std::string(client.status().message());
    client_ = *std::move(client);
  }

  std::unique_ptr<TestNode> node_;
  std::unique_ptr<Client> client_;
};

TEST_F(CheckedLoadTest, ASoundCacheIsFoundSound) {
  CheckedLoad load(*client_, {.keys = 8});
  ASSERT_TRUE(load.Progress(3000));
  load.Stop();
  load.CheckAllAtRest();
  EXPECT_THAT(load.wrong(), IsEmpty());
  EXPECT_EQ(load.errors(), 0u) << load.error_text();
}

TEST_F(CheckedLoadTest, AValueThatNobodyWroteIsWrong) {
  CheckedLoad load(*client_, {.name = "foreign", .keys = 8});
  ASSERT_TRUE(WaitUntil(
      [&] {
        EXPECT_TRUE(client_->Set("load", "foreign:0", "foreign:1|0").ok());
        return !load.wrong().empty();
      },
      kLimit));
  load.Stop();
  EXPECT_THAT(load.wrong(), Contains(HasSubstr("was never written to it")));
}

TEST_F(CheckedLoadTest, AWriteThatIsLostIsWrong) {
  CheckedLoad load(*client_, {.name = "lost", .keys = 8});
  ASSERT_TRUE(WaitUntil(
      [&] {
        EXPECT_TRUE(client_->Invalidate("load", "lost:0").ok());
        return !load.wrong().empty();
      },
      kLimit));
  load.Stop();
  EXPECT_THAT(load.wrong(), Each(HasSubstr("lost:0: missed")));
}

TEST_F(CheckedLoadTest, AnOldValueUnderANewVersionIsWrong) {
  CheckedLoad load(*client_, {.name = "old", .keys = 8});
  std::string old;
  ASSERT_TRUE(WaitUntil(
      [&] {
        const GetResult read = client_->Get("load", "old:0");
        if (old.empty()) old = read.value;
        return read.hit() && read.value != old;
      },
      kLimit));
  ASSERT_TRUE(WaitUntil(
      [&] {
        EXPECT_TRUE(client_->Set("load", "old:0", old).ok());
        return !load.wrong().empty();
      },
      kLimit));
  load.Stop();
  EXPECT_THAT(load.wrong(), Each(HasSubstr("is behind")));
}

}  // namespace
}  // namespace meridian
