#include "server/l2/usage_replies.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace meridian {
namespace {

Reply Text(const std::string& text) {
  Reply reply;
  reply.type = Reply::Type::kString;
  reply.bytes = Buffer::CopyOf(text);
  return reply;
}

RedisReplies Server(const std::string& memory, const std::string& persistence) {
  RedisReplies replies;
  replies.emplace_back(Text(memory));
  replies.emplace_back(Text(persistence));
  return replies;
}

constexpr char kMemory[] =
    "# Memory\r\nused_memory:1000\r\nused_memory_rss:9999\r\nmaxmemory:4000\r\n"
    "maxmemory_human:3.91K\r\nmaxmemory_policy:volatile-lfu\r\n";
constexpr char kPersistence[] =
    "# Persistence\r\nloading:0\r\nrdb_last_save_time:1700000000\r\nrdb_last_bgsave_status:ok\r\n"
    "aof_enabled:1\r\naof_last_write_status:ok\r\n";

TEST(UsageRepliesTest, OneServer) {
  const absl::StatusOr<L2Usage> usage = TakeUsage({Server(kMemory, kPersistence)});
  ASSERT_TRUE(usage.ok()) << usage.status();
  EXPECT_EQ(usage->used_bytes, 1000u);
  EXPECT_EQ(usage->limit_bytes, 4000u);
  EXPECT_EQ(usage->eviction_policy, "volatile-lfu");
  EXPECT_TRUE(usage->aof);
  EXPECT_TRUE(usage->saves);
  EXPECT_EQ(usage->saved_at, absl::FromUnixSeconds(1'700'000'000));
}

TEST(UsageRepliesTest, ServersAreAddedUpAndTheWorstOfThemCounts) {
  const RedisReplies second =
      Server("used_memory:30\r\nmaxmemory:50\r\nmaxmemory_policy:noeviction\r\n",
             "rdb_last_save_time:1600000000\r\nrdb_last_bgsave_status:err\r\naof_enabled:0\r\n");
  const absl::StatusOr<L2Usage> usage = TakeUsage({Server(kMemory, kPersistence), second});
  ASSERT_TRUE(usage.ok()) << usage.status();
  EXPECT_EQ(usage->used_bytes, 1030u);
  EXPECT_EQ(usage->limit_bytes, 4050u);
  EXPECT_EQ(usage->eviction_policy, "noeviction,volatile-lfu");
  EXPECT_FALSE(usage->aof);
  EXPECT_FALSE(usage->saves);
  EXPECT_EQ(usage->saved_at, absl::FromUnixSeconds(1'600'000'000));
}

// CONFIG GET save.
Reply Save(const std::string& points) {
  Reply reply;
  reply.type = Reply::Type::kArray;
  reply.elements = {Text("save"), Text(points)};
  return reply;
}

std::string PersistenceWith(const char* info, absl::StatusOr<Reply> save) {
  RedisReplies replies = Server(kMemory, info);
  replies.push_back(std::move(save));
  const absl::StatusOr<L2Usage> usage = TakeUsage({replies});
  EXPECT_TRUE(usage.ok()) << usage.status();
  return usage.ok() ? usage->persistence : "?";
}

TEST(UsageRepliesTest, WhatARestartLeavesIsBySettings) {
  EXPECT_EQ(PersistenceWith("aof_enabled:0\r\n", Save("")), "none");
  EXPECT_EQ(PersistenceWith("aof_enabled:0\r\n", Save("3600 1")), "rdb");
  EXPECT_EQ(PersistenceWith("aof_enabled:1\r\n", Save("")), "aof");
  EXPECT_EQ(PersistenceWith("aof_enabled:1\r\n", Save("3600 1")), "rdb+aof");
}

TEST(UsageRepliesTest, WithoutSettingsItIsWhatInfoTellsAndElseNotKnown) {
  const absl::Status refused = StatusOfError("NOPERM this user has no permissions");
  EXPECT_EQ(PersistenceWith("aof_enabled:0\r\nrdb_last_bgsave_time_sec:-1\r\n", refused), "");
  EXPECT_EQ(PersistenceWith("aof_enabled:0\r\nrdb_last_bgsave_time_sec:0\r\n", refused), "rdb");
  EXPECT_EQ(PersistenceWith("aof_enabled:1\r\nrdb_last_bgsave_time_sec:-1\r\n", refused), "aof");
  EXPECT_EQ(TakeUsage({Server(kMemory, "aof_enabled:0\r\n")})->persistence, "") << "not asked";
  RedisReplies replies = Server(kMemory, kPersistence);
  EXPECT_FALSE(SettingsAreRefused({replies}));
  replies.push_back(absl::UnavailableError("the line was lost"));
  EXPECT_FALSE(SettingsAreRefused({replies})) << "it is asked again";
  replies.back() = refused;
  EXPECT_TRUE(SettingsAreRefused({replies}));
  EXPECT_EQ(UsageCommands(true).size(), UsageCommands(false).size() + 1);
}

TEST(UsageRepliesTest, OfServersTheOneThatKeepsLeastCounts) {
  const auto server = [](const char* info, absl::StatusOr<Reply> save) {
    RedisReplies replies = Server(kMemory, info);
    replies.push_back(std::move(save));
    return replies;
  };
  const auto of = [](const RedisReplies& one, const RedisReplies& other) {
    return TakeUsage({one, other})->persistence;
  };
  const RedisReplies none = server("aof_enabled:0\r\n", Save(""));
  const RedisReplies rdb = server("aof_enabled:0\r\n", Save("3600 1"));
  const RedisReplies aof = server("aof_enabled:1\r\n", Save(""));
  const RedisReplies unknown = server("aof_enabled:0\r\n", StatusOfError("NOPERM"));
  EXPECT_EQ(of(aof, rdb), "rdb");
  EXPECT_EQ(of(aof, aof), "aof");
  EXPECT_EQ(of(aof, none), "none");
  EXPECT_EQ(of(aof, unknown), "");
  EXPECT_EQ(of(none, unknown), "none") << "something is lost, whatever the other one keeps";
}

TEST(UsageRepliesTest, OneServerWithoutALimitLeavesNone) {
  const RedisReplies second = Server("used_memory:30\r\nmaxmemory:0\r\n", kPersistence);
  EXPECT_EQ(TakeUsage({Server(kMemory, kPersistence), second})->limit_bytes, 0u);
}

TEST(UsageRepliesTest, AFileThatCouldNotBeAppendedToIsSaid) {
  EXPECT_FALSE(
      TakeUsage({Server(kMemory, "aof_enabled:1\r\naof_last_write_status:err\r\n")})->saves);
}

TEST(UsageRepliesTest, WhatIsNotKnownIsNoSmallerSum) {
  RedisReplies refused = Server(kMemory, kPersistence);
  refused[0] = absl::PermissionDeniedError("NOPERM");
  EXPECT_FALSE(TakeUsage({Server(kMemory, kPersistence), refused}).ok());
  for (const char* memory : {"", "used_memory:1000\r\n", "used_memory:many\r\nmaxmemory:0\r\n",
                             "used_memory:-1\r\nmaxmemory:0\r\n", "maxmemory:1\r\n"}) {
    EXPECT_FALSE(TakeUsage({Server(memory, kPersistence)}).ok()) << memory;
  }
  EXPECT_FALSE(TakeUsage({}).ok());
}

}  // namespace
}  // namespace meridian
