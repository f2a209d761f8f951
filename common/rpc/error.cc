#include "common/rpc/error.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/base/strings.h"
#include "google/rpc/error_details.pb.h"

namespace meridian {
namespace {

constexpr char kDomain[] = "meridian";

bool IsReason(std::string_view text) {
  return !text.empty() && text.size() <= 63 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isupper(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

}  // namespace

std::string_view CodeName(grpc::StatusCode code) {
  static constexpr std::string_view kNames[] = {
      "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
      "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
      "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"};
  const size_t index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

grpc::Status ToGrpcStatus(const Error& error) {
  google::rpc::Status status;
  status.set_code(error.code);
  status.set_message(error.message);
  google::rpc::ErrorInfo info;
  info.set_reason(error.reason);
  info.set_domain(kDomain);
  for (const auto& [key, value] : error.details.metadata) (*info.mutable_metadata())[key] = value;
  status.add_details()->PackFrom(info);
  if (!error.details.field.empty()) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    violation->set_field(error.details.field);
    violation->set_description(error.message);
    status.add_details()->PackFrom(bad);
  }
  if (error.details.retry_after > absl::ZeroDuration()) {
    google::rpc::RetryInfo retry;
    const int64_t ns = absl::ToInt64Nanoseconds(error.details.retry_after);
    retry.mutable_retry_delay()->set_seconds(ns / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
    status.add_details()->PackFrom(retry);
  }
  return grpc::Status(error.code, error.message, status.SerializeAsString());
}

grpc::Status MakeError(grpc::StatusCode code, std::string_view reason, std::string_view message,
                       ErrorDetails details) {
  return ToGrpcStatus(
      Error{code, std::string(reason), std::string(message), std::move(details)});
}

void ToProto(const Error& error, cache::v1::EntryError* proto) {
  proto->set_code(error.code);
  proto->set_reason(error.reason);
  proto->set_message(error.message);
  proto->set_field(error.details.field);
  proto->set_retry_after_ms(
      static_cast<uint32_t>(absl::ToInt64Milliseconds(error.details.retry_after)));
}

Error FromStatus(const absl::Status& status) {
  Error error;
  error.code = static_cast<grpc::StatusCode>(status.code());
  const std::string_view message = ToStd(status.message());
  const size_t colon = message.find(": ");
  if (colon != std::string_view::npos && IsReason(message.substr(0, colon))) {
    error.reason = std::string(message.substr(0, colon));
    error.message = std::string(message.substr(colon + 2));
  } else {
    error.reason = std::string(CodeName(error.code));
    error.message = std::string(message);
  }
  return error;
}

Error FromGrpcStatus(const grpc::Status& grpc_status) {
  Error error;
  error.code = grpc_status.error_code();
  error.message = grpc_status.error_message();
  error.reason = std::string(CodeName(error.code));
  google::rpc::Status status;
  if (grpc_status.error_details().empty() ||
      !status.ParseFromString(grpc_status.error_details())) {
    return error;
  }
  for (const auto& detail : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&info)) {
      error.reason = info.reason();
      error.details.metadata = {info.metadata().begin(), info.metadata().end()};
    } else if (detail.UnpackTo(&bad)) {
      if (bad.field_violations_size() > 0) error.details.field = bad.field_violations(0).field();
    } else if (detail.UnpackTo(&retry)) {
      error.details.retry_after = absl::Seconds(retry.retry_delay().seconds()) +
                                  absl::Nanoseconds(retry.retry_delay().nanos());
    }
  }
  return error;
}

Error FromProto(const cache::v1::EntryError& proto) {
  Error error;
  error.code = static_cast<grpc::StatusCode>(proto.code());
  error.reason = proto.reason();
  error.message = proto.message();
  error.details.field = proto.field();
  error.details.retry_after = absl::Milliseconds(proto.retry_after_ms());
  return error;
}

}  // namespace meridian
