// Six nodes are restarted one by one under load: no call fails, and what was a hit stays one
// (issue 6: never more than 2 points below before).

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr int kStored = 2000;
constexpr size_t kHitsOfCall = 80;  // Of 100 keys of each call; nobody has the others.
constexpr size_t kKeysOfCall = 100;
constexpr double kMostBelow = 0.02;

// Reads in turn all keys that are stored, and some that are not, without a pause that matters.
class Reader {
 public:
  explicit Reader(Client& client) : client_(client), thread_([this] { Run(); }) {}
  ~Reader() { Stop(); }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  struct Rates {
    double hits = 0;  // Of L1 and Redis together: the least of a call.
    double l1 = 0;    // The mean.
    size_t cold = 0;  // Keys that are stored and were not answered by L1.
    size_t calls = 0;
  };
  // Of all calls since the last call of this.
  Rates Take() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    Rates rates = taken_;
    if (rates.calls > 0) rates.l1 /= static_cast<double>(rates.calls);
    taken_ = {.hits = 1};
    return rates;
  }
  std::string error() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return error_;
  }

 private:
  void Run() {
    int next = 0;
    for (int call = 0; !stop_; ++call) {
      std::vector<std::string> names;
      while (names.size() < kHitsOfCall) names.push_back(absl::StrCat("k:", next++ % kStored));
      while (names.size() < kKeysOfCall) names.push_back(absl::StrCat("none:", call, names.size()));
      const std::vector<std::string_view> keys(names.begin(), names.end());
      size_t hits = 0;
      size_t l1 = 0;
      std::string error;
      for (const GetResult& result : client_.BatchGet(calls::kSpace, keys)) {
        hits += result.value == "value" ? 1 : 0;
        l1 += result.source == ResultSource::kL1 ? 1 : 0;
        if (result.error != nullptr) error = result.error->message;
      }
      {
        absl::MutexLock lock(&mu_);
        taken_.hits = std::min(taken_.hits, static_cast<double>(hits) / kKeysOfCall);
        taken_.l1 += static_cast<double>(l1) / kHitsOfCall;
        taken_.cold += kHitsOfCall - l1;
        ++taken_.calls;
        if (error_.empty()) error_ = error;
      }
      absl::SleepFor(absl::Milliseconds(10));
    }
  }

  Client& client_;
  std::atomic<bool> stop_{false};
  mutable absl::Mutex mu_;
  Rates taken_ ABSL_GUARDED_BY(mu_) = {.hits = 1};
  std::string error_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

struct Rates {
  Reader::Rates before;
  Reader::Rates during;
};

// Of a region of six nodes that are restarted one by one.
void RestartAll(const std::vector<std::string>& node_flags,
                const std::vector<std::string>& coordinator_flags, Rates* rates) {
  const auto cluster = StartTestCluster({.regions = {"us"},
                                         .nodes = 6,
                                         .node_flags = node_flags,
                                         .coordinator_flags = coordinator_flags});
  ASSERT_NE(cluster, nullptr);
  const auto stub = NewStub<cache::v1::CacheService>(cluster->Address("us-node-1", "data"));
  for (int from = 0; from < kStored; from += 500) {
    std::vector<std::string> keys;
    for (int i = from; i < from + 500; ++i) keys.push_back(absl::StrCat("k:", i));
    const cache::v1::BatchSetResponse set = calls::SetAll(*stub, keys, "value");
    for (const auto& result : set.results()) {
      ASSERT_EQ(result.status(), cache::v1::ENTRY_STATUS_OK);
    }
  }
  const std::unique_ptr<Client> client =
      cluster->NewClient("us", {.batch_timeout = absl::Seconds(10)});
  Reader reader(*client);
  ASSERT_TRUE(WaitUntil(
      [&] {
        rates->before = reader.Take();
        return rates->before.calls > 0 && rates->before.l1 > 0.99;
      },
      absl::Seconds(60), absl::Seconds(1)))
      << "L1 is not warm";
  EXPECT_EQ(rates->before.hits, static_cast<double>(kHitsOfCall) / kKeysOfCall);
  absl::SleepFor(absl::Seconds(5));  // What is hot is saved.
  reader.Take();

  const absl::Time start = absl::Now();
  cluster->RestartRolling("us");
  const absl::Duration took = absl::Now() - start;
  rates->during = reader.Take();
  reader.Stop();
  std::printf(
      "%zu calls in %s: hit rate %.3f before, %.3f in the worst call; L1 %.3f, then %.3f, "
      "%zu keys not\n",
      rates->during.calls, absl::FormatDuration(took).c_str(), rates->before.hits,
      rates->during.hits, rates->before.l1, rates->during.l1, rates->during.cold);
  EXPECT_EQ(reader.error(), "");
  EXPECT_GT(rates->during.calls, 50u) << "there was no load";
}

TEST(RollingRestartTest, NoCallFailsAndTheHitRateStaysWhereItWas) {
  Rates rates;
  ASSERT_NO_FATAL_FAILURE(RestartAll({"--heat-interval=1s"}, {}, &rates));
  EXPECT_GE(rates.during.hits, rates.before.hits - kMostBelow);
  // Memory goes over to the next owners, as well.
  EXPECT_LT(rates.during.cold, kStored / 2);
}

// The control: what the test above sees of memory is hand-off and refill.
TEST(RollingRestartTest, WithoutHandOffAndRefillMemoryGoesCold) {
  Rates rates;
  ASSERT_NO_FATAL_FAILURE(RestartAll({"--refill-rate=0"}, {"--hand-off-timeout=0"}, &rates));
  EXPECT_GE(rates.during.hits, rates.before.hits - kMostBelow) << "Redis has all of it";
  // Each node that goes and comes back takes a sixth of all with it, twice.
  EXPECT_GT(rates.during.cold, kStored);
}

}  // namespace
}  // namespace meridian
