// A real Redis Cluster: slots that move, servers that die, and what clients of it notice.

#include "tests/support/redis_cluster.h"

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/l2/apply_batch.h"
#include "server/l2/cluster_slots.h"
#include "tests/contract/redis_store_fixture.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;

class RedisClusterTest : public RedisStoreTest {
 protected:
  void StartCluster(size_t primaries = 3, size_t spare = 0) {
    auto cluster = RedisCluster::Start(dir_.path(), primaries, spare);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    OpenStore({}, cluster_->url());
    ASSERT_TRUE(ApplyStatus(Put("first", 1, "one")).ok());
  }
  static uint16_t RedisSlotOf(const std::string& key) { return RedisHashSlotOf(Key(key).slot); }
  // `count` keys of one slot of ours.
  static std::vector<std::string> KeysOfOneSlot(size_t count) {
    std::vector<std::string> keys;
    for (size_t i = 0; i < count; ++i) keys.push_back(absl::StrCat("{tag}", i));
    return keys;
  }
  std::string ValueOf(const std::string& key) {
    const L2Record record = Fetch({Key(key)})[0];
    if (!record.status.ok()) return record.status.ToString();
    return record.record.view().empty() ? ""
                                        : std::string(ParseRecord(record.record.view())->value);
  }
  // The first of our slots that is at `redis_slot` or above.
  static uint32_t OurSlotAbove(uint16_t redis_slot) {
    uint32_t best = 0;
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      const uint16_t at = RedisHashSlotOf(slot);
      if (at < redis_slot) continue;
      if (RedisHashSlotOf(best) < redis_slot || at < RedisHashSlotOf(best)) best = slot;
    }
    return best;
  }
  size_t Elsewhere(uint16_t slot) const { return (cluster_->OwnerOf(slot) + 1) % cluster_->size(); }

  TempDir dir_;
  std::unique_ptr<RedisCluster> cluster_;
};

// The one writer of its keys: what it reads must be what it wrote last.
class Client {
 public:
  static constexpr int kKeys = 40;

  Client(L2Store& store, const Clock& clock, int number)
      : store_(store), clock_(clock), number_(number), thread_([this] { Run(); }) {}
  ~Client() { Stop(); }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int rounds() const { return rounds_; }
  int wrong() const { return wrong_; }
  // The first error.
  std::string error() const { return error_; }

 private:
  void Run() {
    for (int version = 1; !stop_; ++version) {
      Write(version);
      Read(version);
      ++rounds_;
    }
  }
  std::string KeyOf(int i) const { return absl::StrCat("client", number_, ":", i); }
  void Failed(const absl::Status& status) {
    if (error_.empty()) error_ = status.ToString();
  }
  void Write(int version) {
    std::vector<L2Write> writes;
    for (int i = 0; i < kKeys; ++i) {
      writes.push_back(Put(KeyOf(i), version, absl::StrCat(i, "=", version)));
    }
    absl::Notification done;
    store_.Apply(std::move(writes), clock_.Now() + absl::Seconds(20),
                 [&](const std::vector<L2WriteResult>& results) {
                   for (const L2WriteResult& result : results) {
                     if (!result.status.ok()) Failed(result.status);
                   }
                   done.Notify();
                 });
    done.WaitForNotification();
  }
  void Read(int version) {
    std::vector<L2Key> keys;
    for (int i = 0; i < kKeys; ++i) keys.push_back(Key(KeyOf(i)));
    absl::Notification done;
    store_.Fetch(std::move(keys), clock_.Now() + absl::Seconds(20),
                 [&](const std::vector<L2Record>& records) {
                   for (int i = 0; i < kKeys; ++i) {
                     const L2Record& record = records[static_cast<size_t>(i)];
                     if (!record.status.ok()) {
                       Failed(record.status);
                     } else if (const auto parsed = ParseRecord(record.record.view());
                                !parsed.ok() || parsed->value != absl::StrCat(i, "=", version)) {
                       ++wrong_;
                     }
                   }
                   done.Notify();
                 });
    done.WaitForNotification();
  }

  L2Store& store_;
  const Clock& clock_;
  const int number_;
  std::atomic<bool> stop_{false};
  std::atomic<int> rounds_{0};
  std::atomic<int> wrong_{0};
  std::string error_;
  std::thread thread_;
};

