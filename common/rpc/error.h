// Error is why a call or one entry of it failed: a status code, a stable reason, words for people.
// Here, and only here, it becomes a gRPC status with google.rpc details, or an EntryError.
//
// Reasons are UPPER_SNAKE_CASE constants in reasons.h; docs/wire.md lists them.

#ifndef MERIDIAN_COMMON_RPC_ERROR_H_
#define MERIDIAN_COMMON_RPC_ERROR_H_

#include <grpcpp/support/status.h>

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/reasons.h"
#include "meridian/cache/v1/types.pb.h"

namespace meridian {

// What an error may carry besides its code, reason and message.
struct ErrorDetails {
  std::string field;                             // Path in the request: "entries[3].key".
  absl::Duration retry_after;                    // 0: not said.
  std::map<std::string, std::string> metadata;   // Facts for programs.
};

struct Error {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  std::string reason;
  std::string message;
  ErrorDetails details;
};

// The error of a whole call: google.rpc.Status with ErrorInfo (domain "meridian"), BadRequest when
// a field is named, RetryInfo when a delay is.
grpc::Status ToGrpcStatus(const Error& error);
grpc::Status MakeError(grpc::StatusCode code, std::string_view reason, std::string_view message,
                       ErrorDetails details = {});

// The error of one entry.
void ToProto(const Error& error, cache::v1::EntryError* proto);

// A status from a lower layer. A message "REASON: words" gives the reason; without one it is the
// code's name.
Error FromStatus(const absl::Status& status);

// What a server's answer says: the reverse of ToGrpcStatus, also for foreign servers' errors.
Error FromGrpcStatus(const grpc::Status& status);
Error FromProto(const cache::v1::EntryError& proto);

// "UNAVAILABLE" and so on; exact gRPC names.
std::string_view CodeName(grpc::StatusCode code);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_ERROR_H_
