#include "common/rpc/timestamp.h"

#include <gtest/gtest.h>

namespace meridian {
namespace {

google::protobuf::Timestamp Proto(absl::Time time) {
  google::protobuf::Timestamp proto;
  ToProto(time, &proto);
  return proto;
}

TEST(TimestampTest, NanosAreNeverNegative) {
  const google::protobuf::Timestamp proto = Proto(absl::UnixEpoch() - absl::Milliseconds(250));
  EXPECT_EQ(proto.seconds(), -1);
  EXPECT_EQ(proto.nanos(), 750'000'000);
}

TEST(TimestampTest, ComesBackToTheNanosecond) {
  for (const absl::Duration since :
       {absl::Nanoseconds(1'800'000'000'123'456'789), -absl::Seconds(3), -absl::Nanoseconds(1),
        absl::ZeroDuration()}) {
    EXPECT_EQ(FromProto(Proto(absl::UnixEpoch() + since)), absl::UnixEpoch() + since);
  }
}

TEST(TimestampTest, TextIsInUtcWithMilliseconds) {
  EXPECT_EQ(Rfc3339(absl::FromUnixMillis(1'800'000'000'250)), "2027-01-15T08:00:00.250Z");
}

}  // namespace
}  // namespace meridian
