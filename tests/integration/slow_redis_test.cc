// A regional Redis that is stopped, or takes 200 ms for each answer: it is left alone within 2 s,
// what L1 has is answered as before, and the rest ends by its deadline.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/http_page.h"
#include "tests/support/paced_load.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";
constexpr int kWarmKeys = 50;
constexpr int kHits = 2000;
constexpr int kMissesPerSecond = 200;
constexpr absl::Duration kPatience = absl::Seconds(40);
constexpr absl::Duration kOpens = absl::Seconds(2);
// Of those who ask for what L1 does not have. Less than Redis takes when it is slow.
constexpr absl::Duration kDeadline = absl::Milliseconds(100);
// What an answer may be late, because the client's timer and the machine are.
constexpr absl::Duration kLate = absl::Milliseconds(300);

// A silence of 1 s (--l2-timeout), in which Redis is given a second chance.
constexpr absl::Duration kNodeEnds = absl::Seconds(4);

using testing::AnyOf;
using testing::HasSubstr;

class SlowRedisTest : public testing::Test {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.regions = {"us"};
    options.nodes = 1;
    options.fault_proxies = "redis";
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    client_ = cluster_->NewClient("us");
    for (int i = 0; i < kWarmKeys; ++i) {
      ASSERT_TRUE(
          WaitUntil([&] { return client_->Set(kSpace, WarmKey(i), "hot").ok(); }, kPatience));
      ASSERT_TRUE(WaitUntil(
          [&] { return client_->Get(kSpace, WarmKey(i)).source == ResultSource::kL1; }, kPatience));
    }
  }

  static std::string WarmKey(int i) { return absl::StrCat("warm:", i); }
  double CircuitState() const {
    return FetchMetric(cluster_->Address("us-node-1", "http"), "meridian_l2_circuit_state");
  }

  // What L1 has is answered by L1. How fast, says scripts/bench slow-redis.
  void ExpectHits() {
    for (int i = 0; i < kHits; ++i) {
      const GetResult read = client_->Get(kSpace, WarmKey(i % kWarmKeys));
      ASSERT_EQ(read.source, ResultSource::kL1)
          << (read.error == nullptr ? "" : read.error->message);
    }
  }

  // The longest of some reads of what nobody has.
  absl::Duration LongestMiss() {
    absl::Duration longest;
    GetOptions options;
    options.timeout = kDeadline;
    for (int i = 0; i < 50; ++i) {
      const absl::Time began = absl::Now();
      const GetResult read = client_->Get(kSpace, absl::StrCat("nobody has it:", i), options);
      longest = std::max(longest, absl::Now() - began);
      EXPECT_NE(read.status, ResultStatus::kOk);
    }
    return longest;
  }

  // Who would wait for ten seconds is answered long before: the node ends what Redis does not
  // answer, whatever the caller's deadline.
  void ExpectTheNodeAnswersInTime() {
    GetOptions options;
    options.timeout = absl::Seconds(10);
    for (int i = 0; i < 20; ++i) {
      const absl::Time began = absl::Now();
      const GetResult read = client_->Get(kSpace, absl::StrCat("nor has it:", i), options);
      EXPECT_LT(absl::Now() - began, kNodeEnds)
          << (read.error == nullptr ? "" : read.error->message);
      EXPECT_FALSE(read.hit());
    }
  }
  // What people see of it.
  void ExpectStatusSaysSo() {
    const CommandResult status =
        RunCommand({ProgramPath("meridianctl"), "status", "--cluster", cluster_->file()});
    EXPECT_EQ(status.exit_code, 0) << status.err;
    EXPECT_THAT(status.out, AnyOf(HasSubstr("breaker open"), HasSubstr("breaker half_open")));
    EXPECT_THAT(status.out, HasSubstr("\nanswers come from l1, then l2"));
  }

  void ExpectItIsLeftAlone(const std::function<void()>& begin, const std::function<void()>& end) {
    ExpectHits();
    PacedLoadOptions misses;
    misses.name = "misses";
    misses.writes_per_second = 0;
    misses.reads_per_second = kMissesPerSecond;
    misses.timeout = kDeadline;
    PacedLoad load(*client_, misses);
    // The breaker's window is full of calls that went well.
    ASSERT_TRUE(WaitUntil([&] { return load.reads() > 10 * kMissesPerSecond; }, kPatience));
    begin();
    const absl::Time began = absl::Now();
    EXPECT_TRUE(WaitUntil([&] { return CircuitState() != 0; }, kPatience));
    const absl::Duration opened = absl::Now() - began;
    EXPECT_LT(opened, kOpens);
    ExpectStatusSaysSo();
    ExpectHits();
    const absl::Duration miss = LongestMiss();
    std::printf("breaker open after %.2f s; longest miss %.0f ms\n", absl::ToDoubleSeconds(opened),
                absl::ToDoubleMilliseconds(miss));
    EXPECT_LT(miss, kDeadline + kLate);
    load.Stop();
    ExpectTheNodeAnswersInTime();
    EXPECT_GT(load.failed(), 0u);

    end();
    EXPECT_TRUE(WaitUntil([&] { return client_->Set(kSpace, "again", "works").ok(); }, kPatience,
                          absl::Milliseconds(50)));
    EXPECT_TRUE(WaitUntil(
        [&] {
          client_->Get(kSpace, absl::StrCat("probe:", absl::ToUnixMicros(absl::Now())));
          return CircuitState() == 0;
        },
        kPatience));
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
};

TEST_F(SlowRedisTest, OneThatIsStoppedIsLeftAloneAndWhatL1HasIsAnswered) {
  ExpectItIsLeftAlone([&] { cluster_->Stop("us-redis"); }, [&] { cluster_->Cont("us-redis"); });
}

TEST_F(SlowRedisTest, OneThatTakes200MsForEachAnswerIsLeftAloneAsWell) {
  ExpectItIsLeftAlone([&] { cluster_->Fault("us-redis-proxy", "down.delay=200ms"); },
                      [&] { cluster_->Fault("us-redis-proxy", "clear"); });
}

}  // namespace
}  // namespace meridian
