// IsWireError: what a caller in any language sees of a refusal, in one expectation.
//
//   EXPECT_THAT(stub->Get(...), IsWireError(grpc::INVALID_ARGUMENT, "KEY_EMPTY", "key"));

#ifndef MERIDIAN_TESTS_SUPPORT_WIRE_ERROR_H_
#define MERIDIAN_TESTS_SUPPORT_WIRE_ERROR_H_

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <ostream>
#include <string>

#include "common/rpc/error.h"
#include "meridian/cache/v1/types.pb.h"

namespace meridian {

// The error of a call or of one entry, in one form.
struct WireError {
  grpc::StatusCode code;
  std::string reason;
  std::string field;
  std::string message;

  friend std::ostream& operator<<(std::ostream& out, const WireError& error) {
    return out << CodeName(error.code) << " " << error.reason << " field '" << error.field << "': "
               << error.message;
  }
};

inline WireError ToWireError(const grpc::Status& status) {
  const Error error = FromGrpcStatus(status);
  return {error.code, error.reason, error.details.field, error.message};
}

inline WireError ToWireError(const cache::v1::EntryError& proto) {
  return {static_cast<grpc::StatusCode>(proto.code()), proto.reason(), proto.field(),
          proto.message()};
}

MATCHER_P3(IsWireError, code, reason, field, "") {
  const WireError error = ToWireError(arg);
  *result_listener << "which is " << error;
  return error.code == code && error.reason == reason && error.field == field &&
         !error.message.empty();
}

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_WIRE_ERROR_H_
