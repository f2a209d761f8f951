// A region that grows, shrinks and is restarted node by node under load: nobody notices.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/checked_load.h"
#include "tests/support/child_process.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::Duration kStaleBound = absl::Seconds(1);

class ScaleTest : public ::testing::Test {
 protected:
  void StartWith(int nodes) {
    TestClusterOptions options;
    options.regions = {"us"};
    options.nodes = nodes;
    options.coordinator_flags = {"--restart-absence=3s"};  // Some go for good.
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    ClientOptions patient;  // On a machine that does other things, too.
    patient.get_timeout = patient.set_timeout = patient.batch_timeout = absl::Seconds(5);
    client_ = cluster_->NewClient("us", patient);
    ASSERT_NE(client_, nullptr);
    CheckedLoadOptions load;
    load.stale_bound = kStaleBound;
    load_ = std::make_unique<CheckedLoad>(*client_, load);
    ASSERT_TRUE(load_->Progress(500));
  }
  // Whatever happened since, no call failed and no answer was wrong.
  void ExpectUnnoticed(const std::string& what) {
    EXPECT_TRUE(load_->Progress(500)) << what;
    EXPECT_EQ(load_->errors(), 0u) << what << ": " << load_->error_text();
    EXPECT_THAT(load_->wrong(), IsEmpty()) << what;
  }
  // Neither now nor for a moment before: who is told to go is not dead.
  void ExpectNobodyMissed() {
    const CommandResult alerts = RunCommand({ProgramPath("meridianctl"), "alerts", "--all",
                                             "--cluster", cluster_->file(), "--region", "us"});
    EXPECT_EQ(alerts.exit_code, 0) << alerts.err;
    EXPECT_THAT(alerts.out, Not(HasSubstr("MeridianNodeDown")));
  }
  CommandResult Drain(const std::string& node) {
    return RunCommand({ProgramPath("meridianctl"), "drain", node, "--target",
                       cluster_->Address("us-node-1", "data"), "--yes"});
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<CheckedLoad> load_;
};

TEST_F(ScaleTest, NodesJoinAndLeaveWithoutAFailedCall) {
  ASSERT_NO_FATAL_FAILURE(StartWith(2));
  for (int node = 3; node <= 5; ++node) {
    cluster_->AddNode("us");
    ExpectUnnoticed(absl::StrCat("node ", node, " joined"));
  }
  for (const char* node : {"us-node-2", "us-node-4"}) {
    cluster_->Drain(node);
    ExpectUnnoticed(absl::StrCat(node, " left"));
  }
  cluster_->RestartRolling("us");
  ExpectUnnoticed("the other three were restarted");
  ExpectNobodyMissed();
  load_->Stop();
  load_->CheckAllAtRest();
  EXPECT_THAT(load_->wrong(), IsEmpty());
}

TEST_F(ScaleTest, AnOperatorDrainsANodeAndNotTheLastOne) {
  ASSERT_NO_FATAL_FAILURE(StartWith(2));
  const CommandResult unknown = Drain("us-node-7");
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err,
              HasSubstr("no node is called us-node-7; there are us-node-1, us-node-2"));
  const CommandResult drained = Drain("us-node-2");
  EXPECT_EQ(drained.exit_code, 0) << drained.err;
  EXPECT_THAT(drained.out, HasSubstr("us-node-2: drained, and ends"));
  EXPECT_TRUE(
      WaitUntil([&] { return absl::StrContains(cluster_->LogTail("us-node-2", 3), "stopped"); },
                absl::Seconds(10)));
  ExpectUnnoticed("us-node-2 was drained");
  absl::SleepFor(absl::Seconds(2));  // The coordinator looks once a second.
  ExpectNobodyMissed();
  const CommandResult last = Drain("us-node-1");
  EXPECT_EQ(last.exit_code, 1);
  EXPECT_THAT(last.err, HasSubstr("LAST_NODE"));
  ExpectUnnoticed("us-node-1 is there");
}

}  // namespace
}  // namespace meridian
