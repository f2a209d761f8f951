#include "server/node/l2_write_check.h"

#include "gtest/gtest.h"

namespace meridian {
namespace {

L2Write Valid() {
  L2Write write;
  write.version = Version{uint64_t{1'800'000'000'000} << 16, 7};
  write.expires_at = absl::FromUnixSeconds(1'800'000'060);
  write.retention = absl::Minutes(1);
  Record record;
  record.version = write.version;
  record.expires_at = write.expires_at;
  AppendRecord(record, &write.record);
  return write;
}

absl::StatusCode CodeOf(const L2Write& write) { return CheckWrite(write).code(); }

TEST(L2WriteCheckTest, ARecordHasTheVersionOfItsWrite) {
  L2Write write = Valid();
  EXPECT_TRUE(CheckWrite(write).ok());
  write.version.region = 8;
  EXPECT_EQ(CodeOf(write), absl::StatusCode::kInvalidArgument);
  write = Valid();
  write.record.pop_back();
  EXPECT_EQ(CodeOf(write), absl::StatusCode::kInvalidArgument) << "no whole header";
  write.record.clear();
  write.kind = L2WriteKind::kTouch;
  EXPECT_TRUE(CheckWrite(write).ok()) << "no record is sent";
}

TEST(L2WriteCheckTest, EveryWriteIsKeptForATime) {
  L2Write write = Valid();
  for (const absl::Duration none : {absl::ZeroDuration(), absl::Seconds(-1)}) {
    write.retention = none;
    EXPECT_EQ(CodeOf(write), absl::StatusCode::kInvalidArgument);
  }
  write.kind = L2WriteKind::kTouch;
  EXPECT_EQ(CodeOf(write), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace meridian