TEST_F(RedisClusterTest, AThousandSlotsMoveUnderLoadAndNobodyNotices) {
  StartCluster(3, 1);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<Client>(*store_, clock_, i));
  }
  // Half of them to a server that had none, the other half between servers that have some.
  for (uint16_t slot = 0; slot < 500; ++slot) {
    const absl::Status moved = cluster_->MoveSlot(slot, 3);
    ASSERT_TRUE(moved.ok()) << moved;
  }
  for (uint16_t slot = 10'000; slot < 10'500; ++slot) {
    const absl::Status moved = cluster_->MoveSlot(slot, 2);
    ASSERT_TRUE(moved.ok()) << moved;
  }
  for (const auto& client : clients) {
    const int rounds = client->rounds();
    ASSERT_TRUE(WaitUntil([&] { return client->rounds() >= rounds + 10; }, absl::Seconds(60)));
    client->Stop();
    EXPECT_EQ(client->error(), "");
    EXPECT_EQ(client->wrong(), 0);
  }
  EXPECT_GT(observer_.redirects("MOVED"), 0u);
  // The table has caught up: nothing is redirected any more.
  const size_t moved = observer_.redirects("MOVED");
  Client last(*store_, clock_, 0);
  ASSERT_TRUE(WaitUntil([&] { return last.rounds() >= 10; }, absl::Seconds(60)));
  last.Stop();
  EXPECT_LE(observer_.redirects("MOVED"), moved + 5);
  // Data that moves is not lost; only the first slots of a server that is new look so.
  EXPECT_LE(store_->Generation(), 1u);
  EXPECT_EQ(store_->GenerationOf(OurSlotAbove(10'000)), 0u);
}

TEST_F(RedisClusterTest, KeysOfASlotOnItsWayAreReadWhereverTheyAre) {
  StartCluster();
  const std::vector<std::string> keys = KeysOfOneSlot(30);
  std::vector<L2Key> all;
  for (const std::string& key : keys) {
    ASSERT_TRUE(ApplyStatus(Put(key, 1, key)).ok());
    all.push_back(Key(key));
  }
  all.push_back(Key("{tag}missing"));
  const uint16_t slot = RedisSlotOf(keys[0]);
  const size_t to = Elsewhere(slot);
  ASSERT_TRUE(cluster_->BeginMove(slot, to).ok());
  ASSERT_TRUE(cluster_->MoveKeys(slot, to, 15).ok());
  const std::vector<L2Record> records = Fetch(all);
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(records[i].status.ok()) << records[i].status;
    ASSERT_FALSE(records[i].record.view().empty()) << keys[i];
    EXPECT_EQ(ParseRecord(records[i].record.view())->value, keys[i]);
  }
  EXPECT_TRUE(records.back().status.ok()) << records.back().status;
  EXPECT_TRUE(records.back().record.view().empty());
  EXPECT_GT(observer_.redirects("ASK"), 0u);
  EXPECT_GT(observer_.redirects("TRYAGAIN"), 0u);
}

TEST_F(RedisClusterTest, AWriteToASlotOnItsWayWaitsForItsArrival) {
  StartCluster();
  ASSERT_TRUE(ApplyStatus(Put("{tag}old", 1, "one")).ok());
  const uint16_t slot = RedisSlotOf("{tag}old");
  const size_t to = Elsewhere(slot);
  ASSERT_TRUE(cluster_->BeginMove(slot, to).ok());
  // A new key: on neither side are all keys that the script needs.
  absl::Notification done;
  absl::Status status = absl::UnknownError("not answered");
  std::vector<L2Write> writes;
  writes.push_back(Put("{tag}new", 1, "two"));
  store_->Apply(std::move(writes), clock_.Now() + absl::Seconds(60),
                [&](const std::vector<L2WriteResult>& results) {
                  status = results[0].status;
                  done.Notify();
                });
  ASSERT_TRUE(WaitUntil([&] { return observer_.redirects("TRYAGAIN") > 3; }, absl::Seconds(60)));
  EXPECT_FALSE(done.HasBeenNotified());
  ASSERT_TRUE(cluster_->MoveKeys(slot, to, 1000).ok());
  ASSERT_TRUE(cluster_->EndMove(slot, to).ok());
  done.WaitForNotification();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ValueOf("{tag}new"), "two");
  EXPECT_EQ(ValueOf("{tag}old"), "one");
}

