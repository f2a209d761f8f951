// The answer to a call one of whose fields is wrong.

#ifndef MERIDIAN_SERVER_COORDINATOR_FIELD_ERROR_H_
#define MERIDIAN_SERVER_COORDINATOR_FIELD_ERROR_H_

#include <grpcpp/support/status.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/error.h"

namespace meridian {

inline grpc::Status FieldError(const std::string& field, const std::string& why) {
  ErrorDetails details;
  details.field = field;
  return MakeError(grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid,
                   absl::StrCat(field, ": ", why), std::move(details));
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_FIELD_ERROR_H_
