// Leases of several keys with real nodes: callers with the same keys in any order never wait for
// each other, whether the client knows the owners or one node asks them. And leases that come back:
// from a caller that has gone, and without a value.

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";
// Much longer than anything here takes, and than the time that a lease takes to end by itself.
constexpr absl::Duration kPatience = absl::Seconds(40);

struct Answer {
  std::string value;
  std::string lease;
  bool lease_taken = false;
};

// Asks one way or the other, in all that a caller with leases does. Threads may share one.
class Caller {
 public:
  virtual ~Caller() = default;
  virtual std::vector<Answer> Read(const std::vector<std::string>& keys) = 0;
  virtual bool Fill(const std::string& key, const std::string& lease) = 0;
};

// Of the client library, which asks every owner itself.
class RoutedCaller final : public Caller {
 public:
  explicit RoutedCaller(const std::string& target) {
    ClientOptions options;
    options.targets = {target};
    options.batch_timeout = options.set_timeout = kPatience;
    client_ = *Client::Create(options);
    EXPECT_TRUE(client_->WaitUntilReady(kPatience).ok());
  }
  std::vector<Answer> Read(const std::vector<std::string>& keys) override {
    GetOptions options;
    options.want_lease = true;
    std::vector<Answer> answers;
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    for (GetResult& result : client_->BatchGet(kSpace, views, options)) {
      EXPECT_NE(result.status, ResultStatus::kError) << result.error->message;
      answers.push_back({result.value, result.lease, result.lease_taken});
    }
    return answers;
  }
  bool Fill(const std::string& key, const std::string& lease) override {
    SetOptions options;
    options.lease = lease;
    return client_->Set(kSpace, key, "v", options).ok();
  }

 private:
  std::unique_ptr<Client> client_;
};

// Of a client that knows one node, which asks the others.
class SimpleCaller final : public Caller {
 public:
  explicit SimpleCaller(const std::string& target)
      : stub_(NewStub<cache::v1::CacheService>(target)) {}
  std::vector<Answer> Read(const std::vector<std::string>& keys) override {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    cache::v1::BatchGetRequest request;
    request.set_namespace_(kSpace);
    for (const std::string& key : keys) request.add_keys(key);
    request.mutable_options()->set_want_lease(true);
    cache::v1::BatchGetResponse response;
    const grpc::Status status = stub_->BatchGet(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<Answer> answers;
    for (const cache::v1::Entry& entry : response.entries()) {
      EXPECT_NE(entry.status(), cache::v1::ENTRY_STATUS_ERROR) << entry.error().message();
      answers.push_back({entry.value(), entry.lease(), entry.lease_taken()});
    }
    return answers;
  }
  bool Fill(const std::string& key, const std::string& lease) override {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    cache::v1::SetRequest request;
    request.set_namespace_(kSpace);
    request.mutable_entry()->set_key(key);
    request.mutable_entry()->set_value("v");
    request.mutable_entry()->set_lease(lease);
    cache::v1::SetResponse response;
    return stub_->Set(&context, request, &response).ok() &&
           response.result().status() == cache::v1::ENTRY_STATUS_OK;
  }

 private:
  const std::unique_ptr<cache::v1::CacheService::Stub> stub_;
};

struct Kind {
  const char* name;
  size_t nodes;
  bool routed;
};

class LeaseBatchesTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    WriteFile(dir_ / "policies.yaml",
              "namespaces:\n  task: {lease_ttl: 60s, origin: {negative_ttl: 0}}\n");
    auto nodes = TestNode::StartPeers(GetParam().nodes, {"--policies", dir_ / "policies.yaml"});
    ASSERT_TRUE(nodes.ok()) << nodes.status();
    nodes_ = *std::move(nodes);
  }

  std::unique_ptr<Caller> NewCaller(size_t turn) const {
    const std::string& target = nodes_[turn % nodes_.size()]->data();
    if (GetParam().routed) return std::make_unique<RoutedCaller>(target);
    return std::make_unique<SimpleCaller>(target);
  }

  // Reads keys until it has them all, filling what it is given leases of, and only then asking for
  // the rest.
  void ReadAll(Caller& caller, std::vector<std::string> keys, std::mt19937_64& random) {
    while (!keys.empty()) {
      const std::vector<Answer> answers = caller.Read(keys);
      ASSERT_EQ(answers.size(), keys.size());
      std::vector<std::string> rest;
      std::vector<std::pair<std::string, std::string>> leases;
      for (size_t i = 0; i < keys.size(); ++i) {
        if (!answers[i].lease.empty()) {
          leases.emplace_back(keys[i], answers[i].lease);
        } else if (answers[i].value != "v") {
          EXPECT_TRUE(answers[i].lease_taken) << keys[i];
          rest.push_back(keys[i]);
        }
      }
      EXPECT_TRUE(rest.empty() || !leases.empty()) << "it waited for nothing";
      for (const auto& [key, lease] : leases) {
        EXPECT_TRUE(caller.Fill(key, lease)) << key;
        absl::MutexLock lock(&mu_);
        ++filled_[key];
      }
      keys = std::move(rest);
      std::shuffle(keys.begin(), keys.end(), random);
    }
  }

  // Keys that wait anywhere for a lease's holder.
  int Waiters() const {
    int waiters = 0;
    for (const auto& node : nodes_) {
      const absl::StatusOr<HttpPage> page = HttpGet(node->http(), "/metrics");
      if (!page.ok()) return -1;
      for (const absl::string_view line : absl::StrSplit(page->body, '\n')) {
        int here = 0;
        if (line.substr(0, line.find(' ')) == "meridian_miss_waiters" &&
            absl::SimpleAtoi(line.substr(line.rfind(' ') + 1), &here)) {
          waiters += here;
        }
      }
    }
    return waiters;
  }

  const TempDir dir_;
  std::vector<std::unique_ptr<TestNode>> nodes_;
  absl::Mutex mu_;
  std::map<std::string, int> filled_ ABSL_GUARDED_BY(mu_);
};

