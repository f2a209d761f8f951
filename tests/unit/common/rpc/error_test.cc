#include "common/rpc/error.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"

namespace meridian {
namespace {

TEST(ErrorTest, SurvivesTheWayThroughAGrpcStatus) {
  Error error{grpc::StatusCode::INVALID_ARGUMENT, reason::kKeyTooLong, "a key of 2000 bytes", {}};
  error.details.field = "entries[3].key";
  error.details.retry_after = absl::Milliseconds(1500);
  error.details.metadata = {{"limit", "1024"}};
  const grpc::Status status = ToGrpcStatus(error);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), error.message);
  const Error back = FromGrpcStatus(status);
  EXPECT_EQ(back.reason, error.reason);
  EXPECT_EQ(back.details.field, error.details.field);
  EXPECT_EQ(back.details.retry_after, error.details.retry_after);
  EXPECT_EQ(back.details.metadata, error.details.metadata);
}

TEST(ErrorTest, EveryErrorHasAnErrorInfoOfOurDomain) {
  const grpc::Status status = MakeError(grpc::StatusCode::UNAVAILABLE, reason::kNoOwner, "words");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(details.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");
  EXPECT_EQ(info.domain(), "meridian");
  EXPECT_EQ(info.reason(), "NO_OWNER");
}

TEST(ErrorTest, TakesTheReasonOutOfAStatusMessage) {
  const Error with = FromStatus(absl::UnavailableError("L2_CIRCUIT_OPEN: wait 2 s"));
  EXPECT_EQ(with.reason, "L2_CIRCUIT_OPEN");
  EXPECT_EQ(with.message, "wait 2 s");
  const Error without = FromStatus(absl::DataLossError("bad: bytes"));
  EXPECT_EQ(without.reason, "DATA_LOSS");
  EXPECT_EQ(without.message, "bad: bytes");
}

TEST(ErrorTest, ForeignStatusesHaveTheirCodesNameAsReason) {
  const Error error = FromGrpcStatus(grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "who"));
  EXPECT_EQ(error.reason, "UNAUTHENTICATED");
  const Error garbage = FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "x", "\xff\xff"));
  EXPECT_EQ(garbage.reason, "INTERNAL");
}

TEST(ErrorTest, EntryErrorsAreTheSameFlat) {
  Error error{grpc::StatusCode::DATA_LOSS, reason::kCorruptRecord, "words", {}};
  error.details.field = "keys[0]";
  cache::v1::EntryError proto;
  ToProto(error, &proto);
  const Error back = FromProto(proto);
  EXPECT_EQ(back.code, error.code);
  EXPECT_EQ(back.reason, error.reason);
  EXPECT_EQ(back.message, error.message);
  EXPECT_EQ(back.details.field, error.details.field);
}

}  // namespace
}  // namespace meridian
