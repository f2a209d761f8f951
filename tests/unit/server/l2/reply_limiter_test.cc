#include "server/l2/reply_limiter.h"

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using Scan = ReplyLimiter::Scan;

// Splits a stream into replies by feeding pieces of `piece` bytes.
absl::StatusOr<std::vector<std::string>> Split(const std::string& stream, size_t piece,
                                               ReplyLimits limits = {}) {
  ReplyLimiter limiter(limits);
  std::vector<std::string> replies;
  std::string current;
  for (size_t at = 0; at < stream.size(); at += piece) {
    std::string_view bytes = std::string_view(stream).substr(at, piece);
    while (!bytes.empty()) {
      Scan scan;
      if (absl::Status status = limiter.Next(bytes, &scan); !status.ok()) return status;
      EXPECT_GT(scan.consumed, 0u);
      current.append(bytes.substr(0, scan.consumed));
      bytes.remove_prefix(scan.consumed);
      if (scan.too_large) return absl::ResourceExhaustedError(current);
      if (scan.complete) {
        replies.push_back(std::move(current));
        current.clear();
      }
    }
  }
  return replies;
}

absl::StatusCode CodeOf(const std::string& stream, ReplyLimits limits = {}) {
  const absl::StatusCode whole = Split(stream, stream.size(), limits).status().code();
  EXPECT_EQ(Split(stream, 1, limits).status().code(), whole) << "byte at a time";
  return whole;
}

const std::vector<std::string>& GoodReplies() {
  static const auto* replies =
      new std::vector<std::string>{"+OK\r\n",
                                   "+\r\n",
                                   "-ERR wrong\r\n",
                                   ":0\r\n",
                                   ":-9223372036854775808\r\n",
                                   "$-1\r\n",
                                   "$0\r\n\r\n",
                                   "$4\r\n\r\n\r\n\r\n",
                                   "$5\r\nhello\r\n",
                                   "*-1\r\n",
                                   "*0\r\n",
                                   "*2\r\n$1\r\na\r\n*3\r\n:1\r\n$-1\r\n*0\r\n",
                                   "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n+x\r\n",
                                   absl::StrCat("$70000\r\n", std::string(70000, '*'), "\r\n")};
  return *replies;
}

TEST(ReplyLimiterTest, FindsTheEndOfEveryReplyInPiecesOfAnySize) {
  std::string stream;
  for (const std::string& reply : GoodReplies()) stream += reply;
  for (const size_t piece : {1, 2, 3, 7, 100, 65536, 1 << 20}) {
    const auto replies = Split(stream, piece);
    ASSERT_TRUE(replies.ok()) << replies.status();
    EXPECT_EQ(*replies, GoodReplies()) << piece;
  }
}

TEST(ReplyLimiterTest, RandomNestingIsFramedLikeItWasWritten) {
  std::mt19937 random(17);
  const std::function<std::string(int)> write = [&](int depth) -> std::string {
    const int kind = static_cast<int>(random() % (depth < 7 ? 5 : 4));
    if (kind == 0) return absl::StrCat(":", random(), "\r\n");
    if (kind == 1) return "$-1\r\n";
    if (kind == 2) return absl::StrCat("+", std::string(random() % 30, 'x'), "\r\n");
    if (kind == 3) {
      std::string bulk(random() % 60, '\0');
      for (char& c : bulk) c = "\r\n$*0"[random() % 5];
      return absl::StrCat("$", bulk.size(), "\r\n", bulk, "\r\n");
    }
    const int count = static_cast<int>(random() % 5);
    std::string array = absl::StrCat("*", count, "\r\n");
    for (int i = 0; i < count; ++i) array += write(depth + 1);
    return array;
  };
  std::vector<std::string> replies;
  std::string stream;
  for (int i = 0; i < 500; ++i) {
    replies.push_back(write(0));
    stream += replies.back();
  }
  EXPECT_EQ(*Split(stream, 1), replies);
  EXPECT_EQ(*Split(stream, 4096), replies);
}

TEST(ReplyLimiterTest, WhatNoRedisSendsIsMalformed) {
  for (const char* bytes :
       {"?\r\n", "HTTP/1.1 200 OK\r\n", "\r\n", "$x\r\n", "$\r\n", "$-\r\n", "$-2\r\n", "$+1\r\n",
        "$1 \r\n", "*-2\r\n", "*1\r\n%1\r\n", "+OK\rX\r\n", "$1\r\nabc", "$1\r\na\r\r", ":1a\r\n",
        ":\r\n", ":99999999999999999999\r\n", "$99999999999999999999999\r\n", "*2147483648x\r\n"}) {
    EXPECT_EQ(CodeOf(bytes), absl::StatusCode::kInvalidArgument) << bytes;
  }
}

TEST(ReplyLimiterTest, AnnouncementsBeyondTheLimitsAreRefusedBeforeTheirBytesCome) {
  for (const char* bytes : {"$67108865\r\n", "$9223372036854775807\r\n", "*1000001\r\n",
                            "*2147483647\r\n", "*1\r\n$67108865\r\n"}) {
    EXPECT_EQ(CodeOf(bytes), absl::StatusCode::kOutOfRange) << bytes;
  }
}

TEST(ReplyLimiterTest, NestingIsBounded) {
  std::string seven;
  for (int i = 0; i < 7; ++i) seven += "*1\r\n";
  EXPECT_EQ(CodeOf(seven + ":1\r\n"), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(seven + "*1\r\n"), absl::StatusCode::kOutOfRange);
}

TEST(ReplyLimiterTest, ALineThatDoesNotEndIsRefused) {
  EXPECT_EQ(CodeOf("-" + std::string(64 << 10, 'x') + "\r\n"), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf("-" + std::string((64 << 10) + 1, 'x')), absl::StatusCode::kOutOfRange);
}

TEST(ReplyLimiterTest, ManyReasonableElementsThatAreTooMuchInTotalAreTooLarge) {
  ReplyLimits limits;
  limits.max_reply_bytes = 1000;
  EXPECT_EQ(CodeOf("$900\r\n", limits), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf("*2\r\n$900\r\n" + std::string(900, 'x') + "\r\n$90\r\n", limits),
            absl::StatusCode::kResourceExhausted);
  // Elements count when they are announced: that is what a reader allocates.
  EXPECT_EQ(CodeOf("*2\r\n*600000\r\n:1\r\n"), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf("*2\r\n*1000000\r\n"), absl::StatusCode::kResourceExhausted);
}

TEST(ReplyLimiterTest, ATooLargeReplyEndsWhereItEndsAndTheNextOneIsFine) {
  ReplyLimits limits;
  limits.max_reply_bytes = 20;
  ReplyLimiter limiter(limits);
  const std::string large = "$30\r\n" + std::string(30, 'x') + "\r\n";
  const std::string stream = large + "+OK\r\n";
  Scan scan;
  ASSERT_TRUE(limiter.Next(stream, &scan).ok());
  EXPECT_TRUE(scan.too_large);
  EXPECT_TRUE(scan.complete);
  EXPECT_EQ(scan.consumed, large.size());
  ASSERT_TRUE(limiter.Next(std::string_view(stream).substr(scan.consumed), &scan).ok());
  EXPECT_FALSE(scan.too_large);
  EXPECT_TRUE(scan.complete);
}

}  // namespace
}  // namespace meridian
