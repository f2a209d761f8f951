// What only a real Redis can show: death, silence, lost scripts, foreign keys, wrong passwords.

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "common/base/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/l2/apply_batch.h"
#include "server/node/record.h"
#include "server/replication/write_refusal.h"
#include "tests/contract/redis_store_fixture.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(RedisStoreTest, RecoversByItselfWhenRedisIsKilledAndComesBack) {
  StartRedis();
  OpenStore();
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  redis_->Kill();
  EXPECT_EQ(ApplyStatus(Put("a", 2, "two")).code(), absl::StatusCode::kUnavailable);
  const int ups = observer_.ups();
  ASSERT_TRUE(redis_->Restart().ok());
  ASSERT_TRUE(observer_.WaitForUps(ups + 2));
  EXPECT_TRUE(ApplyStatus(Put("a", 3, "three")).ok());
  EXPECT_EQ(ParseRecord(Fetch({Key("a")})[0].record.view())->value, "three");
  EXPECT_TRUE(store_->Health().connected);
}

TEST_F(RedisStoreTest, FailedConnectsOpenTheBreakerAndARestartClosesIt) {
  StartRedis();
  OpenStore();
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  redis_->Kill();
  while (observer_.breaker() != "open") Apply({Put("a", 2, "two")});
  const absl::Status refused = ApplyStatus(Put("a", 2, "two"));
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("L2_CIRCUIT_OPEN"));
  EXPECT_FALSE(store_->Health().connected);
  EXPECT_THAT(store_->Health().problem, HasSubstr("L2_UNAVAILABLE"));
  ASSERT_TRUE(redis_->Restart().ok());
  while (observer_.breaker() != "closed") Apply({Put("b", 1, "one")});
  EXPECT_TRUE(ApplyStatus(Put("a", 3, "three")).ok());
}

TEST_F(RedisStoreTest, ASilentRedisIsAnsweredAtTheDeadlineAndOpensTheBreaker) {
  StartRedis();
  RedisStoreOptions options;
  options.client.connection.command_timeout = absl::Milliseconds(400);
  options.client.breaker.min_calls = 3;
  options.client.breaker.open_for = absl::Minutes(5);
  options.client.breaker.max_open_for = absl::Minutes(5);
  OpenStore(options);
  ASSERT_TRUE(observer_.WaitForUps(2));
  redis_->Stop();
  const absl::Time start = absl::Now();
  EXPECT_EQ(Fetch({Key("a")}, absl::Milliseconds(100))[0].status.code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(100));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  while (observer_.breaker() != "open") Fetch({Key("a")}, absl::Milliseconds(100));
  EXPECT_THAT(std::string(Fetch({Key("a")})[0].status.message()), HasSubstr("L2_CIRCUIT_OPEN"));
  ASSERT_TRUE(observer_.WaitForDowns(1));  // Silent for command_timeout: the connection goes.
  const int ups = observer_.ups();
  redis_->Cont();
  // An answered handshake is enough: nobody waits five minutes.
  ASSERT_TRUE(observer_.WaitForUps(ups + 1));
  while (!ApplyStatus(Put("a", 2, "two")).ok()) {
  }
  while (observer_.breaker() != "closed") Fetch({Key("a")});
  EXPECT_EQ(ParseRecord(Fetch({Key("a")})[0].record.view())->value, "two");
}

TEST_F(RedisStoreTest, OneThatRefusesWritesGoesOnAnsweringReadsAndTheBreakerStaysClosed) {
  StartRedis();
  RedisStoreOptions options;
  options.client.breaker.min_calls = 3;
  OpenStore(options);
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  ASSERT_TRUE(redis_->Command({"CONFIG", "SET", "min-replicas-to-write", "1"}).ok());
  for (int i = 0; i < 20; ++i) {
    const absl::Status refused = ApplyStatus(Put("a", 2, "two"));
    EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(refused.message()), HasSubstr("NOREPLICAS")) << i;
  }
  EXPECT_EQ(ParseRecord(Fetch({Key("a")})[0].record.view())->value, "one");
  EXPECT_NE(observer_.breaker(), "open");
  ASSERT_TRUE(redis_->Command({"CONFIG", "SET", "min-replicas-to-write", "0"}).ok());
  EXPECT_TRUE(ApplyStatus(Put("a", 2, "two")).ok());
}

