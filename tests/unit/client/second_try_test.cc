#include "client/internal/second_try.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "client/internal/request_ids.h"

namespace meridian {
namespace {

using grpc::StatusCode;

TEST(SecondTryTest, WhatAServerThatEndsDoesNotAnswerIsTriedAgain) {
  for (const CallKind kind : {CallKind::kRead, CallKind::kWrite}) {
    for (int code = 1; code <= 16; ++code) {
      const FailedCall verdict = Judge(static_cast<StatusCode>(code), kind, true, "");
      const bool ended = code == StatusCode::UNAVAILABLE || code == StatusCode::CANCELLED;
      EXPECT_EQ(verdict, ended ? FailedCall::kTryAnother : FailedCall::kFinal) << code;
    }
  }
}

TEST(SecondTryTest, AConditionalWriteIsTriedAgainOnlyWhenItCannotHaveRun) {
  const auto judge = [](StatusCode code, bool left, bool refused) {
    return Judge(code, CallKind::kConditionalWrite, left, refused ? "SOME_REASON" : "");
  };
  EXPECT_EQ(judge(StatusCode::UNAVAILABLE, false, false), FailedCall::kTryAnother);
  EXPECT_EQ(judge(StatusCode::UNAVAILABLE, true, true), FailedCall::kTryAnother);
  EXPECT_EQ(judge(StatusCode::UNAVAILABLE, true, false), FailedCall::kOutcomeUnknown);
  EXPECT_EQ(judge(StatusCode::DEADLINE_EXCEEDED, true, false), FailedCall::kOutcomeUnknown);
  EXPECT_EQ(judge(StatusCode::DEADLINE_EXCEEDED, false, false), FailedCall::kFinal);
  EXPECT_EQ(judge(StatusCode::INVALID_ARGUMENT, true, true), FailedCall::kFinal);
}

TEST(SecondTryTest, ANodeWhoseClockIsOffHasDoneNothingAndIsGoneAround) {
  for (const CallKind kind : {CallKind::kWrite, CallKind::kConditionalWrite}) {
    EXPECT_EQ(Judge(StatusCode::FAILED_PRECONDITION, kind, true, "CLOCK_SKEW"),
              FailedCall::kTryAnother);
  }
}

TEST(RequestIdsTest, IdsAreDistinctAndShort) {
  RequestIds one(1);
  RequestIds two(2);
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    ids.insert(one.Next());
    ids.insert(two.Next());
  }
  EXPECT_EQ(ids.size(), 200u);
  EXPECT_EQ(ids.begin()->size(), 24u);
}

}  // namespace
}  // namespace meridian
