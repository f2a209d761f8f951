// The near cache of the C++ client on real nodes: what it serves, how soon it hears of writes by
// others, and that it never serves what is old for longer than its bound, whatever breaks.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "common/base/hash.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/support/fault_proxy/fault_proxy_process.h"
#include "tests/support/redis_process.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";
constexpr char kFormed[] = "formed";  // A namespace that caches keys under names of its own.
constexpr absl::Duration kSoon = absl::Seconds(10);
constexpr absl::Duration kBound = absl::Seconds(3);  // As client_options.h promises.

class NearReadsTest : public testing::Test {
 protected:
  // n0, which everybody reaches through a proxy, n1 and n2.
  static void SetUpTestSuite() {
    absl::StatusOr<std::unique_ptr<RedisProcess>> redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << std::string(redis.status().message());
    redis_ = *std::move(redis);
    std::vector<std::string> data, peer, peers;
    for (int i = 0; i < 3; ++i) {
      data.push_back(FreeAddress());
      peer.push_back(FreeAddress());
    }
    auto proxy = FaultProxyProcess::Start(data[0]);
    ASSERT_TRUE(proxy.ok()) << std::string(proxy.status().message());
    proxy_ = *std::move(proxy);
    std::string members;
    for (size_t i = 0; i < 3; ++i) {
      absl::StrAppend(&members, i == 0 ? "" : ",", "n", i, "=",
                      i == 0 ? proxy_->address() : data[i], "/", peer[i]);
    }
    WriteFile(dir_ / "node.yaml", "namespaces: {formed: {key: {normalize: [lowercase]}}}");
    for (size_t i = 0; i < 3; ++i) {
      auto node =
          TestNode::Start(absl::StrCat("n", i),
                          {"--data-address", data[i], "--peer-address", peer[i], "--peers", members,
                           "--redis", redis_->url(), "--config", dir_ / "node.yaml"});
      ASSERT_TRUE(node.ok()) << std::string(node.status().message());
      nodes_.push_back(*std::move(node));
    }
  }
  static void TearDownTestSuite() {
    nodes_.clear();
    proxy_.reset();
    redis_.reset();
  }

  void SetUp() override {
    ASSERT_EQ(nodes_.size(), 3);
    near_ = NewClient(8 << 20);
    plain_ = NewClient(0);
    ASSERT_TRUE(
        WaitUntil([this] { return near_->near_stats().followed_slots == kSlotCount; }, kSoon));
  }
  static std::unique_ptr<Client> NewClient(size_t near_bytes) {
    ClientOptions options;
    options.targets = {nodes_[2]->data()};
    options.near_cache_bytes = near_bytes;
    options.get_timeout = absl::Seconds(2);
    options.set_timeout = absl::Seconds(2);
    auto client = Client::Create(std::move(options));
    EXPECT_TRUE(client.ok());
    EXPECT_TRUE((*client)->WaitUntilReady(kSoon).ok());
    return *std::move(client);
  }

  void Write(Client& client, const std::string& key, const std::string& value) {
    const WriteResult result = client.Set(kSpace, key, value);
    ASSERT_TRUE(result.ok()) << result.error->reason << " " << result.error->message;
  }
  bool IsNear(const std::string& key) {
    return near_->Get(kSpace, key).source == ResultSource::kNear;
  }
  // Reads the key until the near cache has it.
  bool Warm(const std::string& key) {
    return WaitUntil([&] { return IsNear(key); }, kSoon);
  }

  static inline TempDir dir_;
  static std::unique_ptr<RedisProcess> redis_;
  static std::unique_ptr<FaultProxyProcess> proxy_;
  static std::vector<std::unique_ptr<TestNode>> nodes_;
  std::unique_ptr<Client> near_;
  std::unique_ptr<Client> plain_;
};
std::unique_ptr<RedisProcess> NearReadsTest::redis_;
std::unique_ptr<FaultProxyProcess> NearReadsTest::proxy_;
std::vector<std::unique_ptr<TestNode>> NearReadsTest::nodes_;