// Whoever looks for the write that a store does not take must not find another reason.
TEST_F(RedisStoreTest, WhatIsNotSentBehindAFailedWriteHasItsStatus) {
  StartRedis();
  RedisStoreOptions options;
  options.max_keys_per_call = 2;
  OpenStore(options);
  const uint32_t slot = Key("{s}0").slot;
  const auto replicate = [&] {
    std::vector<L2Write> writes;
    for (int i = 0; i < 5; ++i) writes.push_back(Put("{s}" + std::to_string(i), 1, "v"));
    return Replicate(slot, {7, 0}, std::move(writes));
  };
  struct Fault {
    std::string setting, value, end;
    absl::StatusCode code;
    std::string text;
  };
  for (const Fault& fault :
       {Fault{"min-replicas-to-write", "1", "0", absl::StatusCode::kUnavailable, "NOREPLICAS"},
        Fault{"maxmemory", "1", "0", absl::StatusCode::kResourceExhausted, "OOM"}}) {
    ASSERT_TRUE(redis_->Command({"CONFIG", "SET", fault.setting, fault.value}).ok());
    for (const L2WriteResult& result : replicate()) {
      EXPECT_EQ(result.status.code(), fault.code) << result.status;
      EXPECT_TRUE(IsOfOneSlot(result.status)) << result.status;
      EXPECT_THAT(std::string(result.status.message()), StartsWith("Redis: " + fault.text));
    }
    EXPECT_EQ(Cursor(slot), LogPosition());
    ASSERT_TRUE(redis_->Command({"CONFIG", "SET", fault.setting, fault.end}).ok());
  }
  for (const L2WriteResult& result : replicate()) EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(Cursor(slot), (LogPosition{7, 0}));
}

TEST_F(RedisStoreTest, ThePoolGrowsWhenItsConnectionsAreBusyAndNotBeyondItsLimit) {
  StartRedis();
  RedisStoreOptions options;
  options.client.read_connections = 4;
  OpenStore(options);
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  ASSERT_TRUE(Fetch({Key("a")})[0].status.ok());
  // Calls one after the other need one connection for reads, beside that for writes.
  for (int i = 0; i < 100; ++i) Fetch({Key("a")});
  ASSERT_EQ(store_->Health().endpoints.size(), 1u);
  EXPECT_EQ(store_->Health().endpoints[0].connections, 2);
  // While Redis does not answer, all that are open are busy: each call opens one more.
  redis_->Stop();
  absl::BlockingCounter left(300);
  for (int i = 0; i < 300; ++i) {
    store_->Fetch({Key("a")}, clock_.Now() + absl::Seconds(30), [&](std::vector<L2Record> records) {
      EXPECT_TRUE(records[0].status.ok()) << records[0].status;
      left.DecrementCount();
    });
  }
  redis_->Cont();
  left.Wait();
  ASSERT_TRUE(observer_.WaitForUps(2));
  for (int round = 0; round < 100 && observer_.ups() < 5; ++round) {
    absl::BlockingCounter answers(300);
    for (int i = 0; i < 300; ++i) {
      store_->Fetch({Key("a")}, clock_.Now() + absl::Seconds(30),
                    [&](const std::vector<L2Record>&) { answers.DecrementCount(); });
    }
    answers.Wait();
  }
  EXPECT_EQ(store_->Health().endpoints[0].connections, 5);
  EXPECT_EQ(observer_.ups(), 5);
}

TEST_F(RedisStoreTest, AScriptThatRedisHasLostIsSentAgain) {
  StartRedis();
  OpenStore();
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  ASSERT_EQ(*redis_->Command({"SCRIPT", "FLUSH"}), "+OK");
  std::vector<L2Write> writes;
  for (int i = 0; i < 500; ++i) writes.push_back(Put(absl::StrCat("k", i), 1, "v"));
  for (const L2WriteResult& result : Apply(std::move(writes))) {
    ASSERT_TRUE(result.status.ok()) << result.status;
    ASSERT_EQ(result.outcome, L2WriteOutcome::kApplied);
  }
}

TEST_F(RedisStoreTest, TheEmbeddedHashIsTheOneThatRedisComputes) {
  StartRedis();
  for (const Script* script : {&kApplyScript, &kLogEndsScript, &kLeaseAcquireScript,
                               &kLeaseReleaseScript, &kPutFencedScript}) {
    EXPECT_EQ(*redis_->Command({"SCRIPT", "LOAD", std::string(script->source)}), script->sha1);
  }
}

