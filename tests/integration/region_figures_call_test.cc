// Figures of a region with real processes: what the leading coordinator answers over HTTP is what
// its nodes count; a node that dies is an alert within 5 s; what is recommended to a badly
// configured namespace brings what it promised.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/integration/cache_calls.h"
#include "tests/integration/http_json.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using nlohmann::json;

constexpr absl::Duration kLimit = absl::Seconds(60);
// The load asks 400 times a second.
constexpr double kReads = 6000;

// A service that looks aside: it stores what it does not find. Each key is asked for about once a
// second, at random.
class LookAsideLoad {
 public:
  explicit LookAsideLoad(const std::string& address)
      : stub_(NewStub<cache::v1::CacheService>(address)), thread_([this] { Run(); }) {}
  ~LookAsideLoad() {
    stopped_ = true;
    thread_.join();
  }

 private:
  static constexpr int kKeys = 400;
  static constexpr absl::Duration kStep = absl::Milliseconds(10);
  static constexpr int kKeysOfAStep = 4;

  void Run() {
    std::mt19937 random(7);
    absl::Time next = absl::Now();
    while (!stopped_) {
      std::vector<std::string> keys;
      for (int i = 0; i < kKeysOfAStep; ++i) {
        keys.push_back(absl::StrCat("k", random() % kKeys));
      }
      const cache::v1::BatchGetResponse answer = calls::GetAll(*stub_, keys);
      for (int i = 0; i < answer.entries_size(); ++i) {
        if (answer.entries(i).status() == cache::v1::ENTRY_STATUS_OK) continue;
        cache::v1::SetEntry entry;
        entry.set_key(keys[static_cast<size_t>(i)]);
        entry.set_value(std::string(100, 'v'));
        calls::SetOne(*stub_, entry);
      }
      next += kStep;
      absl::SleepFor(next - absl::Now());
    }
  }

