// One key that is half of all reads, on six real nodes: the work of each node is counted, with and
// without mirrors; and what was written over or invalidated, in whatever way, is not served from a
// mirror any more.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
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

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/read_through.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/integration/hot_key_cluster.h"
#include "tests/support/stub.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using calls::kSpace;

constexpr char kFormed[] = "formed";  // A namespace that caches keys under names of its own.
constexpr char kHashed[] = "hashed";
constexpr char kHashedAbove[] = "hashed-above";
constexpr char kPolicies[] =
    "namespaces: {formed: {key: {normalize: [trim, lowercase]}}, hashed: {key: {hash: md5}}, "
    "hashed-above: {key: {hash: xxh3, hash_above: 64}}}";

std::vector<std::optional<std::string>> NothingIsMissing(std::span<const std::string_view> keys) {
  ADD_FAILURE() << keys[0] << " is missing";
  return {};
}

class HotKeyTest : public HotKeyCluster {
 protected:
  static void SetUpTestSuite() { StartNodes(kPolicies); }

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
};

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
  EXPECT_TRUE(WaitUntil([&] { return Metric(node, "meridian_mirror_hits_total") > 100; },
                        absl::Seconds(20)));
  node.process().Signal(SIGTERM);
  EXPECT_TRUE(node.process().WaitForExit(absl::Seconds(20)));
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(node.process().exit_code(), 0) << node.Log();
}

}  // namespace
}  // namespace meridian
