// Rollouts of policies with real processes: a region under load, its coordinators, meridianctl.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
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
constexpr char kBad[] = "namespaces: {task: {ttl: 1s}}";

// Reads keys in turn through one node, and writes what is not there, as a service does.
class ServiceLoad {
 public:
  explicit ServiceLoad(const std::string& address)
      : stub_(NewStub<cache::v1::CacheService>(address)), thread_([this] { Run(); }) {}
  ~ServiceLoad() {
    stopped_ = true;
    thread_.join();
  }

 private:
  static constexpr int kKeys = 3000;
  static constexpr int kBatch = 100;

  void Run() {
    for (int turn = 0; !stopped_; ++turn) {
      std::vector<std::string> keys;
      for (int i = 0; i < kBatch; ++i) {
        keys.push_back(absl::StrCat("task:", (turn * kBatch + i) % kKeys));
      }
      const cache::v1::BatchGetResponse found = calls::GetAll(*stub_, keys);
      std::vector<std::string> absent;
      for (int i = 0; i < found.entries_size(); ++i) {
        if (found.entries(i).status() == cache::v1::ENTRY_STATUS_MISS) {
          absent.push_back(keys[static_cast<size_t>(i)]);
        }
      }
      if (!absent.empty()) calls::SetAll(*stub_, absent, "value");
      // Each key once in three seconds: a life of 1 s is too short for any of them.
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

  const std::unique_ptr<calls::Stub> stub_;
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

class PolicyRolloutTest : public testing::Test {
 protected:
  void SetUp() override {
    // Two cores under a test: not what it is about.
    StartWith({"--rollout-p99-rise=100"}, "");
  }
  void StartWith(std::vector<std::string> coordinator_flags, const std::string& fault_proxies) {
    for (const char* flag : {"--lease-duration=1s", "--rollout-hold=6s", "--rollout-interval=1s",
                             "--rollout-min-reads=60"}) {
      coordinator_flags.push_back(flag);
    }
    cluster_ = StartTestCluster({.regions = {"us"},
                                 .nodes = 2,
                                 .coordinators = 2,
                                 .node_flags = {},
                                 .coordinator_flags = std::move(coordinator_flags),
                                 .fault_proxies = fault_proxies});
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
    return PoliciesAt(cluster_->Address(node, "admin"));
  }
  static std::string PoliciesAt(const std::string& admin) {
    const auto stub = NewStub<admin::v1::AdminService>(admin);
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
  // What the cache holds lives on as it was written: a trial is bad from the next write on.
  void WriteAllAnew() const {
    const auto stub = NewStub<cache::v1::CacheService>(cluster_->Address(kNodes[0], "data"));
    for (int i = 0; i < 30; ++i) {
      std::vector<std::string> keys;
      for (int k = 0; k < 100; ++k) keys.push_back(absl::StrCat("task:", i * 100 + k));
      calls::SetAll(*stub, keys, "anew");
    }
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

  // One that starts when there is no coordinator finds it in their Redis.
  std::string coordinators;
  for (const char* name : kCoordinators) {
    absl::StrAppend(&coordinators, coordinators.empty() ? "" : ",",
                    cluster_->Address(name, "grpc"));
    if (name != leader) cluster_->Kill(name);  // That one is dead already.
  }
  TestNodeOptions options;
  options.until_ready = false;
  const auto late = TestNode::Start("us-node-9",
                                    {"--region=us", "--coordinators=" + coordinators,
                                     "--redis=redis://" + cluster_->Address("us-redis", "redis")},
                                    options);
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_TRUE(WaitUntil(
      [&] { return PoliciesAt((*late)->admin()) == "version 1 of the coordinator: ttl: 5m"; },
      kLimit))
      << PoliciesAt((*late)->admin());
}

// Redis forgets everything while a coordinator leads, and once more while it is away.
TEST_F(PolicyRolloutTest, ARedisThatLosesItsDataTakesNoPoliciesAndNoMembers) {
  ASSERT_NO_FATAL_FAILURE(PutInForce(kGood));
  ASSERT_NO_FATAL_FAILURE(PutInForce(kBetter));
  ASSERT_TRUE(AwaitPolicies("version 2 of the coordinator: ttl: 10m"));
  const auto losses = [this](const std::string& coordinator) {
    const absl::StatusOr<HttpPage> page =
        HttpGet(cluster_->Address(coordinator, "http"), "/metrics");
    return page.ok() ? MetricSum(page->body, "meridian_coordinator_store_losses_total") : -1;
  };
  const std::string port = cluster_->Address("us-redis", "redis");
  const auto flush = [&port] {
    return RunCommand({"redis-cli", "-p", port.substr(port.rfind(':') + 1), "FLUSHALL"}).out;
  };
  const std::string leader = Leader();
  ASSERT_NE(leader, "");
  ASSERT_THAT(flush(), HasSubstr("OK"));
  ASSERT_TRUE(WaitUntil([&] { return losses(leader) == 1; }, kLimit)) << losses(leader);
  EXPECT_EQ(Leader(), leader);
  cluster_->Kill(leader);
  ASSERT_TRUE(AwaitState("done 100"));
  const std::string next = Leader();
  EXPECT_NE(next, leader);
  EXPECT_TRUE(AwaitPolicies("version 2 of the coordinator: ttl: 10m"));
  EXPECT_EQ(Policy({"rollback"}).exit_code, 0) << "it knows what was before";
  EXPECT_TRUE(AwaitPolicies("version 1 of the coordinator: ttl: 5m"));

  cluster_->Restart(leader);
  cluster_->Kill("us-redis");
  ASSERT_TRUE(WaitUntil([&] { return Leader().empty(); }, kLimit));
  cluster_->Restart("us-redis");
  ASSERT_TRUE(WaitUntil([&] { return Leader() == next; }, kLimit)) << "who led last knows";
  EXPECT_EQ(losses(next), 1);
  EXPECT_TRUE(AwaitState("rolled_back 0"));
  EXPECT_TRUE(AwaitPolicies("version 1 of the coordinator: ttl: 5m"));
}

TEST_F(PolicyRolloutTest, BadFilesAreRefusedWithFieldLineAndReason) {
  const CommandResult bad = WithFile("apply", "namespaces:\n  task:\n    ttl: soon\n");
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("policies:3: namespaces.task.ttl: 'soon'"));
  EXPECT_THAT(WithFile("validate", "namespaces: {task: {tll: 5s}}").err,
              HasSubstr("policies:1: namespaces.task.tll"));
  EXPECT_THAT(WithFile("validate", "namespaces: {Task!: {ttl: 5s}}").err, HasSubstr("Task!"));
  EXPECT_THAT(WithFile("apply", kGood, {"--p99-rise", "-1"}).err,
              HasSubstr("plan.guards.max_p99_rise"));
  EXPECT_THAT(Policy({"promote", "7"}).err, HasSubstr("there is no rollout of 7"));
  EXPECT_EQ(WithFile("validate", kGood).out, "valid\n");
  EXPECT_THAT(WithFile("diff", kGood).out, HasSubstr("task.ttl: 1h -> 5m"));
  EXPECT_THAT(WithFile("apply", kGood, {"--plan", "10,50"}).err, HasSubstr("plan.percents"));
  EXPECT_EQ(State(), "") << "nothing was begun";
}

// In all slots there is nothing to compare with but what was before, which a new leader has not
// seen.
TEST_F(PolicyRolloutTest, Requirement0_21_ABadVersionInAllSlotsIsTakenBackThoughTheLeaderDies) {
  ASSERT_NO_FATAL_FAILURE(PutInForce(kGood));
  const ServiceLoad load(cluster_->Address(kNodes[0], "data"));
  std::this_thread::sleep_for(std::chrono::seconds(4));  // Every key is there.
  ASSERT_EQ(WithFile("apply", kBad, {"--hold", "1h", "--plan", "100"}).exit_code, 0);
  cluster_->Kill(Leader());
  ASSERT_TRUE(
      AwaitPolicies("version 1 of the coordinator, version 2 in 100 % of the slots: ttl: 1s"));
  WriteAllAnew();
  ASSERT_TRUE(AwaitState("rolled_back 0")) << Status().value_or(json()).dump();
  EXPECT_EQ((*Status())["rollout"]["events"].back()["by"], "hit_rate");
  EXPECT_TRUE(AwaitPolicies("version 1 of the coordinator: ttl: 5m"));
}

TEST_F(PolicyRolloutTest, Requirement0_21_ABadVersionInACanaryIsTakenBackByItself) {
  ASSERT_NO_FATAL_FAILURE(PutInForce(kGood));
  const ServiceLoad load(cluster_->Address(kNodes[0], "data"));
  std::this_thread::sleep_for(std::chrono::seconds(4));  // Every key is there.
  ASSERT_EQ(WithFile("apply", kBad, {"--hold", "1h"}).exit_code, 0);
  WriteAllAnew();
  ASSERT_TRUE(AwaitState("rolled_back 0"));
  EXPECT_TRUE(AwaitPolicies("version 1 of the coordinator: ttl: 5m"));
  const json rollout = (*Status())["rollout"];
  EXPECT_EQ(rollout["events"].back()["what"], "rolled_back");
  EXPECT_EQ(rollout["events"].back()["by"], "hit_rate");
  EXPECT_THAT(rollout.value("reason", ""), HasSubstr("task: hit_rate"));
  ASSERT_FALSE(rollout["readings"].empty());
  EXPECT_TRUE(rollout["readings"][0].value("breached", false)) << rollout["readings"].dump();

  // The dashboard's source says the same.
  const absl::StatusOr<HttpPage> page =
      HttpGet(cluster_->Address(Leader(), "http"), "/v1/cluster/rollouts");
  ASSERT_TRUE(page.ok() && page->code == 200) << page.status();
  const json listed = json::parse(page->body, nullptr, false)["rollouts"];
  ASSERT_EQ(listed.size(), 2u) << page->body;
  EXPECT_EQ(listed[0]["state"], "ROLLED_BACK");
  EXPECT_EQ(listed[0]["readings"], rollout["readings"]);
  EXPECT_EQ(listed[1]["state"], "DONE");
}

// Redis is behind a proxy that makes it slow; the guards are as they are shipped.
class PolicyRolloutLatencyTest : public PolicyRolloutTest {
 protected:
  void SetUp() override { StartWith({}, "redis"); }
};

// Every read is a hit, so that hits and errors say nothing: but those of the trial are of L2.
TEST_F(PolicyRolloutLatencyTest, Requirement0_21_AVersionThatMakesReadsSlowIsTakenBackByItsP99) {
  ASSERT_NO_FATAL_FAILURE(PutInForce(kGood));
  const ServiceLoad load(cluster_->Address(kNodes[0], "data"));
  std::this_thread::sleep_for(std::chrono::seconds(4));  // Every key is there.
  cluster_->Fault("us-redis-proxy", "down.delay=20ms");
  ASSERT_EQ(
      WithFile("apply", "namespaces: {task: {ttl: 5m, l1_ttl: 1ms}}", {"--hold", "1h"}).exit_code,
      0);
  ASSERT_EQ(State(), "running 10");
  WriteAllAnew();
  ASSERT_TRUE(AwaitState("rolled_back 0")) << Status().value_or(json()).dump();
  const json rollout = (*Status())["rollout"];
  EXPECT_EQ(rollout["events"].back()["what"], "rolled_back");
  EXPECT_EQ(rollout["events"].back()["by"], "p99") << rollout["events"].dump();
  EXPECT_THAT(rollout.value("reason", ""), HasSubstr("task: p99"));
  for (const json& reading : rollout["readings"]) {
    EXPECT_EQ(reading.value("breached", false), reading["guard"] == "p99") << reading.dump();
  }
  EXPECT_TRUE(AwaitPolicies("version 1 of the coordinator: ttl: 5m"));
}

TEST_F(PolicyRolloutTest, Requirement0_20_AGoodVersionReachesAllSlotsThoughTheLeaderDies) {
  ASSERT_NO_FATAL_FAILURE(PutInForce(kGood));
  const ServiceLoad load(cluster_->Address(kNodes[0], "data"));
  std::this_thread::sleep_for(std::chrono::seconds(4));
  ASSERT_EQ(WithFile("apply", kBetter).exit_code, 0);
  ASSERT_TRUE(AwaitState("running 50"));
  cluster_->Kill(Leader());
  ASSERT_TRUE(WaitUntil(
      [&] {
        const std::optional<json> status = Status();
        return status.has_value() &&
               absl::StrContains((*status)["rollout"].value("waits_for", ""), "its hold time");
      },
      kLimit));
  ASSERT_TRUE(AwaitState("done 100"));
  EXPECT_TRUE(AwaitPolicies("version 2 of the coordinator: ttl: 10m"));
  // Because it was seen to be good, not because nobody knew.
  const json rollout = (*Status())["rollout"];
  for (const json& event : rollout["events"]) EXPECT_EQ(event.value("reason", ""), "");
  ASSERT_EQ(rollout["readings"].size(), 3u);
  for (const json& reading : rollout["readings"])
    EXPECT_TRUE(reading.value("sure", false)) << reading;
}

}  // namespace
}  // namespace meridian
