// ReadThrough of the C++ client with real nodes: bulk requests become items of the cache, each is
// computed once whoever asks, and a cache that is away changes nothing but the time.

#include "client/cpp/read_through.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Values = std::vector<std::optional<std::string>>;

constexpr char kSpace[] = "task";
constexpr absl::Duration kPatience = absl::Seconds(40);

class ReadThroughTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    // A lease lasts longer than any test takes; one of `brief` ends soon.
    dir_ = std::make_unique<TempDir>();
    WriteFile(*dir_ / "policies.yaml",
              "namespaces:\n  task: {lease_ttl: 60s}\n  brief: {lease_ttl: 2s}\n"
              "  forgetful: {lease_ttl: 60s, origin: {negative_ttl: 0}}\n");
    cluster_ = StartTestCluster(
        {.regions = {"us"}, .nodes = 2, .node_flags = {"--policies", *dir_ / "policies.yaml"}});
  }
  static void TearDownTestSuite() {
    cluster_ = nullptr;
    dir_ = nullptr;
  }
  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    client_ = NewClient(*cluster_);
  }
  static std::unique_ptr<Client> NewClient(const TestCluster& cluster) {
    ClientOptions patient;
    patient.get_timeout = patient.set_timeout = patient.batch_timeout = kPatience;
    return cluster.NewClient("us", patient);
  }
  static ReadThroughOptions Patient() {
    ReadThroughOptions options;
    options.get.timeout = options.set.timeout = kPatience;
    options.patience = kPatience;
    return options;
  }
  static Values Of(Client& client, const std::string& name_space,
                   const std::vector<std::string>& items, const ComputeMissing& compute,
                   const ReadThroughOptions& options = Patient()) {
    const std::vector<std::string_view> keys(items.begin(), items.end());
    return ReadThrough(client, name_space, keys, compute, options);
  }
  // What is computed of most keys.
  static std::string ValueOf(std::string_view key) {
    return absl::StrCat("made of ", std::string(key));
  }
  // Reads items, and notes which were computed.
  Values Read(const std::vector<std::string>& items, const std::string& name_space = kSpace) {
    computed_.clear();
    return Of(*client_, name_space, items, [&](std::span<const std::string_view> missing) {
      Values values;
      for (const std::string_view key : missing) {
        computed_.emplace_back(key);
        values.push_back(key == "nothing" ? std::nullopt : std::optional(ValueOf(key)));
      }
      return values;
    });
  }

  // One for all: each test has keys of its own.
  static inline std::unique_ptr<TempDir> dir_;
  static inline std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
  std::vector<std::string> computed_;
};

TEST_F(ReadThroughTest, Line0_15BulkRequestsAreCachedItemByItem) {
  EXPECT_THAT(Read({"a", "b"}), ElementsAre("made of a", "made of b"));
  EXPECT_THAT(computed_, ElementsAre("a", "b"));
  EXPECT_THAT(Read({"b", "c", "a", "c", "nothing"}),
              ElementsAre("made of b", "made of c", "made of a", "made of c", std::nullopt));
  EXPECT_THAT(computed_, ElementsAre("c", "nothing")) << "each once, and what is there not at all";
  EXPECT_THAT(Read({"a", "b", "c", "nothing"}), testing::SizeIs(4));
  EXPECT_THAT(computed_, IsEmpty()) << "that there is nothing is remembered";
  EXPECT_EQ(client_->Get(kSpace, "c").value, "made of c");
  EXPECT_THAT(Read({"nothing"}, "forgetful"), ElementsAre(std::nullopt));
  EXPECT_THAT(Read({"nothing"}, "forgetful"), ElementsAre(std::nullopt));
  EXPECT_THAT(computed_, ElementsAre("nothing")) << "unless the policy says otherwise";
}

TEST_F(ReadThroughTest, WhatIsInvalidatedWhileItIsComputedIsAnsweredAndNotStored) {
  const Values values =
      Of(*client_, kSpace, {"invalidated"}, [&](std::span<const std::string_view>) {
        EXPECT_TRUE(client_->Invalidate(kSpace, "invalidated").ok());
        return Values{"old"};
      });
  EXPECT_THAT(values, ElementsAre("old"));
  EXPECT_FALSE(client_->Get(kSpace, "invalidated").hit());
}