TEST_F(RedisClusterTest, AWriteThatWaitsInVainFailsAtItsDeadlineAndDidNothing) {
  StartCluster();
  ASSERT_TRUE(ApplyStatus(Put("{tag}old", 1, "one")).ok());
  const uint16_t slot = RedisSlotOf("{tag}old");
  ASSERT_TRUE(cluster_->BeginMove(slot, Elsewhere(slot)).ok());
  // Long enough to be asked at least once, also on a busy machine.
  const absl::Status status = ApplyStatus(Put("{tag}new", 1, "two"), absl::Seconds(3));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("L2_UNAVAILABLE: Redis: TRYAGAIN"));
  EXPECT_EQ(ValueOf("{tag}new"), "");
}

TEST_F(RedisClusterTest, OnlySoManyCallsWaitForASlotOnItsWay) {
  StartCluster();
  ASSERT_TRUE(ApplyStatus(Put("{tag}old", 1, "one")).ok());
  const uint16_t slot = RedisSlotOf("{tag}old");
  const size_t to = Elsewhere(slot);
  ASSERT_TRUE(cluster_->BeginMove(slot, to).ok());
  absl::Mutex mu;
  size_t answered = 0;
  std::vector<absl::Status> failures;
  size_t sent = 0;
  const auto send = [&] {
    std::vector<L2Write> writes;
    writes.push_back(Put(absl::StrCat("{tag}new", sent++), 1, "two"));
    store_->Apply(std::move(writes), clock_.Now() + absl::Seconds(60),
                  [&](const std::vector<L2WriteResult>& results) {
                    absl::MutexLock lock(&mu);
                    ++answered;
                    if (!results[0].status.ok()) failures.push_back(results[0].status);
                  });
  };
  const auto refused = [&] {
    absl::MutexLock lock(&mu);
    return !failures.empty();
  };
  // Some at a time: a connection takes only so many at once.
  const bool bounded = WaitUntil(
      [&] {
        for (int i = 0; i < 50 && !refused(); ++i) send();
        return refused() || sent > 10'000;
      },
      absl::Seconds(60));
  ASSERT_TRUE(cluster_->MoveKeys(slot, to, 1000).ok());
  ASSERT_TRUE(cluster_->EndMove(slot, to).ok());
  ASSERT_TRUE(WaitUntil(
      [&] {
        absl::MutexLock lock(&mu);
        return answered == sent;
      },
      absl::Seconds(60)));
  EXPECT_TRUE(bounded);
  EXPECT_LT(sent, 2'000u);
  for (const absl::Status& status : failures) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()), HasSubstr("L2_OVERLOADED: 512 calls wait for"));
  }
  EXPECT_GE(sent - failures.size(), 512u);  // The others have waited for the slot.
}

TEST_F(RedisClusterTest, AScriptThatTheNextServerDoesNotHaveIsSentToItWithAsking) {
  StartCluster();
  ASSERT_TRUE(ApplyStatus(Put("{tag}a", 1, "one")).ok());
  const uint16_t slot = RedisSlotOf("{tag}a");
  const size_t to = Elsewhere(slot);
  ASSERT_TRUE(cluster_->BeginMove(slot, to).ok());
  ASSERT_TRUE(cluster_->MoveKeys(slot, to, 1000).ok());
  ASSERT_EQ(*cluster_->server(to).Command({"SCRIPT", "FLUSH"}), "+OK");
  EXPECT_TRUE(ApplyStatus(Put("{tag}a", 2, "two")).ok());
  EXPECT_GT(observer_.redirects("ASK"), 0u);
  EXPECT_EQ(ValueOf("{tag}a"), "two");
}

