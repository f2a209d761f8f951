// Times on the wire and for people.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_COMMON_RPC_TIMESTAMP_H_
#define MERIDIAN_COMMON_RPC_TIMESTAMP_H_

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace meridian {

inline absl::Time FromProto(const google::protobuf::Timestamp& proto) {
  return absl::FromUnixSeconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

inline void ToProto(absl::Time time, google::protobuf::Timestamp* proto) {
  const int64_t seconds = absl::ToUnixSeconds(time);  // Rounded down, as nanos want it.
  proto->set_seconds(seconds);
  proto->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

// RFC 3339 in UTC with milliseconds: 2026-11-22T08:00:00.000Z.
inline std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_TIMESTAMP_H_
