#include "server/l2/apply_batch.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/node/record.h"

namespace meridian {
namespace {

const Version kVersion{(uint64_t{0x018f00112233} << 16) | 7, 0xbeef};

Reply TextReply(std::string_view text) {
  Reply reply;
  reply.type = Reply::Type::kString;
  reply.bytes = Buffer::CopyOf(text);
  return reply;
}

// Every region's replicas and every stored byte depend on these names.
TEST(ApplyBatchTest, GoldenKeys) {
  EXPECT_EQ(EntryRedisKey({513, "task", "user:{7}:x"}), "m:{513}:e:task:user:{7}:x");
  EXPECT_EQ(LogRedisKey(0), "m:{0}:log");
  EXPECT_EQ(CursorRedisKey(1023, "eu"), "m:{1023}:cur:eu");
}

TEST(ApplyBatchTest, PositionsRoundTripAndNothingElseIsOne) {
  for (const LogPosition position :
       {LogPosition{}, LogPosition{1'700'000'000'000, 3}, LogPosition{UINT64_MAX, UINT64_MAX}}) {
    EXPECT_EQ(ParsePosition(PositionText(position)), position);
  }
  for (const char* text : {"", "-", "1", "1-", "-1", "a-1", "1-1 ", " 1-1",
                           "1-18446744073709551616", "1-1-1", "+1-1"}) {
    EXPECT_EQ(ParsePosition(text), std::nullopt) << text;
  }
}

TEST(ApplyBatchTest, ALogFieldIsVersionNamespaceAndAnyKey) {
  const std::string field = absl::StrCat(kVersion.ToText(), "task:a:b:{c}");
  const auto entry = ParseLogField({1, 2}, field);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->version, kVersion);
  EXPECT_EQ(entry->name_space, "task");
  EXPECT_EQ(entry->key, "a:b:{c}");
  EXPECT_EQ(ParseLogField({}, "short"), std::nullopt);
  EXPECT_EQ(ParseLogField({}, absl::StrCat(kVersion.ToText(), "no colon")), std::nullopt);
  EXPECT_EQ(ParseLogField({}, std::string(40, 'z')), std::nullopt);
}

TEST(ApplyBatchTest, AnswersOfTheScriptBecomeOutcomes) {
  L2Write write;
  write.version = kVersion;
  const Version other{1 << 16, 1};
  EXPECT_EQ(UnpackResult(TextReply("O"), write).stored, kVersion);
  EXPECT_EQ(UnpackResult(TextReply("A"), write).outcome, L2WriteOutcome::kAbsent);
  const L2WriteResult stale = UnpackResult(TextReply("S" + other.ToText()), write);
  EXPECT_EQ(stale.outcome, L2WriteOutcome::kStale);
  EXPECT_EQ(stale.stored, other);
  EXPECT_FALSE(UnpackResult(TextReply("C"), write).stored.is_set());
  EXPECT_EQ(UnpackResult(TextReply("C" + other.ToText()), write).outcome,
            L2WriteOutcome::kConflict);
  EXPECT_EQ(UnpackResult(TextReply("EOOM no memory"), write).status.code(),
            absl::StatusCode::kResourceExhausted);
  for (const char* text : {"", "S", "Szz", "X", "C1"}) {
    EXPECT_EQ(UnpackResult(TextReply(text), write).status.code(), absl::StatusCode::kInternal)
        << text;
  }
  EXPECT_EQ(UnpackResult(Reply(), write).status.code(), absl::StatusCode::kInternal);
}

// KEYS and ARGV of scripts/apply.lua, seen from the wire.
TEST(ApplyBatchTest, PacksKeysOnceALogForEverySlotAndFourArgumentsForEveryWrite) {
  L2Write put;
  put.key = {5, "t", "a"};
  put.version = kVersion;
  put.retention = absl::Seconds(2);
  put.record = "RECORD";
  L2Write touch;
  touch.key = {9, "t", "b"};
  touch.kind = L2WriteKind::kTouch;
  touch.version = kVersion;
  touch.expires_at = absl::FromUnixMillis(0xabc);
  touch.retention = absl::Nanoseconds(1);
  touch.condition = L2Condition::kIfVersion;
  touch.expected_version = Version{1 << 16, 1};
  const CursorMove cursor{"m:{5}:cur:eu", {12, 3}};
  const RedisCommand command = PackWrites("replicate", {put, touch}, {0, 1},
                                          absl::FromUnixMillis(0x123), 1000, &cursor, "m:changes");
  std::string readable;
  for (const char c : *command.bytes) readable += c == '\r' ? '|' : c;
  readable.erase(std::remove(readable.begin(), readable.end(), '\n'), readable.end());
  EXPECT_EQ(readable,
            "$1|6|$11|m:{5}:e:t:a|$11|m:{9}:e:t:b|$9|m:{5}:log|$9|m:{9}:log|$12|m:{5}:cur:eu|$9|m:"
            "changes|"
            "$12|000000000123|$4|1000|$1|2|$4|12-3|"
            "$2|Pn|$1|3|$4|2000|$6|RECORD|"
            "$22|Tv00000000000100000001|$1|4|$1|1|$32|018f001122330007beef000000000abc|");
  EXPECT_EQ(command.script_arguments, 1u + 6u + 4u + 8u);
}

}  // namespace
}  // namespace meridian
