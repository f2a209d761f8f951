#include "server/policy/policy_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/temp_dir.h"

namespace meridian {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr char kOld[] = "namespaces:\n  task: {ttl: 30s}\n";
constexpr char kNew[] = "namespaces:\n  task: {ttl: 60s}\n";
constexpr char kWrong[] = "namespaces:\n  task: {ttl: soon}\n";

class PolicyStoreTest : public testing::Test {
 protected:
  void Start(const std::string& file, const std::string& text = kOld) {
    store_ = std::make_unique<PolicyStore>(
        PolicyStoreOptions{.file = file, .text = text}, executor_, clock_,
        [this](std::shared_ptr<const PolicyTable> table) { applied_.push_back(std::move(table)); },
        [this](const PolicyStoreStatus& status) { reports_.push_back(status); });
    store_->Start();
  }
  void Poll() { executor_.RunFor(absl::Seconds(5)); }
  absl::Duration Ttl() { return applied_.back()->Of("task").ttl; }

  const TempDir dir_;
  const std::string file_ = dir_ / "policies.yaml";
  FakeClock clock_;
  FakeExecutor executor_{clock_};
  std::vector<std::shared_ptr<const PolicyTable>> applied_;
  std::vector<PolicyStoreStatus> reports_;
  std::unique_ptr<PolicyStore> store_;
};

TEST_F(PolicyStoreTest, AnEditIsInForceAfterThePollAndATouchIsNone) {
  WriteFile(file_, kOld);
  Start(file_);
  Poll();
  WriteFile(file_, kOld);
  Poll();
  EXPECT_THAT(applied_, SizeIs(0));
  WriteFile(file_, kNew);
  EXPECT_THAT(applied_, SizeIs(0));
  Poll();
  ASSERT_THAT(applied_, SizeIs(1));
  EXPECT_EQ(Ttl(), absl::Seconds(60));
  EXPECT_EQ(store_->Status().reloads, 1);
  EXPECT_EQ(store_->Status().loaded_at, clock_.Now());
  Poll();
  EXPECT_THAT(applied_, SizeIs(1));
  EXPECT_THAT(reports_, SizeIs(1));
}

TEST_F(PolicyStoreTest, AWrongFileKeepsWhatIsInForceAndIsToldOnceForEachText) {
  WriteFile(file_, kWrong);
  Start(file_);
  Poll();
  Poll();
  EXPECT_THAT(applied_, SizeIs(0));
  ASSERT_THAT(reports_, SizeIs(1));
  EXPECT_THAT(reports_[0].problem, HasSubstr(file_ + ":2: namespaces.task.ttl: "));
  EXPECT_EQ(store_->Status().failed_reloads, 1);
  WriteFile(file_, std::string(kWrong) + "# still\n");
  Poll();
  EXPECT_EQ(store_->Status().failed_reloads, 2);
  // Back to what is in force: the problem is over.
  WriteFile(file_, kOld);
  Poll();
  ASSERT_THAT(applied_, SizeIs(1));
  EXPECT_EQ(Ttl(), absl::Seconds(30));
  EXPECT_EQ(store_->Status().problem, "");
}

TEST_F(PolicyStoreTest, AFileThatIsGoneIsAProblemUntilItIsBack) {
  WriteFile(file_, kOld);
  Start(file_);
  std::filesystem::remove(file_);
  Poll();
  Poll();
  EXPECT_THAT(store_->Status().problem, HasSubstr("cannot be read"));
  EXPECT_EQ(store_->Status().failed_reloads, 1);
  EXPECT_THAT(applied_, SizeIs(0));
  WriteFile(file_, kNew);
  Poll();
  ASSERT_THAT(applied_, SizeIs(1));
  EXPECT_EQ(store_->Status().problem, "");
}

// An editor that empties the file before it writes must not take the policies away for a poll.
TEST_F(PolicyStoreTest, AnEmptyFileIsAProblemAndKeepsWhatIsInForce) {
  WriteFile(file_, kOld);
  Start(file_);
  int failed = 0;
  for (const char* text : {"", " \n\t\n", "# nothing\n---\n"}) {
    WriteFile(file_, text);
    Poll();
    EXPECT_THAT(applied_, SizeIs(0));
    EXPECT_EQ(store_->Status().failed_reloads, ++failed);
    EXPECT_THAT(store_->Status().problem, HasSubstr("namespaces: {}"));
  }
  WriteFile(file_, kNew);
  Poll();
  ASSERT_THAT(applied_, SizeIs(1));
  EXPECT_EQ(store_->Status().problem, "");
  WriteFile(file_, "namespaces: {}\n");
  Poll();
  ASSERT_THAT(applied_, SizeIs(2));
  EXPECT_EQ(Ttl(), NamespacePolicy().ttl);
}

TEST_F(PolicyStoreTest, AFileThatWasEmptyFromTheBeginningIsNoProblem) {
  WriteFile(file_, "");
  Start(file_, "");
  store_->Reload();
  executor_.RunDue();
  EXPECT_EQ(store_->Status().failed_reloads, 0);
  WriteFile(file_, kNew);
  Poll();
  WriteFile(file_, "");
  Poll();
  EXPECT_EQ(store_->Status().failed_reloads, 1);
  EXPECT_EQ(Ttl(), absl::Seconds(60));
}

TEST_F(PolicyStoreTest, APipeInTheFilesPlaceIsAProblemAndNotWaitedFor) {
  WriteFile(file_, kOld);
  Start(file_);
  std::filesystem::remove(file_);
  ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0);
  Poll();
  EXPECT_THAT(store_->Status().problem, HasSubstr("is not a file"));
  EXPECT_THAT(applied_, SizeIs(0));
}

TEST_F(PolicyStoreTest, ALinkThatIsSwappedIsFollowed) {
  // As Kubernetes mounts a ConfigMap: the file is reached through a link to a folder.
  for (const char* version : {"1", "2"}) std::filesystem::create_directory(dir_ / version);
  WriteFile(dir_ / "1" + "/p.yaml", kOld);
  WriteFile(dir_ / "2" + "/p.yaml", kNew);
  std::filesystem::create_directory_symlink(dir_ / "1", dir_ / "data");
  Start(dir_ / "data" + "/p.yaml");
  Poll();
  EXPECT_THAT(applied_, SizeIs(0));
  std::filesystem::create_directory_symlink(dir_ / "2", dir_ / "next");
  std::filesystem::rename(dir_ / "next", dir_ / "data");
  Poll();
  ASSERT_THAT(applied_, SizeIs(1));
  EXPECT_EQ(Ttl(), absl::Seconds(60));
}

TEST_F(PolicyStoreTest, WhoAsksNeedNotWaitAndHearsEvenThatNothingChanged) {
  WriteFile(file_, kNew);
  Start(file_);
  store_->Reload();
  EXPECT_THAT(applied_, SizeIs(0)) << "on the executor, not on the caller's stack";
  executor_.RunDue();
  EXPECT_THAT(applied_, SizeIs(1));
  store_->Reload();
  executor_.RunDue();
  EXPECT_THAT(reports_, SizeIs(2));
}

}  // namespace
}  // namespace meridian
