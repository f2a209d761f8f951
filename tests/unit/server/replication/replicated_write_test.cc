#include "server/replication/replicated_write.h"

#include "common/base/hash.h"
#include "common/base/version_before.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/node/record.h"
#include "server/replication/heartbeat.h"

namespace meridian {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
const absl::Duration kTombstoneTtl = absl::Hours(7);
const L2Key kKey = {5, "task", "k"};
constexpr Version kVersion = {uint64_t{1'800'000'000'000} << 16, 7};

std::string Bytes(RecordKind kind, absl::Time expires_at) {
  std::string bytes;
  AppendRecord({.version = kVersion,
                .expires_at = expires_at,
                .kind = kind,
                .tags = {},
                .value = kind == RecordKind::kValue ? "v" : ""},
               &bytes);
  return bytes;
}

TEST(ReplicatedWriteTest, AValueKeepsItsBytesItsExpiryAndItsRemainingLife) {
  const std::string bytes = Bytes(RecordKind::kValue, kNow + absl::Seconds(90));
  const absl::StatusOr<L2Write> write = ReplicatedWrite(kKey, bytes, kNow, kTombstoneTtl);
  ASSERT_TRUE(write.ok());
  EXPECT_EQ(write->record, bytes);
  EXPECT_EQ(write->version, kVersion);
  EXPECT_EQ(write->expires_at, kNow + absl::Seconds(90));
  EXPECT_EQ(write->retention, absl::Seconds(100));
  EXPECT_EQ(write->condition, L2Condition::kNone);
  EXPECT_EQ(write->key.slot, 5u);
}

TEST(ReplicatedWriteTest, AnExpiredValueIsSentAndForgottenSoon) {
  const auto write =
      ReplicatedWrite(kKey, Bytes(RecordKind::kValue, kNow - absl::Hours(1)), kNow, kTombstoneTtl);
  ASSERT_TRUE(write.ok());
  EXPECT_EQ(write->retention, kExpiryGrace);
}

TEST(ReplicatedWriteTest, ATombstoneIsKeptForItsWholeTimeHoweverLateItIs) {
  const std::string bytes = Bytes(RecordKind::kTombstone, kNow + kTombstoneTtl);
  for (const absl::Duration late : {absl::ZeroDuration(), kTombstoneTtl - absl::Seconds(1)}) {
    const auto write = ReplicatedWrite(kKey, bytes, kNow + late, kTombstoneTtl);
    ASSERT_TRUE(write.ok());
    EXPECT_EQ(write->retention, kTombstoneTtl);
    EXPECT_FALSE(write->evictable);
  }
}

TEST(ReplicatedWriteTest, ADropIsKeptForWhatIsLeftOfItsLife) {
  const auto write = ReplicatedWrite(kKey, Bytes(RecordKind::kTombstone, kNow + kDropKeep),
                                     kNow + absl::Minutes(1), kTombstoneTtl);
  ASSERT_TRUE(write.ok());
  EXPECT_EQ(write->retention, kDropKeep - absl::Minutes(1) + kExpiryGrace);
  EXPECT_TRUE(write->evictable);
}

TEST(ReplicatedWriteTest, GarbageIsRefused) {
  EXPECT_EQ(ReplicatedWrite(kKey, "garbage", kNow, kTombstoneTtl).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(ReplicatedWriteTest, ADropIsATombstoneOfItsVersion) {
  const L2Write write = DropUpTo(kKey, kVersion, kNow);
  const absl::StatusOr<Record> record = ParseRecord(write.record);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->kind, RecordKind::kTombstone);
  EXPECT_EQ(record->version, kVersion);
  EXPECT_EQ(write.version, kVersion);
  EXPECT_EQ(write.retention, kExpiryGrace);
}

TEST(ReplicatedWriteTest, WhatStandsForAChangeLeavesRoomForIt) {
  const L2Write write = DropOlderThan(kKey, kVersion, kNow, kDropKeep);
  EXPECT_EQ(write.version, JustBefore(kVersion));
  EXPECT_EQ(ParseRecord(write.record)->version, write.version);
  EXPECT_TRUE(write.evictable);
  EXPECT_FALSE(DropOlderThan(kKey, kVersion, kNow, kTombstoneTtl).evictable);
}

TEST(ReplicatedWriteTest, ADeleteIsRememberedLongerThanTheSuccessorOfAValue) {
  EXPECT_EQ(KeepOfDrop(/*removal=*/true, kTombstoneTtl), kTombstoneTtl);
  EXPECT_EQ(KeepOfDrop(/*removal=*/false, kTombstoneTtl), kDropKeep);
  EXPECT_EQ(KeepOfDrop(/*removal=*/false, absl::Seconds(1)), absl::Seconds(1));
}

TEST(HeartbeatTest, TheKeyLiesInAnOwnedSlotForAnySetOfSlots) {
  EXPECT_EQ(HeartbeatKey("us", {}), "");
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const std::string key = HeartbeatKey("us", {slot});
    EXPECT_EQ(SlotOf(kInternalNamespace, key), slot);
  }
  EXPECT_NE(HeartbeatKey("us", {3, 900}), HeartbeatKey("eu", {3, 900}));
}

}  // namespace
}  // namespace meridian
