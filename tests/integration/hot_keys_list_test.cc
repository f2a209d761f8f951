// The list of hot keys with real processes: of a region under a skewed load, before and after its
// leader dies; and of nodes that have no coordinator.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/child_process.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"
#include "tests/support/wire_error.h"

namespace meridian {
namespace {

using coordinator::v1::CoordinatorService;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr absl::Duration kLimit = absl::Seconds(30);
const char* const kCoordinators[] = {"us-coordinator-1", "us-coordinator-2"};

// Asks one node for one key again and again, every fourth time for one of others, until it ends.
class SkewedLoad {
 public:
  explicit SkewedLoad(const std::string& address)
      : stub_(NewStub<cache::v1::CacheService>(address)), thread_([this] { Run(); }) {}
  ~SkewedLoad() {
    stopped_ = true;
    thread_.join();
  }
  // Of the hot key, a second, since the load began.
  double rate() const {
    return static_cast<double>(reads_) / absl::ToDoubleSeconds(absl::Now() - began_);
  }

 private:
  void Run() {
    for (int i = 0; !stopped_; ++i) {
      const bool hot = i % 4 != 0;
      calls::GetAll(*stub_, {hot ? "hot" : absl::StrCat("other:", i % 40)});
      if (hot) ++reads_;
    }
  }

  const absl::Time began_ = absl::Now();
  const std::unique_ptr<calls::Stub> stub_;
  std::atomic<bool> stopped_{false};
  std::atomic<int64_t> reads_{0};
  std::thread thread_;
};

struct Listed {
  std::string coordinator;
  std::vector<coordinator::v1::HotKey> keys;
};

// What the leader lists; nullopt: nobody leads.
std::optional<Listed> AskLeader(const TestCluster& cluster) {
  for (const char* name : kCoordinators) {
    const auto stub = NewStub<CoordinatorService>(cluster.Address(name, "grpc"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
    coordinator::v1::ListHotKeysResponse response;
    if (!stub->ListHotKeys(&context, {}, &response).ok()) continue;
    return Listed{name, {response.keys().begin(), response.keys().end()}};
  }
  return std::nullopt;
}

CommandResult HotKeysCommand(std::vector<std::string> words) {
  words.insert(words.begin(), {ProgramPath("meridianctl"), "hotkeys", "--timeout", "10s"});
  return RunCommand(words, absl::Seconds(60));
}

TEST(HotKeysListTest, TheHottestKeyOfARegionIsFirstWithItsRateWhoeverLeads) {
  const auto cluster = StartTestCluster({.regions = {"us"},
                                         .nodes = 3,
                                         .coordinators = 2,
                                         .node_flags = {},
                                         .coordinator_flags = {"--lease-duration=1s"}});
  ASSERT_NE(cluster, nullptr);
  const SkewedLoad load(cluster->Address("us-node-1", "data"));
  const auto is_right = [&](const std::optional<Listed>& listed) {
    if (!listed.has_value() || listed->keys.empty()) return false;
    const auto& first = listed->keys.front();
    return first.namespace_() == calls::kSpace && first.key() == "hot" &&
           first.rate() > load.rate() / 2 && first.rate() < load.rate() * 2;
  };
  std::optional<Listed> listed;
  ASSERT_TRUE(WaitUntil([&] { return is_right(listed = AskLeader(*cluster)); }, kLimit))
      << "the rate is " << load.rate() << ", listed: "
      << (listed.has_value() && !listed->keys.empty() ? listed->keys[0].ShortDebugString() : "");

  const std::string leader = listed->coordinator;
  const CommandResult command =
      HotKeysCommand({"task", "--limit", "3", "--json", "--cluster", cluster->file()});
  EXPECT_EQ(command.exit_code, 0) << command.err;
  const nlohmann::json json = nlohmann::json::parse(command.out, nullptr, false);
  ASSERT_TRUE(json.contains("keys") && !json["keys"].empty()) << command.out;
  EXPECT_LE(json["keys"].size(), 3u);
  EXPECT_EQ(json["keys"][0].value("key", ""), "hot");
  EXPECT_GT(json["keys"][0].value("rate", 0.0), 0);
  EXPECT_EQ(HotKeysCommand({"--hour-of-week", "9", "--cluster", cluster->file()}).exit_code, 0);

  cluster->Kill(leader);
  EXPECT_TRUE(WaitUntil([&] { return is_right(listed = AskLeader(*cluster)); }, kLimit));
  EXPECT_NE(listed->coordinator, leader);
}

TEST(HotKeysListTest, NodesWithoutACoordinatorAreAskedThemselves) {
  auto started = TestNode::StartPeers(2);
  ASSERT_TRUE(started.ok()) << std::string(started.status().message());
  const auto nodes = *std::move(started);
  const auto stub = NewStub<cache::v1::CacheService>(nodes[0]->data());
  std::vector<std::string> keys;
  for (int i = 0; i < 10; ++i) keys.push_back(absl::StrCat("k\n", i));  // Of both nodes.
  const auto command = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--target", nodes[0]->data(), "--target", nodes[1]->data()});
    return HotKeysCommand(std::move(words));
  };
  // One read in sixteen is looked at, by chance.
  CommandResult shown;
  ASSERT_TRUE(WaitUntil(
      [&] {
        for (int i = 0; i < 20; ++i) calls::GetAll(*stub, keys);
        shown = command({"--limit", "10"});
        return std::count(shown.out.begin(), shown.out.end(), '\n') == 11;
      },
      kLimit))
      << shown.out << shown.err;
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, AllOf(StartsWith("namespace  key"), HasSubstr("reads/s"),
                               HasSubstr("task       k\\n3"), HasSubstr("k\\n7")));
  // Each node has its own.
  const auto of_node = [&](const TestNode& node) {
    const nlohmann::json json = nlohmann::json::parse(
        HotKeysCommand({"--admin", node.admin(), "--json"}).out, nullptr, false);
    return json.contains("keys") ? json["keys"].size() : 0;
  };
  EXPECT_EQ(of_node(*nodes[0]) + of_node(*nodes[1]), 10u);
  EXPECT_LT(of_node(*nodes[0]), 10u);
  const CommandResult of_one = HotKeysCommand({"--target", nodes[0]->data()});
  EXPECT_EQ(of_one.exit_code, 5);
  EXPECT_THAT(of_one.err, HasSubstr("without the keys of node n1"));

  EXPECT_THAT(command({"--hour-of-week", "9"}).err, HasSubstr("needs a coordinator"));
  EXPECT_EQ(command({"--hour-of-week", "168"}).exit_code, 2);
  EXPECT_EQ(command({"--limit", "0"}).exit_code, 2);
  EXPECT_THAT(command({"No-Name"}).err, HasSubstr("NAMESPACE_INVALID"));
  const auto admin = NewStub<admin::v1::AdminService>(nodes[0]->admin());
  grpc::ClientContext context;
  calls::SetDeadline(&context);
  admin::v1::ListHotKeysRequest request;
  request.set_limit(1001);
  admin::v1::ListHotKeysResponse response;
  EXPECT_THAT(admin->ListHotKeys(&context, request, &response),
              IsWireError(grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "limit"));
}

}  // namespace
}  // namespace meridian
