// RedisSentinelTest is a RedisStore on the primary of a real group: two replicas, three sentinels.

#ifndef MERIDIAN_TESTS_CONTRACT_REDIS_SENTINEL_FIXTURE_H_
#define MERIDIAN_TESTS_CONTRACT_REDIS_SENTINEL_FIXTURE_H_

#include <memory>
#include <string>
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

  TempDir dir_;
  std::vector<std::unique_ptr<RedisProcess>> servers_;
  std::vector<std::unique_ptr<RedisProcess>> sentinels_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_CONTRACT_REDIS_SENTINEL_FIXTURE_H_
