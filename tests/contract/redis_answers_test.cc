// Answers that real servers give rarely, by a server that gives them when it is told to.

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/l2/cluster_route.h"
#include "server/l2/sentinel_watch.h"
#include "tests/contract/redis_store_fixture.h"
#include "tests/contract/scripted_redis.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using Words = ScriptedRedis::Words;

constexpr absl::Duration kLong = absl::Seconds(30);

// One server that has all slots of a "cluster".
class ClusterAnswersTest : public RedisStoreTest {
 protected:
  // `answer` is asked for MGETs.
  void Start(std::function<std::string()> answer) {
    mget_ = std::move(answer);
    server_ =
        std::make_unique<ScriptedRedis>([this](const Words& words) -> std::optional<std::string> {
          if (words[0] == "MGET") return mget_();
          if (words[0] == "CLUSTER") return server_->AllSlots();
          return std::nullopt;
        });
    OpenStore({}, absl::StrCat("redis+cluster://127.0.0.1:", server_->port()));
    // The first table is there.
    ASSERT_TRUE(WaitUntil([&] { return store_->Health().connected; }, kLong));
  }
  // Refuses the first `times` reads.
  std::function<std::string()> Refusing(const std::string& error, int times) {
    return [this, error, times] {
      return ++asked_ <= times ? absl::StrCat("-", error, "\r\n") : std::string("*1\r\n$-1\r\n");
    };
  }

  ~ClusterAnswersTest() override { store_.reset(); }  // Before the server goes.

  std::function<std::string()> mget_;
  std::unique_ptr<ScriptedRedis> server_;
  std::atomic<int> asked_{0};
};

constexpr const char* kPassing[] = {"CLUSTERDOWN Hash slot not served", "LOADING Redis is loading",
                                    "MASTERDOWN Link with MASTER is down", "READONLY You can't"};

TEST_F(ClusterAnswersTest, WhatPassesIsTriedAgainUntilItHasPassed) {
  for (const char* error : kPassing) {
    asked_ = 0;
    Start(Refusing(error, 4));
    const L2Record record = Fetch({Key("a")})[0];
    EXPECT_TRUE(record.status.ok()) << error << ": " << record.status;
    EXPECT_EQ(asked_, 5) << error;
    store_.reset();
  }
}

TEST_F(ClusterAnswersTest, WhatDoesNotPassIsToldAfterSomeTries) {
  for (const char* error : kPassing) {
    asked_ = 0;
    Start(Refusing(error, 1000));
    const L2Record record = Fetch({Key("a")})[0];
    EXPECT_EQ(record.status.code(), absl::StatusCode::kUnavailable) << record.status;
    EXPECT_THAT(std::string(record.status.message()), HasSubstr(error));
    EXPECT_EQ(asked_, 6) << error << ": asked once, and five times again";
    store_.reset();
  }
}

TEST_F(ClusterAnswersTest, ADeadlineEndsTheTries) {
  Start(Refusing("CLUSTERDOWN Hash slot not served", 1000));
  const absl::Time begin = absl::Now();
  EXPECT_FALSE(Fetch({Key("a")}, absl::Milliseconds(100))[0].status.ok());
  EXPECT_LT(asked_, 5);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(20));
}

// Signs of change without end, two hundred a second.
TEST_F(ClusterAnswersTest, TheTableIsAskedForWithAPauseThatDiffersEachTime) {
  Start([] { return std::string("-READONLY You can't\r\n"); });
  const absl::Time begin = absl::Now();
  while (absl::Now() - begin < absl::Seconds(5)) Fetch({Key("a")}, absl::Milliseconds(40));
  const std::vector<absl::Time> times = server_->TimesOf("CLUSTER SLOTS");
  // Every 0.5 s, give or take 30 %.
  EXPECT_GE(times.size(), 5u) << "the test does not test";
  EXPECT_LE(times.size(), 17u);
  absl::Duration shortest = absl::InfiniteDuration();
  absl::Duration longest;
  for (size_t i = 2; i < times.size(); ++i) {
    shortest = std::min(shortest, times[i] - times[i - 1]);
    longest = std::max(longest, times[i] - times[i - 1]);
  }
  EXPECT_GE(shortest, absl::Milliseconds(300));
  // The signs must not choose: the least of a hundred draws is the same everywhere.
  EXPECT_GT(longest - shortest, absl::Milliseconds(50)) << "all nodes would ask at the same time";
}