TEST_P(LeaseBatchesTest, TwoCallersWithTheSameKeysInOppositeOrderDoNotWaitForEachOther) {
  const std::unique_ptr<Caller> callers[] = {NewCaller(0), NewCaller(1)};
  const absl::Time began = absl::Now();
  for (int round = 0; round < 100; ++round) {
    std::vector<std::string> keys;
    for (int i = 0; i < 6; ++i) keys.push_back(absl::StrCat("round:", round, ":", i));
    std::vector<std::thread> threads;
    for (const auto& caller : callers) {
      threads.emplace_back([this, &caller, keys] {
        std::mt19937_64 random(7);
        ReadAll(*caller, keys, random);
      });
      std::reverse(keys.begin(), keys.end());
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_LT(absl::Now() - began, kPatience);
  absl::MutexLock lock(&mu_);
  EXPECT_EQ(filled_.size(), 600u);
  for (const auto& [key, times] : filled_) EXPECT_EQ(times, 1) << key;
}

TEST_P(LeaseBatchesTest, ManyCallersWithKeysInAnyOrderFillEachOnce) {
  constexpr int kCallers = 16;
  const absl::Time began = absl::Now();
  std::vector<std::unique_ptr<Caller>> callers;
  // Some callers share a client: what is tried here is not how many connections a node takes.
  for (size_t n = 0; n < 4; ++n) callers.push_back(NewCaller(n));
  std::vector<std::thread> threads;
  for (int n = 0; n < kCallers; ++n) {
    threads.emplace_back([this, n, &callers] {
      std::mt19937_64 random(static_cast<uint64_t>(n));
      for (int round = 0; round < 10; ++round) {
        std::vector<std::string> keys;
        for (int i = 0; i < 40; ++i) keys.push_back(absl::StrCat("many:", round, ":", i));
        std::shuffle(keys.begin(), keys.end(), random);
        keys.resize(25);
        ReadAll(*callers[static_cast<size_t>(n) % callers.size()], keys, random);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(absl::Now() - began, kPatience);
  absl::MutexLock lock(&mu_);
  for (const auto& [key, times] : filled_) EXPECT_EQ(times, 1) << key;
}

// More than one call may have: the client splits it.
TEST_P(LeaseBatchesTest, WhoWaitsForVeryManyKeysGetsThemAll) {
  std::vector<std::string> keys;
  for (int i = 0; i < (GetParam().routed ? 2500 : 1000); ++i) {
    keys.push_back(absl::StrCat("large:", i));
  }
  const std::unique_ptr<Caller> holder = NewCaller(0);
  const std::vector<Answer> leases = holder->Read(keys);
  std::thread waits([&] {
    for (const Answer& answer : NewCaller(1)->Read(keys)) EXPECT_EQ(answer.value, "v");
  });
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_FALSE(leases[i].lease.empty());
    ASSERT_TRUE(holder->Fill(keys[i], leases[i].lease));
  }
  waits.join();
}

// Its lease would be nobody's for a minute.
TEST_P(LeaseBatchesTest, ALeaseWhoseCallerHasGoneIsTheNextOnes) {
  const std::unique_ptr<Caller> caller = NewCaller(0);
  const auto stub = NewStub<cache::v1::CacheService>(nodes_.back()->data());
  for (int i = 0; i < 4; ++i) {  // Of any owner.
    const std::string key = absl::StrCat("gone:", i);
    const std::string lease = caller->Read({key})[0].lease;
    ASSERT_FALSE(lease.empty());
    // One waits, and goes; its place in the line is before the next one's.
    grpc::ClientContext gone;
    gone.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    std::thread first([&] {
      cache::v1::BatchGetRequest request;
      request.set_namespace_(kSpace);
      request.add_keys(key);
      request.mutable_options()->set_want_lease(true);
      cache::v1::BatchGetResponse response;
      EXPECT_EQ(stub->BatchGet(&gone, request, &response).error_code(),
                grpc::StatusCode::CANCELLED);
    });
    EXPECT_TRUE(WaitUntil([&] { return Waiters() == 1; }, kPatience));
    gone.TryCancel();
    first.join();
    std::vector<Answer> next;
    std::thread second([&] { next = NewCaller(1)->Read({key}); });
    EXPECT_TRUE(WaitUntil([&] { return Waiters() == 2; }, kPatience));
    // The holder gives it back: to the one who has gone, and from there it goes to the next.
    cache::v1::SetRequest back;
    back.set_namespace_(kSpace);
    back.mutable_entry()->set_key(key);
    back.mutable_entry()->set_lease(lease);
    back.mutable_entry()->set_give_back(true);
    grpc::ClientContext context;
    cache::v1::SetResponse response;
    const grpc::Status status = stub->Set(&context, back, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    const absl::Time began = absl::Now();
    second.join();
    EXPECT_LT(absl::Now() - began, kPatience / 2);
    ASSERT_EQ(next.size(), 1u);
    EXPECT_FALSE(next[0].lease.empty());
    EXPECT_NE(next[0].lease, lease);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, LeaseBatchesTest,
                         testing::Values(Kind{"OneNode", 1, false}, Kind{"OneNodeRouted", 1, true},
                                         Kind{"ThreeOwners", 3, false},
                                         Kind{"ThreeOwnersRouted", 3, true}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace meridian