TEST_F(RedisStoreTest, AForeignTypeFailsItsKeyAndNobodyElse) {
  StartRedis();
  OpenStore();
  ASSERT_EQ(*redis_->Command({"LPUSH", EntryRedisKey(Key("list")), "x"}), ":1");
  const auto results = Apply({Put("a", 1, "one"), Put("list", 1, "one"), Put("b", 1, "one")});
  EXPECT_TRUE(results[0].status.ok());
  EXPECT_EQ(results[1].status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(results[1].status.message()), HasSubstr("WRONGTYPE"));
  EXPECT_TRUE(results[2].status.ok());
  // A key that will never be ours does not hold replication up.
  const uint32_t slot = Key("list").slot;
  Replicate(slot, {5, 0}, {Put("list", 2, "two")});
  EXPECT_EQ(Cursor(slot), (LogPosition{5, 0}));
}

TEST_F(RedisStoreTest, AWriteThatRedisHasNoRoomForKeepsTheCursorWhereItIs) {
  StartRedis();
  OpenStore();
  const uint32_t slot = Key("a").slot;
  Replicate(slot, {5, 0}, {Put("a", 1, "one")});
  ASSERT_EQ(*redis_->Command({"CONFIG", "SET", "maxmemory", "1"}), "+OK");
  EXPECT_EQ(Replicate(slot, {6, 0}, {Put("a", 2, "two")})[0].status.code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Cursor(slot), (LogPosition{5, 0}));
  ASSERT_EQ(*redis_->Command({"CONFIG", "SET", "maxmemory", "0"}), "+OK");
  EXPECT_TRUE(Replicate(slot, {6, 0}, {Put("a", 2, "two")})[0].status.ok());
  EXPECT_EQ(Cursor(slot), (LogPosition{6, 0}));
}

TEST_F(RedisStoreTest, AForeignLogEntryIsPassedOver) {
  StartRedis();
  OpenStore();
  const L2Key key = Key("a");
  ASSERT_TRUE(redis_->Command({"XADD", LogRedisKey(key.slot), "1-1", "who", "knows"}).ok());
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  absl::Notification done;
  std::vector<LogSlice> slices;
  store_->ReadLogs({{key.slot, {}}}, 10, clock_.Now() + absl::Seconds(10),
                   [&](absl::StatusOr<std::vector<LogSlice>> read) {
                     if (read.ok()) slices = *std::move(read);
                     done.Notify();
                   });
  done.WaitForNotification();
  ASSERT_EQ(slices.size(), 1u);
  ASSERT_EQ(slices[0].entries.size(), 2u);
  EXPECT_FALSE(slices[0].entries[0].version.is_set());
  EXPECT_EQ(slices[0].entries[0].position, (LogPosition{1, 1}));
  EXPECT_EQ(slices[0].entries[1].key, "a");
}

TEST_F(RedisStoreTest, TheChangelogIsTrimmedAndNeverExpires) {
  StartRedis();
  RedisStoreOptions options;
  options.max_log_length = 100;
  OpenStore(options);
  std::vector<L2Write> writes;
  for (int i = 0; i < 1000; ++i) writes.push_back(Put("a", i, "v"));
  EXPECT_TRUE(Apply(std::move(writes)).back().status.ok());
  const std::string length = *redis_->Command({"XLEN", LogRedisKey(Key("a").slot)});
  EXPECT_LT(std::stoi(length.substr(1)), 300);
  EXPECT_GE(std::stoi(length.substr(1)), 100);
  EXPECT_EQ(*redis_->Command({"PTTL", LogRedisKey(Key("a").slot)}), ":-1");
  EXPECT_NE(*redis_->Command({"PTTL", EntryRedisKey(Key("a"))}), ":-1");
}

