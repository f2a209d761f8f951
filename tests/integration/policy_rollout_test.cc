// Rollouts of policies with real processes: a region under load, its coordinators, meridianctl.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "tests/support/child_process.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using coordinator::v1::CoordinatorService;
using nlohmann::json;
using testing::HasSubstr;

constexpr absl::Duration kLimit = absl::Seconds(60);
const char* const kCoordinators[] = {"us-coordinator-1", "us-coordinator-2"};
const char* const kNodes[] = {"us-node-1", "us-node-2"};

constexpr char kGood[] = "namespaces: {task: {ttl: 5m, l1_ttl: 1m}}";
constexpr char kBetter[] = "namespaces: {task: {ttl: 10m, l1_ttl: 1m}}";

class PolicyRolloutTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ =
        StartTestCluster({.regions = {"us"},
                          .nodes = 2,
                          .coordinators = 2,
                          .node_flags = {},
                          .coordinator_flags = {"--lease-duration=1s", "--rollout-hold=6s",
                                                "--rollout-interval=1s", "--rollout-min-reads=60",
                                                // Two cores under a test: not what it is about.
                                                "--rollout-p99-rise=100"}});
    ASSERT_NE(cluster_, nullptr);
  }

  CommandResult Policy(std::vector<std::string> words) const {
    words.insert(words.begin(), {ProgramPath("meridianctl"), "policy"});
    words.insert(words.end(),
                 {"--region", "us", "--cluster", cluster_->file(), "--timeout", "10s"});
    return RunCommand(words, absl::Seconds(60));
  }
  CommandResult WithFile(const std::string& command, const std::string& yaml,
                         std::vector<std::string> words = {}) const {
    const std::string file = dir_ / "policies.yaml";
    std::ofstream(file) << yaml;
    words.insert(words.begin(), {command, file});
    return Policy(std::move(words));
  }
  // Of `policy status`; nullopt: nobody leads just now.
  std::optional<json> Status() const {
    const CommandResult result = Policy({"status", "--json"});
    if (result.exit_code != 0) return std::nullopt;
    return json::parse(result.out, nullptr, false);
  }
  // "running 10": the newest rollout.
  std::string State() const {
    const std::optional<json> status = Status();
    if (!status.has_value() || !status->contains("rollout")) return "";
    const json& rollout = (*status)["rollout"];
    return absl::StrCat(absl::AsciiStrToLower(rollout.value("state", "")), " ",
                        rollout.value("percent", 0));
  }
  bool AwaitState(const std::string& state) const {
    return WaitUntil([&] { return State() == state; }, kLimit);
  }
  // The file that a node names, and its TTL for `task`.
  std::string PoliciesOf(const char* node) const {
    const auto stub = NewStub<admin::v1::AdminService>(cluster_->Address(node, "admin"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    admin::v1::ListPoliciesResponse response;
    if (!stub->ListPolicies(&context, {}, &response).ok()) return "";
    std::string text = response.file();
    for (const admin::v1::Policy& policy : response.policies()) {
      if (policy.namespace_() != "task") continue;
      absl::StrAppend(&text, ": ", policy.yaml().substr(0, policy.yaml().find('\n')));
    }
    return text;
  }
  bool AwaitPolicies(const std::string& policies) const {
    return WaitUntil(
        [&] { return PoliciesOf(kNodes[0]) == policies && PoliciesOf(kNodes[1]) == policies; },
        kLimit);
  }
  std::string Leader() const {
    for (const char* name : kCoordinators) {
      const auto stub = NewStub<CoordinatorService>(cluster_->Address(name, "grpc"));
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
      coordinator::v1::GetStatusResponse status;
      if (stub->GetStatus(&context, {}, &status).ok() && status.leader()) return name;
    }
    return "";
  }
  // A version that is in all slots.
  void PutInForce(const std::string& yaml) {
    const CommandResult applied = WithFile("apply", yaml, {"--plan", "100"});
    ASSERT_EQ(applied.exit_code, 0) << applied.err;
    ASSERT_TRUE(WaitUntil([&] { return Policy({"promote"}).exit_code == 0; }, kLimit));
    ASSERT_EQ(State(), "done 100");
  }

  const TempDir dir_;
  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(PolicyRolloutTest, Requirement1_14_ByHandAVersionReachesEveryNodeAndComesBack) {
  ASSERT_NO_FATAL_FAILURE(PutInForce(kGood));
  EXPECT_TRUE(AwaitPolicies("version 1 of the coordinator: ttl: 5m"));
  const CommandResult applied = WithFile("apply", kBetter, {"--hold", "1h", "--comment", "longer"});
  ASSERT_EQ(applied.exit_code, 0) << applied.err;
  EXPECT_THAT(applied.out, HasSubstr("task.ttl: 5m -> 10m"));
  EXPECT_TRUE(
      AwaitPolicies("version 1 of the coordinator, version 2 in 10 % of the slots: ttl: 5m"));

  // Half way the leader dies.
  const std::string leader = Leader();
  ASSERT_NE(leader, "");
  cluster_->Kill(leader);
  ASSERT_TRUE(AwaitState("running 10"));
  EXPECT_EQ(Policy({"promote"}).exit_code, 0);
  EXPECT_TRUE(
      AwaitPolicies("version 1 of the coordinator, version 2 in 50 % of the slots: ttl: 5m"));
  EXPECT_EQ(Policy({"promote", "2"}).exit_code, 0);
  EXPECT_TRUE(
      AwaitPolicies("version 1 of the coordinator, version 2 in 100 % of the slots: ttl: 10m"));
  EXPECT_EQ(Policy({"promote"}).exit_code, 0);
  EXPECT_TRUE(AwaitPolicies("version 2 of the coordinator: ttl: 10m"));
  EXPECT_EQ(Policy({"rollback"}).exit_code, 0);
  EXPECT_TRUE(AwaitPolicies("version 1 of the coordinator: ttl: 5m"));
  const CommandResult history = Policy({"history"});
  EXPECT_THAT(history.out, HasSubstr("rolled_back"));
  EXPECT_THAT(history.out, HasSubstr("longer"));
  EXPECT_EQ(Policy({"show", "2"}).out, kBetter);

  // A node that comes back is told again.
  cluster_->Kill("us-node-2");
  cluster_->Restart("us-node-2");
  EXPECT_TRUE(AwaitPolicies("version 1 of the coordinator: ttl: 5m"));
}

TEST_F(PolicyRolloutTest, BadFilesAreRefusedWithFieldLineAndReason) {
  const CommandResult bad = WithFile("apply", "namespaces:\n  task:\n    ttl: soon\n");
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("policies:3: namespaces.task.ttl: 'soon'"));
  EXPECT_EQ(WithFile("validate", "namespaces: {task: {tll: 5s}}").exit_code, 1);
  EXPECT_EQ(WithFile("validate", kGood).out, "valid\n");
  EXPECT_THAT(WithFile("diff", kGood).out, HasSubstr("task.ttl: 1h -> 5m"));
  EXPECT_THAT(WithFile("apply", kGood, {"--plan", "10,50"}).err, HasSubstr("plan.percents"));
  EXPECT_EQ(State(), "") << "nothing was begun";
}

}  // namespace
}  // namespace meridian