// Each redirect names a server that nobody has heard of.
TEST_F(ClusterAnswersTest, RedirectsToNewServersWithoutEndAreFollowedToSomeOfThem) {
  std::atomic<int> next{20'000};
  Start([&next] { return absl::StrCat("-MOVED 1 127.0.0.1:", ++next, "\r\n"); });
  for (int i = 0; i < 300; ++i) {
    Fetch({Key(absl::StrCat("k", i))}, absl::Milliseconds(200));
    ASSERT_LE(store_->Health().endpoints.size(), ClusterRoute::kMaxUnlisted + 2) << i;
  }
  EXPECT_GT(next, 20'000 + 200) << "the test does not test";
  store_.reset();  // Before `next`.
}

// The polls are an hour apart: only the message can tell.
TEST(SentinelAnswersTest, AFailoverIsHeardOfWhenTheSentinelSaysSo) {
  std::atomic<int> primary{7001};
  ScriptedRedis sentinel([&](const Words& words) -> std::optional<std::string> {
    if (words[0] != "SENTINEL") return std::nullopt;
    if (words[1] == "get-master-addr-by-name") {
      return ScriptedRedis::Array({"127.0.0.1", absl::StrCat(primary.load())});
    }
    if (words[1] == "MASTER") {
      return ScriptedRedis::Array({"config-epoch", absl::StrCat(primary.load())});
    }
    return "*0\r\n";
  });
  const RedisUrl url =
      *ParseRedisUrl(absl::StrCat("redis+sentinel://127.0.0.1:", sentinel.port(), "/main"));
  const SystemClock clock;
  auto loop = EventLoop::Create("watch-test");
  ASSERT_TRUE(loop.ok());
  std::atomic<int> found{0};
  std::unique_ptr<SentinelWatch> watch;
  (*loop)->PostAndWait([&] {
    SentinelOptions options;
    options.timeout = absl::Seconds(5);
    options.poll = absl::Hours(1);
    options.hurry = absl::Hours(1);
    watch = std::make_unique<SentinelWatch>(
        **loop, clock, url, options, nullptr,
        SentinelWatch::Events{
            .found = [&](const RedisAddress& address, uint64_t,
                         const std::vector<RedisAddress>&) { found = address.port; },
            .lost = [](const absl::Status&) {},
            .asked = [](const std::vector<L2Sentinel>&) {}});
  });
  EXPECT_TRUE(WaitUntil([&] { return found == 7001; }, kLong));
  EXPECT_TRUE(WaitUntil([&] { return sentinel.CountOf("SUBSCRIBE") > 0; }, kLong));
  primary = 7002;
  // Of another group: nothing happens.
  const auto message = [](const std::string& group) {
    return ScriptedRedis::Array(
        {"message", "+switch-master", group + " 127.0.0.1 7001 127.0.0.1 7002"});
  };
  const size_t asked = sentinel.CountOf("SENTINEL");
  sentinel.Push(message("other"));
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(sentinel.CountOf("SENTINEL"), asked);
  // What is pushed before the subscription is known to have been made is dropped.
  EXPECT_TRUE(WaitUntil(
      [&] {
        sentinel.Push(message("main"));
        return found == 7002;
      },
      kLong));
  (*loop)->PostAndWait([&] { watch.reset(); });
}

TEST(SentinelAnswersTest, ReplicasWithoutEndAreNotAllTaken) {
  std::string many = "*5000\r\n";
  for (int i = 0; i < 5000; ++i) {
    many += ScriptedRedis::Array(
        {"ip", "127.0.0.1", "port", absl::StrCat(10'000 + i), "flags", "slave"});
  }
  ScriptedRedis sentinel([&](const Words& words) -> std::optional<std::string> {
    if (words[0] != "SENTINEL") return std::nullopt;
    if (words[1] == "get-master-addr-by-name") return ScriptedRedis::Array({"127.0.0.1", "7001"});
    if (words[1] == "MASTER") return ScriptedRedis::Array({"config-epoch", "1"});
    return many;
  });
  const RedisUrl url =
      *ParseRedisUrl(absl::StrCat("redis+sentinel://127.0.0.1:", sentinel.port(), "/main"));
  const SystemClock clock;
  auto loop = EventLoop::Create("watch-test");
  ASSERT_TRUE(loop.ok());
  std::atomic<size_t> replicas{0};
  std::unique_ptr<SentinelWatch> watch;
  (*loop)->PostAndWait([&] {
    SentinelOptions options;
    options.timeout = absl::Seconds(5);
    watch = std::make_unique<SentinelWatch>(
        **loop, clock, url, options, nullptr,
        SentinelWatch::Events{
            .found = [&](const RedisAddress&, uint64_t,
                         const std::vector<RedisAddress>& found) { replicas = found.size(); },
            .lost = [](const absl::Status&) {},
            .asked = [](const std::vector<L2Sentinel>&) {}});
  });
  EXPECT_TRUE(WaitUntil([&] { return replicas > 0; }, kLong));
  EXPECT_EQ(replicas, SentinelWatch::kMaxReplicas);
  (*loop)->PostAndWait([&] { watch.reset(); });
}

// The same odd answer to every command that is no part of a handshake.
class OddAnswerTest : public RedisStoreTest, public ::testing::WithParamInterface<const char*> {
 protected:
  ~OddAnswerTest() override { store_.reset(); }

  // Of a call that is answered with one status, or a value. Returns whether it was well.
  template <typename Answer, typename Call>
  bool Ask(const char* what, Call call) {
    absl::Notification done;
    bool ok = true;
    call([&](const Answer& answer) {
      ok = answer.ok();
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kLong)) << what << " was not answered";
    return ok;
  }
  template <typename Answer, typename Call>
  void ExpectRefused(const char* what, Call call) {
    EXPECT_FALSE(Ask<Answer>(what, call)) << what;
  }
  // What is like an answer that says nothing may be taken for one.
  template <typename Answer, typename Call>
  void ExpectAnswered(const char* what, Call call) {
    Ask<Answer>(what, call);
  }
};

TEST_P(OddAnswerTest, EveryCallIsAnsweredAndWhatWasWrittenIsNotTakenForDone) {
  ScriptedRedis server([](const Words& words) -> std::optional<std::string> {
    for (const char* known : {"PING", "INFO", "CONFIG", "SCRIPT"}) {
      if (words[0] == known) return std::nullopt;
    }
    return GetParam();
  });
  OpenStore({}, absl::StrCat("redis://127.0.0.1:", server.port()));
  ASSERT_TRUE(observer_.WaitForUps(2));
  const absl::Time deadline = absl::Now() + kLong;
  EXPECT_FALSE(Apply({Put("a", 1, "v")})[0].status.ok()) << "EVALSHA of a write";
  EXPECT_FALSE(Replicate(Key("a").slot, {1, 1}, {Put("a", 1, "v")})[0].status.ok());
  ExpectAnswered<absl::StatusOr<std::vector<LogSlice>>>("XREAD", [&](auto done) {
    store_->ReadLogs({{1, {}}, {2, {}}}, 10, deadline, done);
  });
  ExpectAnswered<absl::StatusOr<std::vector<LogPosition>>>("log ends", [&](auto done) {
    store_->LogEnds({1, 2}, deadline, done);
  });
  ExpectAnswered<absl::StatusOr<std::vector<LogPosition>>>("cursors", [&](auto done) {
    store_->FetchCursors("eu", {1, 2}, deadline, done);
  });
  ExpectAnswered<absl::StatusOr<L2ScanPage>>(
      "SCAN", [&](auto done) { store_->Scan("", 10, deadline, done); });
  ExpectAnswered<absl::StatusOr<std::vector<Version>>>("versions", [&](auto done) {
    store_->FetchVersions({Key("a"), Key("b")}, deadline, done);
  });
  ExpectRefused<absl::StatusOr<std::vector<LogEntry>>>(
      "fences", [&](auto done) { store_->ListFences(1, deadline, done); });
  ExpectRefused<absl::StatusOr<std::vector<LogSize>>>("sizes of logs", [&](auto done) {
    store_->MeasureLogs({1, 2}, deadline, done);
  });
  ExpectRefused<absl::StatusOr<std::vector<TombstoneUse>>>("tombstones", [&](auto done) {
    store_->SweepTombstones({Key("a")}, absl::Minutes(1), deadline, done);
  });
  ExpectRefused<absl::StatusOr<absl::Time>>("TIME",
                                            [&](auto done) { store_->ServerTime(deadline, done); });
}

INSTANTIATE_TEST_SUITE_P(
    Answers, OddAnswerTest,
    ::testing::Values(
        "+WHAT\r\n", "*1\r\n*1\r\n*1\r\n:1\r\n", "*3\r\n+a\r\n+b\r\n+c\r\n",
        "*2\r\n$1\r\nx\r\n*1\r\n$-1\r\n", "$5\r\nhello\r\n",
        "*2\r\n*2\r\n$5\r\nm:{1}\r\n*1\r\n*2\r\n$3\r\n1-x\r\n*1\r\n$1\r\nk\r\n:7\r\n"));

}  // namespace
}  // namespace meridian