TEST_F(NearReadsTest, ASecondReadIsServedHereAndWritesAreSeen) {
  Write(*plain_, "seen", "1");
  EXPECT_NE(near_->Get(kSpace, "seen").source, ResultSource::kNear);
  ASSERT_TRUE(Warm("seen"));
  const GetResult hit = near_->Get(kSpace, "seen");
  EXPECT_EQ(hit.value, "1");
  EXPECT_GT(hit.ttl, absl::ZeroDuration());
  EXPECT_TRUE(hit.version.is_set());

  Write(*plain_, "seen", "2");
  EXPECT_TRUE(WaitUntil([&] { return near_->Get(kSpace, "seen").value == "2"; }, kBound));
  ASSERT_TRUE(Warm("seen"));
  Write(*near_, "seen", "3");
  EXPECT_EQ(near_->Get(kSpace, "seen").value, "3") << "its own write, at once";
  ASSERT_TRUE(Warm("seen"));
  ASSERT_TRUE(plain_->Invalidate(kSpace, "seen").ok());
  EXPECT_TRUE(
      WaitUntil([&] { return near_->Get(kSpace, "seen").status == ResultStatus::kMiss; }, kBound));
}

TEST_F(NearReadsTest, BatchesAreServedFromBothAndKeepWhatTheyBring) {
  std::vector<std::string> keys;
  for (int i = 0; i < 50; ++i) {
    keys.push_back(absl::StrCat("batch:", i));
    Write(*plain_, keys.back(), absl::StrCat("v", i));
  }
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  const auto near_hits = [&] {
    size_t hits = 0;
    const std::vector<GetResult> results = near_->BatchGet(kSpace, views);
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i].value, absl::StrCat("v", i));
      hits += results[i].source == ResultSource::kNear ? 1 : 0;
    }
    return hits;
  };
  EXPECT_TRUE(WaitUntil([&] { return near_hits() == keys.size(); }, kSoon));
  std::vector<SetItem> items(1);
  items[0].key = "batch:7";
  items[0].value = "v7";
  ASSERT_TRUE(near_->BatchSet(kSpace, std::move(items))[0].ok());
  EXPECT_EQ(near_hits(), keys.size() - 1);
}

TEST_F(NearReadsTest, CallersWhoWantTheOwnersWordGetIt) {
  Write(*plain_, "forced", "1");
  ASSERT_TRUE(Warm("forced"));
  GetOptions forced;
  forced.force_refresh = true;
  EXPECT_NE(near_->Get(kSpace, "forced", forced).source, ResultSource::kNear);
  EXPECT_EQ(plain_->near_stats().hits, 0);
}

// A namespace that forms keys: what was invalidated has another name in the cache. The events of n0
// come late, with its answers; near_hold_test is about streams that say nothing at all.
TEST_F(NearReadsTest, OwnInvalidationsBySpellingsThatThePolicyChangesAreSeenAtOnce) {
  std::vector<std::string> keys;
  for (int i = 0; i < 24; ++i) keys.push_back(absl::StrCat("q:", i));
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  const auto write = [&](Client& client) {
    std::vector<SetItem> items(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      items[i].key = keys[i];
      items[i].value = "old";
      items[i].depends_on = {"key:Q:Base"};
    }
    ASSERT_TRUE(client.Set(kFormed, "Q:Base", "base").ok());
    for (const WriteResult& result : client.BatchSet(kFormed, std::move(items))) {
      ASSERT_TRUE(result.ok());
    }
  };
  for (int round = 0; round < 6; ++round) {
    write(*plain_);
    ASSERT_TRUE(WaitUntil(
        [&] {
          const std::vector<GetResult> results = near_->BatchGet(kFormed, views);
          return std::all_of(results.begin(), results.end(), [](const GetResult& result) {
            return result.source == ResultSource::kNear;
          });
        },
        kSoon));
    ASSERT_TRUE(proxy_->Set("delay=200ms").ok());
    const WriteResult result = round % 2 == 0 ? near_->InvalidatePrefix(kFormed, "Q:")
                                              : near_->InvalidateCascade(kFormed, "Q:Base");
    ASSERT_TRUE(result.ok()) << result.error->message;
    for (const GetResult& read : near_->BatchGet(kFormed, views)) {
      EXPECT_FALSE(read.hit()) << "round " << round << ": " << read.value;
    }
    ASSERT_TRUE(proxy_->Set("clear").ok());
  }
}