TEST_F(RedisClusterTest, WritesOfOneCallToOneKeyKeepTheirOrderWhileItsSlotMoves) {
  StartCluster();
  const uint16_t slot = RedisSlotOf("{tag}k");
  RedisStoreOptions options;
  options.max_keys_per_call = 1;  // Each write is a command of its own.
  OpenStore(options, cluster_->url());
  int moves = 0;
  int applied = 0;
  // A server that has not heard of a move yet sends calls back to where the slot was. Who moves it
  // back at once makes circles that no client follows for long.
  const std::string name = EntryRedisKey(Key("{tag}k"));
  const auto agree = [&] {
    const size_t owner = cluster_->OwnerOf(slot);
    const std::string there = absl::StrCat(":", cluster_->server(owner).port());
    for (size_t i = 0; i < cluster_->size(); ++i) {
      const std::string reply = cluster_->server(i).Command({"EXISTS", name}).value_or("-");
      if (i == owner ? reply.empty() || reply[0] != ':' : !absl::EndsWith(reply, there))
        return false;
    }
    return true;
  };
  for (int round = 0; round < 20; ++round) {
    if (!WaitUntil(agree, absl::Seconds(3))) break;  // They may take very long over it.
    std::vector<L2Write> writes;
    for (int i = 1; i <= 20; ++i) writes.push_back(Put("{tag}k", round * 100 + i, "v"));
    absl::Notification done;
    std::vector<L2WriteResult> results;
    store_->Apply(std::move(writes), clock_.Now() + absl::Seconds(20),
                  [&](std::vector<L2WriteResult> answer) {
                    results = std::move(answer);
                    done.Notify();
                  });
    const absl::Status moved = cluster_->MoveSlot(slot, Elsewhere(slot));
    done.WaitForNotification();  // Before anything that returns: the call refers to this frame.
    moves += moved.ok();
    // None finds a later one stored before it. Servers may still disagree for a moment in the
    // middle of a move: then a call that they send in circles fails.
    for (const L2WriteResult& result : results) {
      if (!result.status.ok()) {
        EXPECT_THAT(std::string(result.status.message()), testing::HasSubstr("MOVED"));
        continue;
      }
      ASSERT_EQ(result.outcome, L2WriteOutcome::kApplied);
      ++applied;
    }
  }
  EXPECT_GE(applied, 20);
  EXPECT_GE(moves, 1);
}

TEST_F(RedisClusterTest, ADeadServerTakesItsSlotsWithItAndNothingElse) {
  StartCluster();
  std::vector<std::string> of_server(3);
  for (int i = 0; i < 100; ++i) {
    const std::string key = absl::StrCat("k", i);
    ASSERT_TRUE(ApplyStatus(Put(key, 1, key)).ok());
    of_server[cluster_->OwnerOf(RedisSlotOf(key))] = key;
  }
  cluster_->server(2).Kill();
  EXPECT_EQ(Fetch({Key(of_server[2])})[0].status.code(), absl::StatusCode::kUnavailable);
  // Until the others have noticed, which takes them cluster-node-timeout.
  EXPECT_EQ(ValueOf(of_server[0]), of_server[0]);
  EXPECT_EQ(ValueOf(of_server[1]), of_server[1]);
  const L2Health health = store_->Health();
  EXPECT_FALSE(health.connected);
  ASSERT_EQ(health.endpoints.size(), 3u);
  for (const L2Endpoint& endpoint : health.endpoints) {
    const std::string dead = absl::StrCat("127.0.0.1:", cluster_->server(2).port());
    EXPECT_EQ(endpoint.connected, endpoint.address != dead) << endpoint.address;
  }
  ASSERT_TRUE(cluster_->server(2).Restart().ok());
  EXPECT_TRUE(WaitUntil(
      [&] { return ApplyStatus(Put(of_server[2], 2, "back"), absl::Milliseconds(500)).ok(); },
      absl::Seconds(60)));
  EXPECT_EQ(ValueOf(of_server[2]), "back");
}

TEST_F(RedisClusterTest, WhatTheClusterUsesIsTheSumOfItsPrimariesOrNotKnown) {
  StartCluster();
  constexpr size_t kBytes = size_t{2} << 20;
  const uint64_t before = Usage()->used_bytes;
  std::set<size_t> owners;
  for (int i = 0; owners.size() < 3; ++i) {
    const std::string key = absl::StrCat("k", i);
    if (!owners.insert(cluster_->OwnerOf(RedisSlotOf(key))).second) continue;
    ASSERT_TRUE(ApplyStatus(Put(key, 1, std::string(kBytes, 'v'))).ok());
  }
  EXPECT_GT(Usage()->used_bytes, before + 3 * kBytes);
  cluster_->server(1).Kill();
  EXPECT_FALSE(Usage().ok()) << "the others alone would look like less";
}

