#include "tests/support/test_cluster.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr absl::Duration kUpLimit = absl::Seconds(60);
constexpr absl::Duration kDownLimit = absl::Seconds(40);
constexpr absl::Duration kChangeLimit = absl::Minutes(3);
constexpr char kUpWord[] = "Ctrl-C stops it all.";  // The script's last line.
constexpr size_t kFailureLogLines = 25;

bool SomethingFailed() {
  const testing::TestSuite* suite = testing::UnitTest::GetInstance()->current_test_suite();
  return testing::Test::HasFailure() || (suite != nullptr && suite->failed_test_count() > 0);
}

}  // namespace

std::string TestCluster::Script() {
  const char* source = std::getenv("MERIDIAN_SOURCE_DIR");
  return absl::StrCat(source == nullptr ? "." : source, "/scripts/local-cluster");
}

absl::StatusOr<std::unique_ptr<TestCluster>> TestCluster::Start(const TestClusterOptions& options) {
  std::unique_ptr<TestCluster> cluster(new TestCluster);
  absl::Status status = cluster->Up(options);
  if (status.ok()) status = cluster->ReadAddresses();
  if (!status.ok()) return status;
  return cluster;
}

absl::Status TestCluster::Up(const TestClusterOptions& options) {
  ChildOptions child;
  child.words = {Script(),         "up",
                 "--dir",          dir_.path(),
                 "--bin",          ProgramPath(""),
                 "--regions",      absl::StrJoin(options.regions, ","),
                 "--nodes",        absl::StrCat(options.nodes),
                 "--coordinators", absl::StrCat(options.coordinators),
                 "--timeout",      absl::StrCat(absl::ToInt64Seconds(kUpLimit)),
                 "--foreground"};
  for (const std::string& flag : options.node_flags) {
    child.words.push_back(absl::StrCat("--node-flag=", flag));
  }
  for (const std::string& flag : options.coordinator_flags) {
    child.words.push_back(absl::StrCat("--coordinator-flag=", flag));
  }
  if (!options.redis.empty()) child.words.insert(child.words.end(), {"--redis", options.redis});
  if (options.redis_replica_reads) child.words.push_back("--redis-replica-reads");
  if (options.redis_tls) child.words.push_back("--redis-tls");
  if (options.origin) child.words.push_back("--origin");
  if (!options.fault_proxies.empty()) {
    child.words.insert(child.words.end(), {"--fault-proxies", options.fault_proxies});
  }
  if (!options.redis_maxmemory.empty()) {
    child.words.insert(child.words.end(), {"--redis-maxmemory", options.redis_maxmemory});
  }
  if (!options.wan_delay.empty()) {
    child.words.insert(child.words.end(), {"--wan-delay", options.wan_delay});
  }
  child.stdout_path = child.stderr_path = dir_ / "script.log";
  child.death_signal = SIGTERM;  // It takes its processes with it.
  absl::StatusOr<std::unique_ptr<ChildProcess>> script = ChildProcess::Start(child);
  if (!script.ok()) return script.status();
  script_ = *std::move(script);
  const auto is_up = [this] { return absl::StrContains(ReadFile(dir_ / "script.log"), kUpWord); };
  WaitUntil([&] { return is_up() || !script_->Running(); }, kUpLimit + absl::Seconds(10));
  if (is_up()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the cluster did not start:\n", ReadFile(dir_ / "script.log")));
}

absl::Status TestCluster::ReadAddresses() {
  const nlohmann::json file = nlohmann::json::parse(ReadFile(dir_ / "cluster.json"), nullptr,
                                                    /*allow_exceptions=*/false);
  if (!file.is_object()) return absl::InternalError("cluster.json is no JSON object");
  for (const auto& [region, parts] : file["regions"].items()) {
    for (const char* kind : {"coordinators", "nodes", "redis_servers"}) {
      for (const nlohmann::json& part : parts[kind]) {
        for (const auto& [field, value] : part.items()) {
          if (value.is_string()) addresses_[part["name"]][field] = value;
        }
      }
    }
    for (const nlohmann::json& node : parts["nodes"]) targets_[region].push_back(node["data"]);
  }
  if (file.contains("origin")) addresses_["origin"]["origin"] = file["origin"]["origin"];
  for (const nlohmann::json& proxy : file["proxies"]) {
    for (const char* kind : {"listen", "control"}) addresses_[proxy["name"]][kind] = proxy[kind];
  }
  return absl::OkStatus();
}

TestCluster::~TestCluster() {
  if (script_ == nullptr) return;
  if (SomethingFailed()) {
    for (const auto& [name, unused] : addresses_) {
      std::printf("--- %s\n%s\n", name.c_str(), LogTail(name, kFailureLogLines).c_str());
    }
  }
  script_->Signal(SIGTERM);
  if (!script_->WaitForExit(kDownLimit)) {
    ADD_FAILURE() << "the cluster does not stop:\n" << ReadFile(dir_ / "script.log");
  }
}

const std::string& TestCluster::Address(const std::string& process, const std::string& kind) const {
  const auto found = addresses_.find(process);
  if (found == addresses_.end() || found->second.count(kind) == 0) {
    std::fprintf(stderr, "no %s address of %s\n", kind.c_str(), process.c_str());
    std::abort();
  }
  return found->second.at(kind);
}

std::string TestCluster::LogTail(const std::string& process, size_t lines) const {
  const std::string text = ReadFile(dir_ / absl::StrCat("log/", process, ".log"));
  std::vector<std::string> all = absl::StrSplit(text, '\n');
  if (all.size() > lines) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(lines));
  return absl::StrJoin(all, "\n");
}

void TestCluster::Change(const std::string& command, const std::string& name,
                         const std::string& words) {
  std::vector<std::string> line = {Script(), command, "--dir", dir_.path(), name};
  if (!words.empty()) line.push_back(words);
  const CommandResult result = RunCommand(line, kChangeLimit);
  EXPECT_EQ(result.exit_code, 0) << command << " " << name << ": " << result.err;
}

void TestCluster::AddNode(const std::string& region) {
  Change("add", region);
  targets_.clear();
  const absl::Status read = ReadAddresses();
  EXPECT_TRUE(read.ok()) << std::string(read.message());
}

std::unique_ptr<Client> TestCluster::NewClient(const std::string& region,
                                               ClientOptions options) const {
  const auto found = targets_.find(region);
  if (found == targets_.end()) {
    ADD_FAILURE() << "no region " << region;
    return nullptr;
  }
  options.targets = found->second;
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(std::move(options));
  if (!client.ok()) {
    ADD_FAILURE() << std::string(client.status().message());
    return nullptr;
  }
  const absl::Status ready = (*client)->WaitUntilReady(absl::Seconds(20));
  EXPECT_TRUE(ready.ok()) << std::string(ready.message());
  return *std::move(client);
}

std::unique_ptr<TestCluster> StartTestCluster(const TestClusterOptions& options) {
  absl::StatusOr<std::unique_ptr<TestCluster>> cluster = TestCluster::Start(options);
  if (cluster.ok()) return *std::move(cluster);
  ADD_FAILURE() << std::string(cluster.status().message());
  return nullptr;
}

}  // namespace meridian