// One node is frozen and one cut off, while a third writes around them.
TEST_F(NearReadsTest, WhenOwnersFallSilentNothingOldIsServedBeyondTheBoundAndOthersGoOn) {
  std::vector<std::string> keys;
  for (int i = 0; i < 60; ++i) {
    keys.push_back(absl::StrCat("fault:", i));
    Write(*plain_, keys.back(), "old");
  }
  for (const std::string& key : keys) ASSERT_TRUE(Warm(key));
  nodes_[1]->process().Signal(SIGSTOP);
  ASSERT_TRUE(proxy_->Set("cut=on").ok());
  // Whoever is not silent goes on being served; the others are given up.
  size_t still_near = 0;
  EXPECT_TRUE(WaitUntil(
      [&] {
        still_near = 0;
        for (const std::string& key : keys) {
          GetOptions quick;
          quick.timeout = absl::Milliseconds(1);
          still_near += near_->Get(kSpace, key, quick).source == ResultSource::kNear ? 1 : 0;
        }
        return still_near < keys.size() / 2;
      },
      kSoon));
  EXPECT_GT(still_near, 5) << "n2 is well";
  nodes_[1]->process().Signal(SIGCONT);
  ASSERT_TRUE(proxy_->Set("clear").ok());
  for (const std::string& key : keys) EXPECT_TRUE(Warm(key)) << key;

  // Again, with a writer, who asks the node that is well: it goes around the frozen one.
  nodes_[1]->process().Signal(SIGSTOP);
  ASSERT_TRUE(proxy_->Set("cut=on").ok());
  const auto stub = NewStub<cache::v1::CacheService>(nodes_[2]->data());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
  cache::v1::BatchSetRequest request;
  request.set_namespace_(kSpace);
  for (const std::string& key : keys) {
    cache::v1::SetEntry* entry = request.add_entries();
    entry->set_key(key);
    entry->set_value("new");
  }
  cache::v1::BatchSetResponse response;
  ASSERT_TRUE(stub->BatchSet(&context, request, &response).ok());
  for (const auto& result : response.results()) {
    ASSERT_EQ(result.status(), cache::v1::ENTRY_STATUS_OK);
  }
  const absl::Time bound = absl::Now() + kBound;
  size_t old_in_time = 0;
  WaitUntil(
      [&] {
        for (const std::string& key : keys) {
          GetOptions quick;
          quick.timeout = absl::Milliseconds(1);
          const absl::Time asked = absl::Now();
          const GetResult result = near_->Get(kSpace, key, quick);
          if (!result.hit() || result.value == "new") continue;
          ++old_in_time;
          EXPECT_LT(asked, bound) << key;
        }
        return absl::Now() > bound + absl::Milliseconds(200);
      },
      kSoon);
  EXPECT_GT(old_in_time, 0) << "nothing was kept: this test shows nothing";
  nodes_[1]->process().Signal(SIGCONT);
  ASSERT_TRUE(proxy_->Set("clear").ok());
  for (const std::string& key : keys) {
    EXPECT_TRUE(WaitUntil([&] { return near_->Get(kSpace, key).value == "new"; }, kSoon));
  }
}

}  // namespace
}  // namespace meridian