TEST_F(ReadThroughTest, ManyCallersWithOverlappingKeysComputeEachOnce) {
  constexpr int kCallers = 64;
  const std::unique_ptr<Client> other = NewClient(*cluster_);
  absl::Mutex mu;
  std::map<std::string, int> computed;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  const absl::Time began = absl::Now();
  for (int n = 0; n < kCallers; ++n) {
    callers.emplace_back([&, n] {
      std::mt19937_64 random(static_cast<uint64_t>(n));
      std::vector<std::string> keys;
      for (int i = 0; i < 60; ++i) keys.push_back(absl::StrCat("shared:", i));
      std::shuffle(keys.begin(), keys.end(), random);
      keys.resize(30);
      const Values values =
          Of(n % 2 == 0 ? *client_ : *other, kSpace, keys,
             [&](std::span<const std::string_view> missing) {
               Values made;
               absl::MutexLock lock(&mu);
               for (const std::string_view key : missing) {
                 ++computed[std::string(key)];
                 made.push_back(key.back() == '7' ? std::nullopt : std::optional(ValueOf(key)));
               }
               return made;
             });
      for (size_t i = 0; i < keys.size(); ++i) {
        const bool is_right =
            keys[i].back() == '7' ? !values[i].has_value() : values[i] == ValueOf(keys[i]);
        if (!is_right) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LT(absl::Now() - began, kPatience);
  absl::MutexLock lock(&mu);
  EXPECT_EQ(computed.size(), 60u);
  for (const auto& [key, times] : computed) EXPECT_EQ(times, 1) << key;
}

TEST_F(ReadThroughTest, AFunctionThatThrowsGivesItsKeysToTheNext) {
  absl::Notification computing;
  absl::Notification fail;
  std::thread failing([&] {
    EXPECT_THROW(Of(*client_, kSpace, {"x", "y"},
                    [&](std::span<const std::string_view>) -> Values {
                      computing.Notify();
                      fail.WaitForNotification();
                      throw std::runtime_error("the database is away");
                    }),
                 std::runtime_error);
  });
  computing.WaitForNotification();
  std::thread next([&] {
    EXPECT_THAT(Read({"y", "x", "z"}), ElementsAre("made of y", "made of x", "made of z"));
    std::sort(computed_.begin(), computed_.end());
    EXPECT_THAT(computed_, ElementsAre("x", "y", "z"));
  });
  fail.Notify();
  failing.join();
  const absl::Time failed = absl::Now();
  next.join();
  EXPECT_LT(absl::Now() - failed, kPatience / 2) << "not after the leases' end";
}

TEST_F(ReadThroughTest, AHolderThatDiesIsReplaced) {
  GetOptions lease;
  lease.want_lease = true;
  lease.timeout = kPatience;
  ASSERT_FALSE(client_->Get("brief", "dead", lease).lease.empty());  // It will never be used.
  EXPECT_THAT(Read({"free", "dead"}, "brief"), ElementsAre("made of free", "made of dead"));
  EXPECT_THAT(computed_, ElementsAre("free", "dead"))
      << "first what is free, then what the dead one had";
}

TEST_F(ReadThroughTest, WhatOthersDoNotComputeInTimeIsComputedHere) {
  GetOptions lease;
  lease.want_lease = true;
  lease.timeout = kPatience;
  const std::string held = client_->Get(kSpace, "slow", lease).lease;
  ASSERT_FALSE(held.empty());
  ReadThroughOptions hurried = Patient();
  hurried.patience = absl::Milliseconds(100);
  const ComputeMissing compute = [](std::span<const std::string_view> missing) {
    return Values(missing.size(), "mine");
  };
  EXPECT_THAT(Of(*client_, kSpace, {"slow"}, compute, hurried), ElementsAre("mine"));
  SetOptions fill;
  fill.lease = held;
  EXPECT_TRUE(client_->Set(kSpace, "slow", "theirs", fill).ok()) << "nobody has stored over it";
  EXPECT_THAT(Of(*client_, kSpace, {"slow"}, compute, hurried), ElementsAre("theirs"));
}

TEST_F(ReadThroughTest, Line4_01WithoutACacheEverythingIsComputedAndNothingFails) {
  const std::unique_ptr<TestCluster> lost = StartTestCluster({.regions = {"us"}, .nodes = 1});
  ASSERT_NE(lost, nullptr);
  client_ = NewClient(*lost);
  EXPECT_TRUE(client_->Set(kSpace, "a", "cached").ok());
  lost->Kill("us-node-1");
  EXPECT_THAT(Read({"a", "b"}), ElementsAre("made of a", "made of b"));
  EXPECT_THAT(computed_, ElementsAre("a", "b"));
}

}  // namespace
}  // namespace meridian