TEST_F(RedisClusterTest, AReplicaAnswersReadsAndThenTakesOver) {
  StartCluster(3, 1);
  const std::string id = *cluster_->server(0).Command({"CLUSTER", "MYID"});
  ASSERT_TRUE(WaitUntil(
      [&] {
        return *cluster_->server(3).Command({"CLUSTER", "REPLICATE", id}) == "+OK";
      },
      absl::Seconds(60)));
  std::string key;
  for (int i = 0; key.empty(); ++i) {
    if (cluster_->OwnerOf(RedisSlotOf(absl::StrCat("k", i))) == 0) key = absl::StrCat("k", i);
  }
  ASSERT_TRUE(ApplyStatus(Put(key, 1, "one")).ok());
  const auto size = [&](size_t server) { return *cluster_->server(server).Command({"DBSIZE"}); };
  ASSERT_TRUE(WaitUntil([&] { return size(3) == size(0); }, absl::Seconds(60)));
  // A server names a replica only after it has heard how far that is.
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(WaitUntil(
        [&] {
          return *cluster_->server(i).Command(
                     {"EVAL",
                      "local longest = 0 "
                      "for _, range in ipairs(redis.call('CLUSTER', 'SLOTS')) do "
                      "longest = math.max(longest, #range) end return longest",
                      "0"}) == ":4";
        },
        absl::Seconds(60)));
  }
  const int ups = observer_.ups();
  OpenStore({}, cluster_->url() + "?replica_reads=true");
  ASSERT_EQ(ValueOf(key), "one");
  ASSERT_TRUE(observer_.WaitForUps(ups + 8));  // Two connections to each of four servers.
  cluster_->server(0).Kill();
  for (int i = 0; i < 50; ++i) ASSERT_EQ(ValueOf(key), "one");
  EXPECT_GE(observer_.replica_reads(), 50);
  EXPECT_TRUE(Fetch({Key(key)}, absl::Seconds(5))[0].from_replica);
  ASSERT_TRUE(
      WaitUntil([&] { return ApplyStatus(Put(key, 2, "two"), absl::Milliseconds(500)).ok(); },
                absl::Seconds(60)));
  EXPECT_EQ(ValueOf(key), "two");
  // It may lack what the dead one had acknowledged last; the slots of the others are as they were.
  EXPECT_TRUE(
      WaitUntil([&] { return store_->GenerationOf(Key(key).slot) == 1; }, absl::Seconds(60)));
  EXPECT_EQ(store_->GenerationOf(OurSlotAbove(15'000)), 0u);
}

TEST_F(RedisClusterTest, ServersThatSendCallsInACircleAreNotFollowedForEver) {
  StartCluster();
  const uint16_t slot = RedisSlotOf("nobody");
  const size_t a = cluster_->OwnerOf(slot);
  const size_t b = Elsewhere(slot);
  const std::string id_of_b = *cluster_->server(b).Command({"CLUSTER", "MYID"});
  const absl::Time start = absl::Now();
  ASSERT_EQ(
      *cluster_->server(a).Command({"CLUSTER", "SETSLOT", absl::StrCat(slot), "NODE", id_of_b}),
      "+OK");
  const absl::Status status = ApplyStatus(Put("nobody", 1, "one"), absl::Minutes(1));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("tried again in vain"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(20)) << "long before its deadline";
}

TEST_F(RedisClusterTest, AWalkBeginsAnewWhenSlotsHaveMoved) {
  StartCluster();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(ApplyStatus(Put(absl::StrCat("k", i), 1, "v")).ok());
  }
  const auto scan = [&](const std::string& from) {
    absl::Notification done;
    absl::StatusOr<L2ScanPage> page;
    store_->Scan(from, 10, clock_.Now() + absl::Seconds(10),
                 [&](absl::StatusOr<L2ScanPage> answer) {
                   page = std::move(answer);
                   done.Notify();
                 });
    done.WaitForNotification();
    return page;
  };
  const absl::StatusOr<L2ScanPage> first = scan("");
  ASSERT_TRUE(first.ok()) << first.status();
  const uint16_t slot = RedisSlotOf("k0");
  ASSERT_TRUE(cluster_->MoveSlot(slot, Elsewhere(slot)).ok());
  ASSERT_EQ(ValueOf("k0"), "v");  // The store has seen it.
  EXPECT_EQ(scan(first->next).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(scan("nonsense").status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(scan("").ok());
}

TEST_F(RedisClusterTest, TheWrongSchemeIsNamed) {
  StartCluster();
  OpenStore({}, absl::StrCat("redis://127.0.0.1:", cluster_->server(0).port()));
  EXPECT_TRUE(
      WaitUntil([&] { return absl::StrContains(store_->Health().problem, "use redis+cluster://"); },
                absl::Seconds(60)));
  StartRedis();
  OpenStore({}, absl::StrCat("redis+cluster://127.0.0.1:", redis_->port()));
  EXPECT_THAT(std::string(ApplyStatus(Put("a", 1, "one")).message()),
              HasSubstr("cluster support disabled"));
  EXPECT_FALSE(store_->Health().connected);
}

}  // namespace
}  // namespace meridian