  const std::unique_ptr<calls::Stub> stub_;
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

TEST(RegionFiguresCallTest, CountsAreThoseOfTheNodesAndADeadNodeIsAnAlertWithinFiveSeconds) {
  const auto cluster = StartTestCluster({.regions = {"us"}, .nodes = 3});
  ASSERT_NE(cluster, nullptr);
  const std::string http = cluster->Address("us-coordinator-1", "http");
  const auto overview = [&] { return FetchJson(http, "/v1/cluster/overview"); };
  {
    const LookAsideLoad load(cluster->Address("us-node-1", "data"));
    ASSERT_TRUE(WaitUntil(
        [&] {
          const json now = overview();
          return !now.is_null() && now["totals"]["nodes_alive"] == 3 &&
                 now["totals"]["requests_per_second"] > 100;
        },
        kLimit));
  }
  const auto of_metrics = [&](const std::string& tier) {
    double sum = 0;
    for (const char* node : {"us-node-1", "us-node-2", "us-node-3"}) {
      sum += FetchMetric(cluster->Address(node, "http"), "meridian_read_duration_seconds_count",
                         {"tier=\"" + tier + "\"", "namespace=\"task\""});
    }
    return sum;
  };
  EXPECT_TRUE(WaitUntil(
      [&] {
        const json task = overview()["namespaces"][0];
        return task["namespace"] == "task" && task["l1_hits"] == of_metrics("l1") &&
               task["l2_hits"] == of_metrics("l2") && task["misses"] == of_metrics("miss");
      },
      kLimit))
      << overview()["namespaces"].dump(1);
  const json stats = FetchJson(http, "/v1/cache/stats?namespace=task");
  EXPECT_EQ(stats["metrics"]["total_requests"],
            of_metrics("l1") + of_metrics("l2") + of_metrics("miss"));
  EXPECT_EQ(stats["ttl_seconds"], 3600.0);
  EXPECT_EQ(FetchJson(http, "/v1/cache/status")["current_mode"], "dual");
  EXPECT_EQ(FetchJson(http, "/v1/cluster/ring")["owners"].size(), 1024u);
  EXPECT_EQ(HttpGet(http, "/v1/cache/stats?node=nobody")->code, 404);
  EXPECT_EQ(HttpGet(http, "/v1/cluster/overview?x=1")->code, 400);

  cluster->Kill("us-node-2");
  const absl::Time killed = absl::Now();
  const auto alert = [&]() -> json {
    for (const json& one : FetchList(http, "/v1/cluster/alerts", "alerts")) {
      if (one["name"] == "MeridianNodeDown" && one["labels"]["node"] == "us-node-2") return one;
    }
    return nullptr;
  };
  ASSERT_TRUE(WaitUntil([&] { return alert()["state"] == "firing"; }, kLimit));
  EXPECT_LT(absl::Now() - killed, absl::Seconds(5));
  for (const json& node : FetchList(http, "/v1/cluster/overview", "nodes")) {
    EXPECT_EQ(node["alive"], node["id"] != "us-node-2") << node["id"];
  }
  const CommandResult command = RunCommand({ProgramPath("meridianctl"), "alerts", "--coordinator",
                                            cluster->Address("us-coordinator-1", "grpc")},
                                           kLimit);
  EXPECT_THAT(command.out, testing::HasSubstr("MeridianNodeDown"));
  EXPECT_THAT(command.out, testing::HasSubstr("node=us-node-2"));
  cluster->Restart("us-node-2");
  EXPECT_TRUE(WaitUntil([&] { return alert()["state"] == "resolved"; }, kLimit));
}

TEST(RegionFiguresCallTest, FollowingTheRecommendationForATtlThatIsTooShortBringsItsGain) {
  const TempDir dir;
  const std::string policies = dir / "policies.yaml";
  WriteFile(policies, "namespaces:\n  task: {ttl: 1s, ttl_jitter: 0}\n");
  const auto cluster = StartTestCluster(
      {.regions = {"us"},
       .nodes = 2,
       .node_flags = {absl::StrCat("--policies=", policies), "--policies-poll=100ms"}});
  ASSERT_NE(cluster, nullptr);
  const std::string http = cluster->Address("us-coordinator-1", "http");
  const LookAsideLoad load(cluster->Address("us-node-1", "data"));
  // Of the next so many reads.
  const auto hit_rate_of = [&](double reads) {
    const json before = FetchJson(http, "/v1/cluster/overview")["totals"];
    double hits = 0;
    double all = 0;
    EXPECT_TRUE(WaitUntil(
        [&] {
          const json after = FetchJson(http, "/v1/cluster/overview")["totals"];
          hits = after["hits"].get<double>() - before["hits"].get<double>();
          all = hits + after["misses"].get<double>() - before["misses"].get<double>();
          return all >= reads;
        },
        kLimit, absl::Milliseconds(200)));
    return hits / all;
  };
  json advice;
  ASSERT_TRUE(WaitUntil(
      [&] {
        for (const json& one : FetchList(http, "/v1/cluster/recommendations", "recommendations")) {
          if (one["name"] == "ttl_too_short") advice = one;
        }
        return !advice.is_null();
      },
      kLimit, absl::Milliseconds(500)))
      << FetchJson(http, "/v1/cluster/recommendations").dump(1);
  EXPECT_EQ(advice["namespace"], "task");
  EXPECT_THAT(advice["summary"].get<std::string>(), testing::HasSubstr("its TTL is 1s"));
  const double before = hit_rate_of(kReads);

  const std::string command = advice["command"];
  const std::string intro = "in the policies: namespaces: {task: {";
  ASSERT_EQ(command.substr(0, intro.size()), intro) << command;
  const std::string ttl = command.substr(intro.size(), command.find('}') - intro.size());
  WriteFile(policies, absl::StrCat("namespaces:\n  task: {", ttl, ", ttl_jitter: 0}\n"));
  ASSERT_TRUE(WaitUntil(
      [&] {
        for (const char* node : {"us-node-1", "us-node-2"}) {
          const json stats =
              FetchJson(http, absl::StrCat("/v1/cache/stats?namespace=task&node=", node));
          if (!stats["ttl_seconds"].is_number() || stats["ttl_seconds"] == 1.0) return false;
        }
        return true;
      },
      kLimit, absl::Milliseconds(200)));
  hit_rate_of(kReads / 3);  // What was stored with the old TTL is over then.
  const double after = hit_rate_of(kReads);
  EXPECT_NEAR(after - before, advice["hit_rate_gain"].get<double>(), 0.02)
      << before << " -> " << after << ", " << advice.dump(1);
}

}  // namespace
}  // namespace meridian
