// RedisSentinelTest is a RedisStore on the primary of a real group: two replicas, three sentinels.

#ifndef MERIDIAN_TESTS_CONTRACT_REDIS_SENTINEL_FIXTURE_H_
#define MERIDIAN_TESTS_CONTRACT_REDIS_SENTINEL_FIXTURE_H_

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/contract/redis_store_fixture.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace meridian {

class RedisSentinelTest : public RedisStoreTest {
 protected:
  // One primary, two replicas, three sentinels that need two votes, and a primary that is taken for
  // dead after a second.
  void StartGroup() {
    for (int i = 0; i < 3; ++i) {
      std::vector<std::string> arguments = {"--repl-diskless-sync-delay",
                                            "0",
                                            "--repl-ping-replica-period",
                                            "1",
                                            "--dir",
                                            dir_.path(),
                                            "--dbfilename",
                                            absl::StrCat(i, ".rdb")};
      if (i > 0) {
        arguments.insert(arguments.end(),
                         {"--replicaof", absl::StrCat("127.0.0.1 ", servers_[0]->port())});
      }
      auto server = RedisProcess::Start(arguments);
      ASSERT_TRUE(server.ok()) << server.status();
      servers_.push_back(*std::move(server));
    }
    for (int i = 0; i < 3; ++i) {
      auto sentinel = RedisProcess::StartSentinel(
          dir_.path(), {absl::StrCat("sentinel monitor main 127.0.0.1 ", servers_[0]->port(), " 2"),
                        "sentinel down-after-milliseconds main 1000",
                        "sentinel failover-timeout main 5000", "sentinel parallel-syncs main 2"});
      ASSERT_TRUE(sentinel.ok()) << sentinel.status();
      sentinels_.push_back(*std::move(sentinel));
    }
    // A failover needs all of them to know each other.
    for (const auto& sentinel : sentinels_) {
      ASSERT_TRUE(WaitUntil(
          [&] {
            return sentinel->Command({"SENTINEL", "CKQUORUM", "main"})
                           .value_or("")
                           .find("+OK 3 usable") == 0 &&
                   sentinel->Command({"SENTINEL", "REPLICAS", "main"}).value_or("") == "*2";
          },
          absl::Seconds(60)));
    }
  }
  std::string Url(const std::string& group = "main") const {
    std::vector<std::string> hosts;
    for (const auto& sentinel : sentinels_) {
      hosts.push_back(absl::StrCat("127.0.0.1:", sentinel->port()));
    }
    return absl::StrCat("redis+sentinel://", absl::StrJoin(hosts, ","), "/", group);
  }
  RedisStoreOptions FastTimeouts() const {
    RedisStoreOptions options;
    options.client.connection.command_timeout = absl::Milliseconds(900);
    return options;
  }
  bool IsPrimary(const RedisProcess& server) const {
    return server.Command({"INFO", "replication"}).value_or("").find("role:master") !=
           std::string::npos;
  }
  // What a value of `key` with this version must be.
  static std::string ValueOf(const std::string& key, int version) {
    return absl::StrCat(key, "=", version);
  }

  // Replicas take in nothing from now on, however soon they are continued: what waits for them in
  // the network was cut off.
  void FreezeReplicas() {
    for (size_t i = 1; i < servers_.size(); ++i) servers_[i]->Stop();
    ASSERT_TRUE(servers_[0]->Command({"CLIENT", "KILL", "TYPE", "replica"}).ok());
  }
  // The primary dies and a replica takes over, without what was written since FreezeReplicas.
  void KillPrimary() {
    servers_[0]->Kill();
    for (size_t i = 1; i < servers_.size(); ++i) servers_[i]->Cont();
  }

  // Changes of keys by version.
  using Changes = std::set<std::pair<std::string, int>>;

  // Writes round about 20 keys, one write after the other, and reads each back.
  class Load {
   public:
    explicit Load(RedisSentinelTest& test) : thread_([this, &test] { Run(test); }) {}
    ~Load() { Stop(); }
    void Stop() {
      stop_ = true;
      if (thread_.joinable()) thread_.join();
    }

    int written() const { return written_; }
    int failed_writes() const { return failed_; }
    // After Stop.
    // The longest time without an acknowledged write.
    absl::Duration longest_pause() const { return longest_pause_; }
    // Values that were never written under their key.
    int wrong_values() const { return wrong_; }
    const Changes& acknowledged() const { return acknowledged_; }
    size_t older_reads() const { return older_.size(); }
    // A read that was older than an acknowledged write: everything acknowledged since what it found
    // must be among `lost`.
    void ExpectOlderReadsAreOf(const Changes& lost) const {
      for (const OlderRead& read : older_) {
        for (auto it = acknowledged_.upper_bound({read.key, read.found});
             it != acknowledged_.end() && it->first == read.key && it->second <= read.newest;
             ++it) {
          EXPECT_EQ(lost.count(*it), 1u)
              << read.key << ": version " << read.found << " was read after version " << it->second
              << " was acknowledged, and that is not lost";
        }
      }
    }

   private:
    struct OlderRead {
      std::string key;
      int found;   // 0: nothing.
      int newest;  // That was acknowledged.
    };

    void Run(RedisSentinelTest& test) {
      absl::Time last = absl::Now();
      for (int version = 1; !stop_; ++version) {
        const std::string key = absl::StrCat("k", version % 20);
        if (test.ApplyStatus(Put(key, version, ValueOf(key, version)), absl::Milliseconds(500))
                .ok()) {
          newest_[key] = version;
          acknowledged_.insert({key, version});
          ++written_;
          last = absl::Now();
        } else {
          ++failed_;
          absl::SleepFor(absl::Milliseconds(5));  // The load's own pace, not a wait for anything.
        }
        longest_pause_ = std::max(longest_pause_, absl::Now() - last);
        Check(test, key, version);
      }
    }
    void Check(RedisSentinelTest& test, const std::string& key, int now) {
      const L2Record record = test.Fetch({Key(key)}, absl::Milliseconds(500))[0];
      if (!record.status.ok()) return;
      int found = 0;
      if (!record.record.view().empty()) {
        const auto parsed = ParseRecord(record.record.view());
        while (parsed.ok() && now > 0 && parsed->version != Put(key, now, "").version) --now;
        found = now;
        if (!parsed.ok() || found == 0 || parsed->value != ValueOf(key, found)) {
          ++wrong_;
          return;
        }
      }
      const auto newest = newest_.find(key);
      if (newest != newest_.end() && found < newest->second) {
        older_.push_back({key, found, newest->second});
      }
    }

    std::atomic<bool> stop_{false};
    std::atomic<int> written_{0};
    std::atomic<int> failed_{0};
    int wrong_ = 0;
    absl::Duration longest_pause_;
    std::map<std::string, int> newest_;  // Acknowledged, by key.
    Changes acknowledged_;
    std::vector<OlderRead> older_;
    std::thread thread_;
  };

  // What was acknowledged and is not in the changelogs of the store. REQUIRES: the load is stopped.
  Changes LostOf(const Load& load) {
    std::set<uint32_t> slots;
    for (const auto& [key, version] : load.acknowledged()) slots.insert(Key(key).slot);
    std::vector<LogRead> reads;
    for (const uint32_t slot : slots) reads.push_back({slot, LogPosition{}});
    std::set<std::pair<std::string, Version>> kept;
    absl::Notification done;
    store_->ReadLogs(std::move(reads), 1'000'000, clock_.Now() + absl::Seconds(10),
                     [&](const absl::StatusOr<std::vector<LogSlice>>& slices) {
                       EXPECT_TRUE(slices.ok()) << slices.status();
                       for (size_t i = 0; slices.ok() && i < slices->size(); ++i) {
                         for (const LogEntry& entry : (*slices)[i].entries) {
                           kept.insert({entry.key, entry.version});
                         }
                       }
                       done.Notify();
                     });
    done.WaitForNotification();
    Changes lost;
    for (const auto& change : load.acknowledged()) {
      if (kept.count({change.first, Put(change.first, change.second, "").version}) == 0) {
        lost.insert(change);
      }
    }
    return lost;
  }

  TempDir dir_;
  std::vector<std::unique_ptr<RedisProcess>> servers_;
  std::vector<std::unique_ptr<RedisProcess>> sentinels_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_CONTRACT_REDIS_SENTINEL_FIXTURE_H_
