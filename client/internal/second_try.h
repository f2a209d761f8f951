// Whether a failed call may be tried again on another node.

#ifndef MERIDIAN_CLIENT_INTERNAL_SECOND_TRY_H_
#define MERIDIAN_CLIENT_INTERNAL_SECOND_TRY_H_

#include <grpcpp/support/status.h>

#include <string_view>

#include "common/rpc/reasons.h"

namespace meridian {

// What a second run of a call would do.
enum class CallKind {
  kRead,              // Nothing: it only reads.
  kWrite,             // The same again: a write that is judged by its version only.
  kConditionalWrite,  // Something else: its condition may hold no more because it ran.
};

// What became of a call, when it failed.
enum class FailedCall {
  kTryAnother,      // It did not run, or running it again is harmless.
  kFinal,           // The node refused it; another would refuse it too.
  kOutcomeUnknown,  // A conditional write that may or may not have happened.
};

// `left_client`: the call was handed to a connection. A node that fails a whole call with an
// ErrorInfo of its own (`refusal`: its reason, else empty) says that nothing of it ran. One whose
// clock is off gives no versions, and others go around it.
inline FailedCall Judge(grpc::StatusCode code, CallKind kind, bool left_client,
                        std::string_view refusal) {
  if (refusal == reason::kClockSkew) return FailedCall::kTryAnother;
  const bool ran_perhaps = left_client && refusal.empty();
  const bool lost = code == grpc::StatusCode::UNAVAILABLE ||
                    code == grpc::StatusCode::DEADLINE_EXCEEDED ||
                    code == grpc::StatusCode::CANCELLED || code == grpc::StatusCode::UNKNOWN ||
                    code == grpc::StatusCode::INTERNAL;
  if (kind == CallKind::kConditionalWrite && ran_perhaps && lost)
    return FailedCall::kOutcomeUnknown;
  // A server that shuts down cancels what reaches it by then; nobody here does.
  if (code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::CANCELLED) {
    return FailedCall::kTryAnother;
  }
  return FailedCall::kFinal;
}

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_INTERNAL_SECOND_TRY_H_