TEST_F(RedisStoreTest, AnAnswerBeyondTheLimitIsAskedForInHalves) {
  StartRedis();
  RedisStoreOptions options;
  options.client.connection.limits.max_reply_bytes = 300'000;
  OpenStore(options);
  std::vector<L2Key> keys;
  for (int i = 0; i < 20; ++i) {
    const std::string key = absl::StrCat("k", i);
    keys.push_back(Key(key));
    const size_t size = i == 13 ? 400'000 : 100'000;
    ASSERT_TRUE(ApplyStatus(Put(key, 1, std::string(size, static_cast<char>('a' + i)))).ok());
  }
  const std::vector<L2Record> records = Fetch(keys);
  for (int i = 0; i < 20; ++i) {
    if (i == 13) {
      EXPECT_EQ(records[i].status.code(), absl::StatusCode::kResourceExhausted);
      continue;
    }
    ASSERT_TRUE(records[i].status.ok()) << i << records[i].status;
    EXPECT_EQ(ParseRecord(records[i].record.view())->value,
              std::string(100'000, static_cast<char>('a' + i)));
  }
  EXPECT_EQ(observer_.ups(), 2);  // No connection was lost over it.
}

TEST_F(RedisStoreTest, APasswordIsUsedAndAWrongOneIsSaidWithoutShowingIt) {
  StartRedis({"--requirepass", "right"});
  OpenStore({}, absl::StrCat("redis://:right@127.0.0.1:", redis_->port(), "/2"));
  EXPECT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  store_.reset();
  OpenStore({}, absl::StrCat("redis://:wrong@127.0.0.1:", redis_->port()));
  const absl::Status status = ApplyStatus(Put("a", 2, "two"));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
  EXPECT_THAT(store_->Health().problem, HasSubstr("WRONGPASS"));
  EXPECT_THAT(store_->Health().problem, ::testing::Not(HasSubstr("wrong@")));
}

TEST_F(RedisStoreTest, HealthNamesAMemoryPolicyThatWouldEvictChangelogs) {
  StartRedis({"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"});
  OpenStore();
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  ASSERT_TRUE(observer_.WaitForUps(2));
  EXPECT_THAT(store_->Health().problem, HasSubstr("set maxmemory-policy volatile-lfu"));
}

TEST_F(RedisStoreTest, TheServerTellsWhatItUses) {
  StartRedis({"--maxmemory", "100mb", "--maxmemory-policy", "volatile-lfu"});
  OpenStore();
  ASSERT_TRUE(observer_.WaitForUps(2));
  const absl::StatusOr<L2Usage> before = Usage();
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->limit_bytes, uint64_t{100} << 20);
  EXPECT_EQ(before->eviction_policy, "volatile-lfu");
  EXPECT_FALSE(before->aof);
  EXPECT_TRUE(before->saves);
  EXPECT_LT(absl::AbsDuration(before->saved_at - absl::Now()), absl::Minutes(5)) << "its start";
  constexpr size_t kBytes = size_t{4} << 20;
  ASSERT_TRUE(ApplyStatus(Put("large", 1, std::string(kBytes, 'v'))).ok());
  EXPECT_GT(Usage()->used_bytes, before->used_bytes + kBytes);
}

TEST_F(RedisStoreTest, TheServerTellsWhatItHasAfterARestart) {
  const TempDir files;
  StartRedis({"--dir", files.path()});
  OpenStore();
  ASSERT_TRUE(observer_.WaitForUps(2));
  const auto after = [&](std::vector<std::string> setting) {
    setting.insert(setting.begin(), {"CONFIG", "SET"});
    EXPECT_TRUE(redis_->Command(setting).ok());
    return Usage()->persistence;
  };
  EXPECT_EQ(Usage()->persistence, "none");
  EXPECT_EQ(after({"save", "3600 1"}), "rdb");
  EXPECT_EQ(after({"appendonly", "yes"}), "rdb+aof");
  EXPECT_EQ(after({"save", ""}), "aof");
  redis_->Kill();  // Before its folder goes.
}

// As a managed Redis is.
TEST_F(RedisStoreTest, WithoutConfigItSaysWhatInfoTellsAndIsNotAskedAgain) {
  StartRedis();
  ASSERT_TRUE(redis_->Command({"ACL", "SETUSER", "default", "-config"}).ok());
  OpenStore();
  ASSERT_TRUE(observer_.WaitForUps(2));
  // "cmdstat_config|get:calls=0,...,rejected_calls=3,failed_calls=0"
  const auto refusals = [&] {
    const absl::StatusOr<std::string> info = redis_->Command({"INFO", "commandstats"});
    EXPECT_TRUE(info.ok()) << info.status();
    const size_t at = info->find("cmdstat_config|get:");
    return at == std::string::npos ? "" : info->substr(at, info->find('\r', at) - at);
  };
  const std::string at_first = refusals();
  EXPECT_THAT(at_first, HasSubstr("rejected_calls=")) << "maxmemory, when it connected";
  ASSERT_TRUE(Usage().ok()) << Usage().status();
  const std::string asked_once = refusals();
  EXPECT_NE(asked_once, at_first);
  const absl::StatusOr<L2Usage> usage = Usage();
  ASSERT_TRUE(usage.ok()) << usage.status();
  EXPECT_EQ(usage->persistence, "") << "not known";
  EXPECT_GT(usage->used_bytes, 0u);
  EXPECT_EQ(refusals(), asked_once);
}

TEST_F(RedisStoreTest, ADestroyedStoreAnswersWhatIsPending) {
  StartRedis();
  OpenStore();
  ASSERT_TRUE(observer_.WaitForUps(2));
  redis_->Stop();
  std::atomic<int> answered{0};
  std::atomic<int> unavailable{0};
  for (int i = 0; i < 50; ++i) {
    store_->Fetch({Key("a")}, clock_.Now() + absl::Seconds(10), [&](std::vector<L2Record> records) {
      ++answered;
      if (records[0].status.code() == absl::StatusCode::kUnavailable) ++unavailable;
    });
  }
  store_.reset();
  EXPECT_EQ(answered, 50);
  EXPECT_EQ(unavailable, 50);
  redis_->Cont();
}

TEST_F(RedisStoreTest, MoreThanTheBoundInFlightIsRefusedNotQueued) {
  StartRedis();
  RedisStoreOptions options;
  options.client.connection.max_in_flight = 10;
  OpenStore(options);
  ASSERT_TRUE(observer_.WaitForUps(2));
  redis_->Stop();
  absl::Mutex mu;
  std::multiset<int> codes;
  for (int i = 0; i < 30; ++i) {
    store_->Fetch({Key("a")}, clock_.Now() + absl::Seconds(10), [&](std::vector<L2Record> records) {
      absl::MutexLock lock(&mu);
      codes.insert(static_cast<int>(records[0].status.code()));
    });
  }
  const auto refused = [&] {
    return codes.count(static_cast<int>(absl::StatusCode::kResourceExhausted)) == 20;
  };
  {
    absl::MutexLock lock(&mu);
    EXPECT_TRUE(mu.AwaitWithTimeout(absl::Condition(&refused), absl::Seconds(30)));
  }
  redis_->Cont();
  store_.reset();
  EXPECT_EQ(codes.size(), 30u);
}

// As with a process that gets no processor: the command is not even on its way when time is over.
TEST_F(RedisStoreTest, AProcessThatDidNotRunForAWhileDoesNotBlameRedis) {
  StartRedis();
  RedisStoreOptions options;
  options.client.connection.command_timeout = absl::Milliseconds(600);
  OpenStore(options);
  ASSERT_TRUE(observer_.WaitForUps(2));
  redis_->Stop();
  absl::Notification answered;
  absl::Status status;
  absl::Notification stood_still;
  // Posted by the loop, so that nothing is written between the commands and the sleep.
  loop_->Post([&] {
    // Whose deadlines make each connection look how long Redis is silent.
    for (int i = 0; i < 4; ++i) {
      store_->Fetch({Key("brief")}, clock_.Now() + absl::Milliseconds(500),
                    [](const std::vector<L2Record>&) {});
    }
    store_->Fetch({Key("a")}, clock_.Now() + absl::Seconds(10), [&](std::vector<L2Record> records) {
      status = records[0].status;
      answered.Notify();
    });
    loop_->Post([&] {
      absl::SleepFor(absl::Milliseconds(1200));  // Nobody else can stop the loop's thread.
      stood_still.Notify();
    });
  });
  stood_still.WaitForNotification();
  // Longer than an answer may take that was there already.
  EXPECT_FALSE(answered.WaitForNotificationWithTimeout(absl::Milliseconds(100)));
  redis_->Cont();
  answered.WaitForNotification();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(observer_.causes(), ::testing::IsEmpty());
}

TEST_F(RedisStoreTest, ManyThreadsAtOnceGetTheirOwnAnswers) {
  StartRedis();
  OpenStore();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::string key = absl::StrCat("t", t, ":", i);
        const auto results = Apply({Put(key, i, key)});
        const auto records = Fetch({Key(key)});
        if (!results[0].status.ok() || !records[0].status.ok() ||
            ParseRecord(records[0].record.view())->value != key) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(observer_.CountOf("apply", absl::StatusCode::kOk), 400u);
  EXPECT_EQ(observer_.CountOf("mget", absl::StatusCode::kOk), 400u);
}

// What a Redis that was restarted holds may be older than what was acknowledged; a connection that
// was lost says nothing.
TEST_F(RedisStoreTest, ARestartOfTheServerIsAnotherGenerationOfTheData) {
  StartRedis();
  OpenStore();
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  ASSERT_TRUE(observer_.WaitForUps(2));  // Both that are opened at once.
  (void)redis_->Command({"CLIENT", "KILL", "TYPE", "normal"});
  ASSERT_TRUE(observer_.WaitForUps(4));
  ASSERT_TRUE(ApplyStatus(Put("a", 2, "two")).ok());
  EXPECT_EQ(store_->Generation(), 0u);
  ASSERT_TRUE(redis_->Restart().ok());
  ASSERT_TRUE(WaitUntil([&] { return Fetch({Key("a")})[0].status.ok(); }, absl::Seconds(60)));
  EXPECT_EQ(store_->Generation(), 1u) << "before the first answer";
  EXPECT_EQ(store_->GenerationOf(Key("a").slot), 1u);
}

}  // namespace
}  // namespace meridian
