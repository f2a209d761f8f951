#include "server/node/hint_log.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

constexpr absl::Duration kNow = absl::Seconds(1000);

L2Write WriteOf(const std::string& key, uint64_t version, size_t size = 10) {
  L2Write write;
  write.key = {1, "task", key};
  write.version = Version{version, 7};
  write.record = std::string(size, static_cast<char>('a' + version % 26));
  return write;
}

TEST(HintLogTest, HoldsTheNewestOfEachKeyInTheOrderOfVersions) {
  HintLog log({});
  EXPECT_TRUE(log.empty());
  for (const auto& [key, version] :
       std::vector<std::pair<std::string, uint64_t>>{{"b", 3}, {"a", 1}, {"c", 2}, {"a", 5}}) {
    EXPECT_TRUE(log.Add(WriteOf(key, version), kNow).ok());
  }
  EXPECT_TRUE(log.Add(WriteOf("b", 2), kNow).ok());  // Void already.
  std::string order;
  for (const L2Write& write : log.Oldest(10, 1000)) order += write.key.key;
  EXPECT_EQ(order, "cba");
  EXPECT_THAT(log.Find("task", "a"), Optional(WriteOf("a", 5).record));
  EXPECT_EQ(log.Find("task", "d"), std::nullopt);
  EXPECT_EQ(log.Find("other", "a"), std::nullopt);
  EXPECT_EQ(log.Oldest(2, 1000).size(), 2u);
  EXPECT_EQ(log.Oldest(10, 15).size(), 1u);
  EXPECT_EQ(log.Oldest(10, 1).size(), 1u);  // Never none.
  EXPECT_EQ(log.Stats(kNow).accepted_total, 4u);
}

TEST(HintLogTest, WhatIsReplayedOrOvertakenGoesUnlessItWasWrittenAgain) {
  HintLog log({});
  for (const char* key : {"a", "b", "c"}) {
    EXPECT_TRUE(log.Add(WriteOf(key, 1 + static_cast<uint64_t>(*key - 'a')), kNow).ok());
  }
  EXPECT_TRUE(log.Add(WriteOf("a", 9), kNow).ok());
  log.Replayed(WriteOf("a", 1), true);  // A newer one waits.
  EXPECT_TRUE(log.Find("task", "a").has_value());
  log.Replayed(WriteOf("b", 2), true);
  log.Replayed(WriteOf("c", 3), false);
  log.Overtaken("task", "a", Version{8, 9});
  EXPECT_TRUE(log.Find("task", "a").has_value());
  log.Overtaken("task", "a", Version{9, 9});
  EXPECT_TRUE(log.empty());
  const HintStats stats = log.Stats(kNow);
  EXPECT_EQ(stats.replayed_total, 1u);
  EXPECT_EQ(stats.overtaken_total, 2u);
  EXPECT_EQ(stats.bytes, 0u);
  EXPECT_EQ(stats.oldest, absl::ZeroDuration());
}

TEST(HintLogTest, BytesAreBoundedAndRewritingAKeyTakesNoMore) {
  HintLog log({.max_bytes = 4000});
  int taken = 0;
  absl::Status full;
  for (uint64_t i = 1; full.ok() && i < 100; ++i) {
    full = log.Add(WriteOf(absl::StrCat("key", i), i, 500), kNow);
    taken += full.ok();
  }
  EXPECT_GE(taken, 3);
  EXPECT_LT(taken, 8);
  EXPECT_EQ(full.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(full.message()), HasSubstr("HINTS_FULL"));
  EXPECT_LE(log.Stats(kNow).bytes, 4000u);
  for (uint64_t i = 200; i < 300; ++i) EXPECT_TRUE(log.Add(WriteOf("key1", i, 500), kNow).ok());
  EXPECT_EQ(log.Stats(kNow).refused_total, 1u);
  EXPECT_EQ(log.Stats(kNow).entries, static_cast<size_t>(taken));
}

TEST(HintLogTest, NothingMoreIsTakenOnceTheOldestIsTooOld) {
  HintLog log({.max_bytes = 100'000, .max_age = absl::Minutes(1)});
  EXPECT_TRUE(log.Add(WriteOf("a", 1), kNow).ok());
  EXPECT_TRUE(log.Add(WriteOf("b", 2), kNow + absl::Minutes(1)).ok());
  EXPECT_EQ(log.Stats(kNow + absl::Minutes(1)).oldest, absl::Minutes(1));
  EXPECT_FALSE(log.Add(WriteOf("c", 3), kNow + absl::Minutes(1) + absl::Seconds(1)).ok());
  log.Replayed(WriteOf("a", 1), true);
  EXPECT_TRUE(log.Add(WriteOf("c", 4), kNow + absl::Minutes(1) + absl::Seconds(1)).ok());
}

TEST(HintLogTest, OneThatIsClosedTakesNothingAndKeepsWhatItHas) {
  HintLog log({});
  EXPECT_TRUE(log.Add(WriteOf("a", 1), kNow).ok());
  log.Close();
  EXPECT_THAT(std::string(log.Add(WriteOf("b", 2), kNow).message()), HasSubstr("SHUTTING_DOWN: "));
  EXPECT_THAT(log.Find("task", "a"), Optional(WriteOf("a", 1).record));
  log.Replayed(WriteOf("a", 1), true);
  EXPECT_EQ(log.Lose(), 0u);
}

TEST(HintLogTest, WhatIsGivenUpIsCounted) {
  HintLog log({});
  for (const char* key : {"a", "b"}) {
    EXPECT_TRUE(log.Add(WriteOf(key, static_cast<uint64_t>(*key)), kNow).ok());
  }
  EXPECT_EQ(log.Lose(), 2u);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.Find("task", "a"), std::nullopt);
  EXPECT_EQ(log.Stats(kNow).lost_total, 2u);
  EXPECT_EQ(log.Stats(kNow).bytes, 0u);
}

}  // namespace
}  // namespace meridian
