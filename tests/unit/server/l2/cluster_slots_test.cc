#include "server/l2/cluster_slots.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;

Reply ReplyOf(const std::string& bytes) {
  ReplyReader reader{ReplyLimits()};
  Reply result;
  EXPECT_TRUE(reader
                  .Feed(bytes,
                        [&](absl::StatusOr<Reply> reply) {
                          result = *std::move(reply);
                          return true;
                        })
                  .ok());
  return result;
}

// [first, last, [host, port, id]]
std::string Range(int first, int last, const std::string& host, int port) {
  return absl::StrCat("*3\r\n:", first, "\r\n:", last, "\r\n*3\r\n$", host.size(), "\r\n", host,
                      "\r\n:", port, "\r\n$2\r\nid\r\n");
}

// Of `redis-cli cluster keyslot`.
TEST(RedisHashSlotTest, IsTheOneThatRedisComputes) {
  EXPECT_EQ(RedisHashSlot(""), 0);
  EXPECT_EQ(RedisHashSlot("123456789"), 0x31c3);
  EXPECT_EQ(RedisHashSlot("foo"), 12182);
  EXPECT_EQ(RedisHashSlot("{user1000}.following"), RedisHashSlot("user1000"));
  EXPECT_EQ(RedisHashSlot("foo{}{bar}"), 8363);
  EXPECT_EQ(RedisHashSlot("foo{{bar}}zap"), RedisHashSlot("{bar"));
  EXPECT_EQ(RedisHashSlot("foo{bar}{zap}"), RedisHashSlot("bar"));
  EXPECT_EQ(RedisHashSlot("foo{bar"), RedisHashSlot("foo{bar"));
}

TEST(RedisHashSlotTest, OurSlotsNeverShareOneOfRedis) {
  std::set<uint16_t> seen;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    EXPECT_EQ(RedisHashSlotOf(slot), RedisHashSlot(absl::StrCat("m:{", slot, "}:e:task:a{b}c")));
    seen.insert(RedisHashSlotOf(slot));
  }
  EXPECT_EQ(seen.size(), kSlotCount);
}

TEST(SlotTableTest, TakesRangesAndLeavesHoles) {
  const auto table = SlotTable::Parse(ReplyOf("*3\r\n" + Range(0, 99, "b", 2) +
                                              Range(200, 16383, "a", 1) + Range(100, 150, "b", 2)),
                                      {"seed", 7});
  ASSERT_TRUE(table.ok()) << table.status();
  ASSERT_THAT(table->primaries(), ElementsAre(RedisAddress{"a", 1}, RedisAddress{"b", 2}));
  EXPECT_EQ(table->PrimaryOf(0), 1u);
  EXPECT_EQ(table->PrimaryOf(150), 1u);
  EXPECT_EQ(table->PrimaryOf(151), std::nullopt);
  EXPECT_EQ(table->PrimaryOf(16383), 0u);
  EXPECT_EQ(table->covered_slots(), kRedisSlotCount - 49);
}

TEST(SlotTableTest, ReplicasFollowTheirPrimary) {
  const std::string node = "*3\r\n$1\r\nr\r\n:7\r\n$2\r\nid\r\n";
  const std::string with_replica = absl::StrCat("*4", Range(0, 5, "b", 2).substr(2), node);
  const auto table = SlotTable::Parse(ReplyOf("*1\r\n" + with_replica), {"seed", 7});
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->ReplicasOf(0), ElementsAre(RedisAddress{"r", 7}));
  // Another primary that comes before it.
  const SlotTable after = table->With(3, {"a", 1});
  EXPECT_TRUE(after.ReplicasOf(0).empty());
  EXPECT_THAT(after.ReplicasOf(1), ElementsAre(RedisAddress{"r", 7}));
}

TEST(SlotTableTest, AServerWithoutANameIsWhereItWasAsked) {
  for (const std::string& host : {std::string(), std::string("?")}) {
    const auto table = SlotTable::Parse(ReplyOf("*1\r\n" + Range(0, 5, host, 9)), {"seed", 7});
    ASSERT_TRUE(table.ok()) << table.status();
    EXPECT_THAT(table->primaries(), ElementsAre(RedisAddress{"seed", 9}));
  }
}

TEST(SlotTableTest, WhatIsNoTableIsRefused) {
  for (const std::string& bytes :
       {std::string("+OK\r\n"), std::string("-ERR no cluster\r\n"), std::string("*1\r\n:1\r\n"),
        std::string("*1\r\n*2\r\n:0\r\n:1\r\n"), "*1\r\n" + Range(5, 4, "a", 1),
        "*1\r\n" + Range(-1, 4, "a", 1), "*1\r\n" + Range(0, 16384, "a", 1),
        "*1\r\n" + Range(0, 1, "a", 0), "*1\r\n" + Range(0, 1, "a", 65536)}) {
    EXPECT_FALSE(SlotTable::Parse(ReplyOf(bytes), {"seed", 7}).ok()) << bytes;
  }
}

