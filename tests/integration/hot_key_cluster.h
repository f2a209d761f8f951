// HotKeyCluster is six real nodes of one region, with a Redis and mirrors, and how much of the work
// each of them does while one key is half of all reads.

#ifndef MERIDIAN_TESTS_INTEGRATION_HOT_KEY_CLUSTER_H_
#define MERIDIAN_TESTS_INTEGRATION_HOT_KEY_CLUSTER_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/http_page.h"
#include "tests/support/redis_process.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {

// The sum of a metric's series of a node, of those that have all these labels.
inline double Metric(const TestNode& node, const std::string& name,
                     const std::vector<std::string>& labels = {}) {
  const absl::StatusOr<HttpPage> page = HttpGet(node.http(), "/metrics");
  if (!page.ok()) return 0;
  double sum = 0;
  for (const absl::string_view line : absl::StrSplit(page->body, '\n')) {
    const size_t end = line.find_first_of(" {");
    if (line.substr(0, end) != name) continue;
    if (!std::all_of(labels.begin(), labels.end(),
                     [line](const std::string& label) { return line.find(label) != line.npos; })) {
      continue;
    }
    double value = 0;
    if (absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum += value;
  }
  return sum;
}

class HotKeyCluster : public testing::Test {
 protected:
  static constexpr size_t kNodes = 6;
  static constexpr int kReads = 6000;
  static constexpr char kHot[] = "h:hot";
  static constexpr absl::Duration kSoon = absl::Seconds(20);
  static constexpr absl::Duration kBound = absl::Seconds(3);  // Of a mirror that is behind.

  // For SetUpTestSuite.
  static void StartNodes(const std::string& config) {
    auto redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << std::string(redis.status().message());
    redis_ = *std::move(redis);
    WriteFile(dir_ / "node.yaml", config);
    auto nodes = TestNode::StartPeers(kNodes, {"--mirror-max-bytes", "8MiB", "--redis",
                                               redis_->url(), "--config", dir_ / "node.yaml"});
    ASSERT_TRUE(nodes.ok()) << std::string(nodes.status().message());
    nodes_ = *std::move(nodes);
    for (const auto& node : nodes_) {
      stubs_.push_back(NewStub<cache::v1::CacheService>(node->data()));
    }
  }
  static void TearDownTestSuite() {
    stubs_.clear();
    nodes_.clear();
    redis_.reset();
  }
  void SetUp() override { ASSERT_EQ(stubs_.size(), kNodes); }

  static std::unique_ptr<Client> NewClient(bool spread) {
    ClientOptions options;
    options.targets = {nodes_[0]->data()};
    options.spread_hot_keys = spread;
    options.get_timeout = absl::Seconds(5);
    auto client = *Client::Create(std::move(options));
    EXPECT_TRUE(client->WaitUntilReady(kSoon).ok());
    return client;
  }

  static double MirrorHits() {
    double sum = 0;
    for (const auto& node : nodes_) sum += Metric(*node, "meridian_mirror_hits_total");
    return sum;
  }
  // What each node has done: calls of clients, and keys that it answered.
  static std::vector<double> Work() {
    std::vector<double> work;
    for (const auto& node : nodes_) {
      work.push_back(Metric(*node, "meridian_requests_total") +
                     Metric(*node, "meridian_cache_gets_total"));
    }
    return work;
  }
  // Processor time of each node, in seconds, all threads.
  static std::vector<double> CpuTime() {
    std::vector<double> seconds;
    for (const auto& node : nodes_) {
      const auto tasks = std::filesystem::path("/proc") / absl::StrCat(node->process().pid());
      double sum = 0;
      for (const auto& task : std::filesystem::directory_iterator(tasks / "task")) {
        double nanoseconds = 0;
        std::ifstream(task.path() / "schedstat") >> nanoseconds;
        sum += nanoseconds / 1e9;
      }
      seconds.push_back(sum);
    }
    return seconds;
  }
  // The largest share of what was done between, in units of the mean.
  static double Heat(const std::vector<double>& before, const std::vector<double>& after) {
    double sum = 0, most = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      sum += after[i] - before[i];
      most = std::max(most, after[i] - before[i]);
    }
    return most / (sum / static_cast<double>(before.size()));
  }
  // The same of what `run` makes the nodes do; it is printed and recorded.
  static double HeatOfRun(const std::string& who, const std::function<void()>& run) {
    const std::vector<double> work = Work();
    const std::vector<double> cpu = CpuTime();
    run();
    const double cpu_heat = Heat(cpu, CpuTime());
    const double heat = Heat(work, Work());
    std::printf("%s: the hottest node does %.2f times the mean (processor time: %.2f)\n",
                who.c_str(), heat, cpu_heat);
    RecordProperty(who, absl::StrCat(heat));
    return heat;
  }
  static std::string KeyOfRead(int i) {
    return i % 2 == 0 ? kHot : absl::StrCat("key:", i / 2 % 600);
  }
  // The heat of the second half of the reads: in the first it turns out what is hot.
  static double HeatOf(const std::string& who, const std::function<std::string(int)>& read) {
    for (int i = 0; i < kReads; ++i) read(i);
    return HeatOfRun(who, [&] {
      for (int i = 0; i < kReads; ++i) EXPECT_EQ(read(i), "v");
    });
  }

  static cache::v1::EntryStatus StatusAt(size_t node) {
    return calls::GetAll(*stubs_[node], {kHot}).entries(0).status();
  }
  static std::string ValueAt(size_t node) {
    return calls::GetAll(*stubs_[node], {kHot}).entries(0).value();
  }
  // Reads a key at all nodes until those that do not own it answer it themselves.
  static bool HeatUp(const std::function<void(size_t node)>& read = StatusAt) {
    return WaitUntil(
        [&] {
          const double before = MirrorHits();
          for (size_t i = 0; i < 600; ++i) read(i % kNodes);
          return MirrorHits() - before >= 450;  // Of 500.
        },
        kSoon);
  }

  static inline TempDir dir_;
  static inline std::unique_ptr<RedisProcess> redis_;
  static inline std::vector<std::unique_ptr<TestNode>> nodes_;
  static inline std::vector<std::unique_ptr<calls::Stub>> stubs_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_INTEGRATION_HOT_KEY_CLUSTER_H_
