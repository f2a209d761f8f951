// When a call must be answered.

#ifndef MERIDIAN_SERVER_RPC_CALL_TIMING_H_
#define MERIDIAN_SERVER_RPC_CALL_TIMING_H_

#include <grpcpp/server_context.h>

#include <algorithm>

#include "absl/time/time.h"

namespace meridian {

// Calls without a deadline get this long; nobody gets longer than kMaxCallTime.
inline constexpr absl::Duration kDefaultCallTime = absl::Seconds(10);
inline constexpr absl::Duration kMaxCallTime = absl::Seconds(60);

inline absl::Time DeadlineOf(const grpc::CallbackServerContext& context, absl::Time now) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return now + kDefaultCallTime;
  return std::min(absl::FromChrono(deadline), now + kMaxCallTime);
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_CALL_TIMING_H_