TEST(SlotTableTest, ASlotThatIsNamedTwiceIsRefused) {
  for (const std::string& bytes : {"*2\r\n" + Range(0, 9, "a", 1) + Range(9, 19, "b", 2),
                                   "*2\r\n" + Range(5, 5, "a", 1) + Range(0, 16383, "b", 2),
                                   "*2\r\n" + Range(0, 5, "a", 1) + Range(0, 5, "a", 1)}) {
    EXPECT_FALSE(SlotTable::Parse(ReplyOf(bytes), {"seed", 7}).ok()) << bytes;
  }
}

TEST(SlotTableTest, MoreServersThanAClusterMayHaveAreRefused) {
  const auto primaries = [](int count) {
    std::string bytes = absl::StrCat("*", count, "\r\n");
    for (int i = 0; i < count; ++i) bytes += Range(i, i, "h", i + 1);
    return bytes;
  };
  EXPECT_TRUE(SlotTable::Parse(ReplyOf(primaries(1000)), {"seed", 7}).ok());
  EXPECT_FALSE(SlotTable::Parse(ReplyOf(primaries(1001)), {"seed", 7}).ok());
  const auto replicas = [](int count) {
    std::string bytes = absl::StrCat("*1\r\n*", 3 + count, Range(0, 5, "p", 1).substr(2));
    for (int i = 0; i < count; ++i) {
      absl::StrAppend(&bytes, "*3\r\n$1\r\nr\r\n:", i + 1, "\r\n$2\r\nid\r\n");
    }
    return bytes;
  };
  EXPECT_TRUE(SlotTable::Parse(ReplyOf(replicas(4999)), {"seed", 7}).ok());
  EXPECT_FALSE(SlotTable::Parse(ReplyOf(replicas(5000)), {"seed", 7}).ok());
}

TEST(SlotTableTest, OneSlotMovesAndTheOthersStay) {
  const SlotTable before =
      *SlotTable::Parse(ReplyOf("*2\r\n" + Range(0, 9, "b", 2) + Range(10, 19, "d", 4)), {"s", 1});
  // To a primary that is known, and to new ones before, between and after the known.
  for (const RedisAddress& to :
       {RedisAddress{"d", 4}, RedisAddress{"a", 1}, RedisAddress{"c", 3}, RedisAddress{"e", 5}}) {
    const SlotTable after = before.With(5, to);
    EXPECT_NE(after.Fingerprint(), before.Fingerprint());
    for (uint16_t slot = 0; slot < 20; ++slot) {
      const RedisAddress expected = slot == 5   ? to
                                    : slot < 10 ? RedisAddress{"b", 2}
                                                : RedisAddress{"d", 4};
      ASSERT_TRUE(after.PrimaryOf(slot).has_value());
      EXPECT_EQ(after.primaries()[*after.PrimaryOf(slot)], expected) << slot << to.text();
    }
    EXPECT_EQ(after.PrimaryOf(20), std::nullopt);
  }
}

TEST(ParseRedirectTest, MovedAndAsk) {
  const auto moved = ParseRedirect("MOVED 3999 127.0.0.1:6381", {"seed", 1});
  ASSERT_TRUE(moved.has_value());
  EXPECT_FALSE(moved->ask);
  EXPECT_EQ(moved->slot, 3999);
  EXPECT_EQ(moved->to.text(), "127.0.0.1:6381");
  const auto ask = ParseRedirect("ASK 1 ::1:7000", {"seed", 1});
  ASSERT_TRUE(ask.has_value());
  EXPECT_TRUE(ask->ask);
  EXPECT_EQ(ask->to, (RedisAddress{"::1", 7000}));
  EXPECT_EQ(ParseRedirect("MOVED 1 :7000", {"seed", 1})->to, (RedisAddress{"seed", 7000}));
}

TEST(ParseRedirectTest, EverythingElseIsNone) {
  for (const char* error :
       {"", "MOVED", "MOVED 1", "MOVED 1 host", "MOVED x h:1", "MOVED 16384 h:1", "MOVED 1 h:0",
        "MOVED 1 h:65536", "MOVED 1 h:x", "ASKING 1 h:1", "TRYAGAIN Multiple keys"}) {
    EXPECT_FALSE(ParseRedirect(error, {"seed", 1}).has_value()) << error;
  }
}

}  // namespace
}  // namespace meridian
