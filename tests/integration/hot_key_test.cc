// One key that is half of all reads, on six real nodes: the work of each node is counted, with and
// without mirrors; and what was written over or invalidated, in whatever way, is not served from a
// mirror any more.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/read_through.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/http_page.h"
#include "tests/support/redis_process.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using calls::kSpace;

constexpr size_t kNodes = 6;
constexpr int kReads = 6000;
constexpr char kHot[] = "h:hot";
constexpr char kFormed[] = "formed";  // A namespace that caches keys under names of its own.
constexpr char kHashed[] = "hashed";
constexpr char kHashedAbove[] = "hashed-above";
constexpr char kPolicies[] =
    "namespaces: {formed: {key: {normalize: [trim, lowercase]}}, hashed: {key: {hash: md5}}, "
    "hashed-above: {key: {hash: xxh3, hash_above: 64}}}";
constexpr absl::Duration kSoon = absl::Seconds(20);
constexpr absl::Duration kBound = absl::Seconds(3);

// The sum of a metric's series of a node, of those that have all these labels.
double Metric(const TestNode& node, const std::string& name,
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

std::vector<std::optional<std::string>> NothingIsMissing(std::span<const std::string_view> keys) {
  ADD_FAILURE() << keys[0] << " is missing";
  return {};
}

class HotKeyTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << std::string(redis.status().message());
    redis_ = *std::move(redis);
    WriteFile(dir_ / "node.yaml", kPolicies);
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
  static inline TempDir dir_;

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
  static std::string KeyOfRead(int i) {
    return i % 2 == 0 ? kHot : absl::StrCat("key:", i / 2 % 600);
  }
  // The heat of the second half of the reads: in the first it turns out what is hot.
  double HeatOf(const std::string& who, const std::function<std::string(int)>& read) {
    for (int i = 0; i < kReads; ++i) read(i);
    const std::vector<double> work = Work();
    const std::vector<double> cpu = CpuTime();
    for (int i = 0; i < kReads; ++i) EXPECT_EQ(read(i), "v");
    const double cpu_heat = Heat(cpu, CpuTime());
    const double heat = Heat(work, Work());
    std::printf("%s: the hottest node does %.2f times the mean (processor time: %.2f)\n",
                who.c_str(), heat, cpu_heat);
    RecordProperty(who, absl::StrCat(heat));
    return heat;
  }

  static void SetIn(const char* name_space, size_t node, const std::string& key,
                    const std::string& value) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    cache::v1::SetRequest request;
    request.set_namespace_(name_space);
    request.mutable_entry()->set_key(key);
    request.mutable_entry()->set_value(value);
    cache::v1::SetResponse response;
    const grpc::Status status = stubs_[node]->Set(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  static std::string GetIn(const char* name_space, size_t node, const std::string& key) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    cache::v1::GetRequest request;
    request.set_namespace_(name_space);
    request.set_key(key);
    cache::v1::GetResponse response;
    const grpc::Status status = stubs_[node]->Get(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.entry().value();
  }

  static cache::v1::EntryStatus StatusAt(size_t node) {
    return calls::GetAll(*stubs_[node], {kHot}).entries(0).status();
  }
  static std::string ValueAt(size_t node) {
    return calls::GetAll(*stubs_[node], {kHot}).entries(0).value();
  }
  // How many mirrors of the hot key an operator is told of.
  static size_t MirrorsExplained() {
    const auto admin = NewStub<admin::v1::AdminService>(nodes_[0]->admin());
    admin::v1::ExplainKeyRequest request;
    request.mutable_key()->set_namespace_(kSpace);
    request.mutable_key()->set_key(kHot);
    admin::v1::ExplainKeyResponse response;
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    const grpc::Status status = admin->ExplainKey(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_GE(response.tiers_size(), 2);
    size_t mirrors = 0;
    for (const admin::v1::TierState& tier : response.tiers()) {
      if (!tier.mirror()) continue;
      EXPECT_EQ(tier.state(), "value");
      EXPECT_NE(tier.node(), response.owner());
      ++mirrors;
    }
    return mirrors;
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

  static std::unique_ptr<RedisProcess> redis_;
  static std::vector<std::unique_ptr<TestNode>> nodes_;
  static std::vector<std::unique_ptr<calls::Stub>> stubs_;
};
std::unique_ptr<RedisProcess> HotKeyTest::redis_;
std::vector<std::unique_ptr<TestNode>> HotKeyTest::nodes_;
std::vector<std::unique_ptr<calls::Stub>> HotKeyTest::stubs_;

TEST_F(HotKeyTest, HalfOfTheTrafficOnOneKeyHeatsNoNodeMuchAboveTheMean) {
  std::vector<std::string> keys = {kHot};
  for (int i = 0; i < 600; ++i) keys.push_back(absl::StrCat("key:", i));
  calls::SetAll(*stubs_[0], keys, "v");
  const std::unique_ptr<Client> plain = NewClient(/*spread=*/false);
  const std::unique_ptr<Client> spreading = NewClient(/*spread=*/true);
  const auto through = [](Client& client) {
    return [&client](int i) { return client.Get(kSpace, KeyOfRead(i)).value; };
  };
  EXPECT_GT(HeatOf("routing clients", through(*plain)), 2.0) << "it is the owner's work";
  EXPECT_LT(HeatOf("routing clients that spread hot keys", through(*spreading)), 1.25);
  EXPECT_LT(HeatOf("callers of any node",
                   [](int i) {
                     // Not the same parity of the turn for the hot key and the others.
                     const size_t node = static_cast<size_t>(i / 2) % kNodes;
                     return calls::GetAll(*stubs_[node], {KeyOfRead(i)}).entries(0).value();
                   }),
            1.25);
}

// With the look-aside pattern, whose reads ask for leases of what is missing.
TEST_F(HotKeyTest, LookAsideReadsOfOneKeyHeatNoNodeMuchAboveTheMean) {
  std::vector<std::string> keys = {kHot};
  for (int i = 0; i < 600; ++i) keys.push_back(absl::StrCat("key:", i));
  calls::SetAll(*stubs_[0], keys, "v");
  const auto through = [](Client& client) {
    return [&client](int i) -> std::string {
      const std::string key = KeyOfRead(i);
      const std::vector<std::string_view> asked = {key};
      const auto values = ReadThrough(client, kSpace, asked, NothingIsMissing);
      return values[0].value_or("nothing");
    };
  };
  const std::unique_ptr<Client> plain = NewClient(/*spread=*/false);
  const std::unique_ptr<Client> spreading = NewClient(/*spread=*/true);
  EXPECT_GT(HeatOf("look-aside reads", through(*plain)), 2.0) << "it is the owner's work";
  EXPECT_LT(HeatOf("look-aside reads of clients that spread", through(*spreading)), 1.25);
}

// Of several owners, so that a call would wait for leases at one after the other.
TEST_F(HotKeyTest, LookAsideBatchesWithOneKeyInCommonHeatNoNodeMuchAboveTheMean) {
  std::vector<std::string> keys = {kHot};
  for (int i = 0; i < 600; ++i) keys.push_back(absl::StrCat("key:", i));
  calls::SetAll(*stubs_[0], keys, "v");
  const std::unique_ptr<Client> client = NewClient(/*spread=*/true);
  EXPECT_LT(
      HeatOf("look-aside batches of clients that spread",
             [&](int i) -> std::string {
               const std::string other = absl::StrCat("key:", i % 600);
               const std::vector<std::string_view> asked = {kHot, other};
               for (const auto& value : ReadThrough(*client, kSpace, asked, NothingIsMissing)) {
                 if (value != "v") return value.value_or("nothing");
               }
               return "v";
             }),
      1.25);
}

// Of two keys each; "v" when both are right.
TEST_F(HotKeyTest, BatchesWithOneKeyInCommonHeatNoNodeMuchAboveTheMean) {
  std::vector<std::string> keys = {kHot};
  for (int i = 0; i < 600; ++i) keys.push_back(absl::StrCat("key:", i));
  calls::SetAll(*stubs_[0], keys, "v");
  const auto batch = [](int i) {
    return std::vector<std::string>{kHot, absl::StrCat("key:", i % 600)};
  };
  const auto through = [&](Client& client) {
    return [&](int i) -> std::string {
      const std::vector<std::string> asked = batch(i);
      const std::vector<std::string_view> views(asked.begin(), asked.end());
      for (const GetResult& result : client.BatchGet(kSpace, views)) {
        if (result.value != "v") return result.value;
      }
      return "v";
    };
  };
  const std::unique_ptr<Client> plain = NewClient(/*spread=*/false);
  const std::unique_ptr<Client> spreading = NewClient(/*spread=*/true);
  EXPECT_GT(HeatOf("batches of routing clients", through(*plain)), 2.0) << "it is the owner's work";
  EXPECT_LT(HeatOf("batches of routing clients that spread hot keys", through(*spreading)), 1.25);
  EXPECT_LT(HeatOf("batches of callers of any node",
                   [&](int i) -> std::string {
                     const auto node = static_cast<size_t>(i) % kNodes;
                     // The other key is not always the same node's.
                     const auto response = calls::GetAll(*stubs_[node], batch(i / 7));
                     const bool right = response.entries(0).value() == response.entries(1).value();
                     return right ? response.entries(0).value() : "they differ";
                   }),
            1.25);
}

TEST_F(HotKeyTest, AKeyThatItsNamespaceFormsIsMirroredUnderTheNameThatItHasThere) {
  const std::vector<std::string> names = {"q:hot?", "Q:Hot?", " q:HOT? "};
  SetIn(kFormed, 0, names[1], "first");
  size_t turn = 0;
  EXPECT_TRUE(HeatUp([&](size_t node) { GetIn(kFormed, node, names[turn++ % names.size()]); }));
  for (size_t writer = 0; writer < 3; ++writer) {
    const std::string value = absl::StrCat("by ", writer);
    SetIn(kFormed, writer, names[2 - writer], value);
    for (const std::string& name : names)
      EXPECT_EQ(GetIn(kFormed, writer, name), value) << "at once";
    for (size_t node = 0; node < kNodes; ++node) {
      EXPECT_TRUE(WaitUntil([&] { return GetIn(kFormed, node, names[0]) == value; }, kBound));
    }
    for (size_t i = 0; i < 60; ++i)
      EXPECT_EQ(GetIn(kFormed, i % kNodes, names[1]), value) << "and never back";
  }
}

// By the name that such a key has in the cache nobody can ask for it as a client: it would be
// hashed once more. So it is its owner's alone, and nobody asks for what is not there.
TEST_F(HotKeyTest, AKeyThatIsHashedIsNotMirroredAndNotAskedForUnderAnotherName) {
  const std::vector<std::string> labels = {"namespace=\"hashed\"", "result=\"miss\""};
  SetIn(kHashed, 0, "q:hot", "first");
  GetIn(kHashed, 0, "q:hot");
  double misses = 0;
  for (const auto& node : nodes_) misses -= Metric(*node, "meridian_cache_gets_total", labels);
  const double hits = MirrorHits();
  for (int i = 0; i < 60; ++i) {
    for (size_t read = 0; read < 120; ++read) {
      ASSERT_EQ(GetIn(kHashed, read % kNodes, "q:hot"), "first");
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  for (const auto& node : nodes_) misses += Metric(*node, "meridian_cache_gets_total", labels);
  EXPECT_EQ(misses, 0);
  EXPECT_EQ(MirrorHits(), hits);
}

TEST_F(HotKeyTest, AKeyWhoseHashIsNotHashedAgainIsMirrored) {
  const std::string name = "q:" + std::string(100, 'k');
  SetIn(kHashedAbove, 0, name, "first");
  EXPECT_TRUE(HeatUp([&](size_t node) { GetIn(kHashedAbove, node, name); }));
  SetIn(kHashedAbove, 1, name, "second");
  EXPECT_EQ(GetIn(kHashedAbove, 1, name), "second") << "at once";
  for (size_t node = 0; node < kNodes; ++node) {
    EXPECT_TRUE(WaitUntil([&] { return GetIn(kHashedAbove, node, name) == "second"; }, kBound));
  }
}

TEST_F(HotKeyTest, AValueThatIsTooLargeForAMirrorIsFetchedNowAndThenOnly) {
  const auto fetches = [](const char* outcome) {
    double sum = 0;
    for (const auto& node : nodes_) {
      sum +=
          Metric(*node, "meridian_mirror_asks_total", {absl::StrCat("outcome=\"", outcome, "\"")});
    }
    return sum;
  };
  std::string large(size_t{3} << 20, '\0');  // Larger than a quarter of --mirror-max-bytes.
  std::mt19937 random(1);
  for (char& c : large) c = static_cast<char>(random());
  calls::SetAll(*stubs_[0], {"large"}, large);
  cache::v1::GetRequest request;
  request.set_namespace_(kSpace);
  request.set_key("large");
  request.mutable_options()->set_omit_value(true);
  const double kept = fetches("kept");
  const auto read = [&] {
    for (size_t i = 0; i < 120; ++i) {
      grpc::ClientContext context;
      calls::SetDeadline(&context);
      cache::v1::GetResponse response;
      ASSERT_TRUE(stubs_[i % kNodes]->Get(&context, request, &response).ok());
      EXPECT_EQ(response.entry().raw_size(), large.size());
    }
  };
  // Until every node that does not own it has asked once, and then for two seconds.
  ASSERT_TRUE(WaitUntil(
      [&] {
        read();
        return fetches("too_large") >= kNodes - 1;
      },
      absl::Seconds(9)));
  for (int i = 0; i < 20; ++i) {
    read();
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(fetches("too_large"), kNodes - 1);
  EXPECT_EQ(fetches("kept"), kept);
}

TEST_F(HotKeyTest, AMirroredValueFollowsItsWrites) {
  calls::SetAll(*stubs_[0], {kHot}, "first");
  ASSERT_TRUE(HeatUp());
  EXPECT_TRUE(WaitUntil([] { return MirrorsExplained() == kNodes - 1; }, kSoon))
      << "whoever asks where a key is sees its mirrors";
  for (int round = 0; round < 6; ++round) {
    const std::string value = absl::StrCat("round ", round);
    const size_t writer = static_cast<size_t>(round) % kNodes;
    calls::SetAll(*stubs_[writer], {kHot}, value);
    EXPECT_EQ(ValueAt(writer), value) << "the node that carried the write, at once";
    for (size_t node = 0; node < kNodes; ++node) {
      EXPECT_TRUE(WaitUntil([&] { return ValueAt(node) == value; }, kBound));
    }
    for (size_t i = 0; i < 60; ++i) EXPECT_EQ(ValueAt(i % kNodes), value) << "and never back";
    EXPECT_TRUE(HeatUp()) << "it is mirrored again";
  }
}

TEST_F(HotKeyTest, WhatIsInvalidatedInAnyWayIsNotServedFromAMirror) {
  struct Way {
    const char* name;
    std::function<void(cache::v1::InvalidateRequest*)> target;
    bool at_once;  // A fence is in force everywhere when the call returns.
  };
  using Request = cache::v1::InvalidateRequest;
  const std::vector<Way> ways = {
      {"key", [](Request* request) { request->set_key(kHot); }, false},
      {"tag", [](Request* request) { request->set_tag("t"); }, true},
      {"prefix", [](Request* request) { request->set_prefix("h:"); }, true},
      {"namespace", [](Request* request) { request->set_all(true); }, true},
      {"what it depends on",
       [](Request* request) {
         request->set_key("base");
         request->set_cascade(true);
       },
       true},
      {"what that depends on",
       [](Request* request) {
         request->set_key("ground");
         request->set_cascade(true);
       },
       true},
      {"key, with cascade",
       [](Request* request) {
         request->set_key(kHot);
         request->set_cascade(true);
       },
       false},
  };
  for (size_t i = 0; i < ways.size(); ++i) {
    SCOPED_TRACE(ways[i].name);
    const size_t issuer = i % kNodes;
    cache::v1::SetEntry base;
    base.set_key("base");
    base.add_depends_on("key:ground");
    calls::SetOne(*stubs_[issuer], base);
    cache::v1::SetEntry hot;
    hot.set_key(kHot);
    hot.set_value(absl::StrCat("to die by ", ways[i].name));
    hot.add_tags("t");
    hot.add_depends_on("key:base");
    calls::SetOne(*stubs_[issuer], hot);
    ASSERT_TRUE(HeatUp());

    Request request;
    request.set_namespace_(kSpace);
    ways[i].target(&request);
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    cache::v1::InvalidateResponse response;
    const grpc::Status status = stubs_[issuer]->Invalidate(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(response.unconfirmed_nodes_size(), 0);
    for (size_t node = 0; node < kNodes; ++node) {
      const auto is_gone = [&] { return StatusAt(node) == cache::v1::ENTRY_STATUS_MISS; };
      EXPECT_TRUE(ways[i].at_once ? is_gone() : WaitUntil(is_gone, kBound)) << "node " << node;
    }
    for (size_t read = 0; read < 120; ++read) {
      ASSERT_EQ(StatusAt(read % kNodes), cache::v1::ENTRY_STATUS_MISS) << "it came back";
    }
  }
}

// In the middle of reads of mirrored keys, and of writes that they follow.
TEST(MirrorStopTest, ANodeThatMirrorsEndsInGoodOrder) {
  auto nodes = TestNode::StartPeers(2, {"--mirror-max-bytes", "1MiB"});
  ASSERT_TRUE(nodes.ok()) << std::string(nodes.status().message());
  TestNode& node = *(*nodes)[0];
  const auto stub = NewStub<cache::v1::CacheService>(node.data());
  std::vector<std::string> keys;
  for (int i = 0; i < 16; ++i) keys.push_back(absl::StrCat("key:", i));
  calls::SetAll(*stub, keys, "v");
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int turn = 0; !stop.load(); ++turn) {
        grpc::ClientContext context;
        calls::SetDeadline(&context);
        if (turn % 512 == 0) {
          cache::v1::SetRequest request;
          request.set_namespace_(kSpace);
          request.mutable_entry()->set_key(keys[0]);
          cache::v1::SetResponse response;
          (void)stub->Set(&context, request, &response);
        } else {
          cache::v1::GetRequest request;
          request.set_namespace_(kSpace);
          request.set_key(keys[static_cast<size_t>(turn) % keys.size()]);
          cache::v1::GetResponse response;
          (void)stub->Get(&context, request, &response);
        }
      }
    });
  }
  EXPECT_TRUE(WaitUntil([&] { return Metric(node, "meridian_mirror_hits_total") > 100; }, kSoon));
  node.process().Signal(SIGTERM);
  EXPECT_TRUE(node.process().WaitForExit(kSoon));
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(node.process().exit_code(), 0) << node.Log();
}

}  // namespace
}  // namespace meridian
