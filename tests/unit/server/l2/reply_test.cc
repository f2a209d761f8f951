#include "server/l2/reply.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/replication/write_refusal.h"

namespace meridian {
namespace {

using ::testing::SizeIs;

class ReplyReaderTest : public ::testing::Test {
 protected:
  absl::Status Feed(std::string_view stream, size_t piece) {
    for (size_t at = 0; at < stream.size(); at += piece) {
      const absl::Status status =
          reader_.Feed(stream.substr(at, piece), [this](absl::StatusOr<Reply> reply) {
            replies_.push_back(std::move(reply));
            return true;
          });
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  static ReplyLimits SmallLimits() {
    ReplyLimits limits;
    limits.max_reply_bytes = 1000;
    return limits;
  }

  ReplyReader reader_{SmallLimits()};
  std::vector<absl::StatusOr<Reply>> replies_;
};

TEST_F(ReplyReaderTest, BuildsEveryTypeInPiecesOfAnySize) {
  const std::string stream =
      absl::StrCat("+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n$3\r\na", std::string(1, '\0'), "b\r\n*-1\r\n",
                   "*3\r\n$1\r\nx\r\n*2\r\n:1\r\n$-1\r\n*0\r\n");
  for (const size_t piece : {1, 2, 5, 1000}) {
    replies_.clear();
    ASSERT_TRUE(Feed(stream, piece).ok());
    ASSERT_THAT(replies_, SizeIs(7)) << piece;
    EXPECT_EQ(replies_[0]->type, Reply::Type::kStatus);
    EXPECT_EQ(replies_[0]->text(), "OK");
    EXPECT_EQ(replies_[1]->type, Reply::Type::kError);
    EXPECT_EQ(replies_[1]->text(), "ERR no");
    EXPECT_EQ(replies_[2]->integer, -7);
    EXPECT_EQ(replies_[3]->type, Reply::Type::kNil);
    EXPECT_EQ(replies_[4]->text(), std::string("a\0b", 3));
    EXPECT_EQ(replies_[5]->type, Reply::Type::kNil);
    const Reply& array = *replies_[6];
    ASSERT_THAT(array.elements, SizeIs(3));
    EXPECT_EQ(array.elements[0].text(), "x");
    ASSERT_THAT(array.elements[1].elements, SizeIs(2));
    EXPECT_EQ(array.elements[1].elements[0].integer, 1);
    EXPECT_EQ(array.elements[1].elements[1].type, Reply::Type::kNil);
    EXPECT_TRUE(array.elements[2].is_array());
  }
}

TEST_F(ReplyReaderTest, ATooLargeReplyIsSkippedAndTheNextOnesArrive) {
  const std::string bulk = absl::StrCat("$400\r\n", std::string(400, 'x'), "\r\n");
  const std::string large = absl::StrCat("*3\r\n", bulk, bulk, bulk);
  for (const size_t piece : {1, 64, 100'000}) {
    replies_.clear();
    ASSERT_TRUE(Feed(absl::StrCat(":1\r\n", large, ":2\r\n", large, bulk), piece).ok());
    ASSERT_THAT(replies_, SizeIs(5)) << piece;
    EXPECT_EQ(replies_[0]->integer, 1);
    EXPECT_EQ(replies_[1].status().code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(replies_[2]->integer, 2);
    EXPECT_EQ(replies_[3].status().code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(replies_[4]->text().size(), 400u);
  }
}

TEST_F(ReplyReaderTest, ABrokenStreamIsAnErrorAndItsReplyIsFreed) {
  EXPECT_FALSE(Feed("*2\r\n$1\r\na\r\n!oops\r\n", 1).ok());
  EXPECT_TRUE(replies_.empty());
}

TEST_F(ReplyReaderTest, ASinkThatHasEnoughGetsNoMore) {
  int seen = 0;
  ASSERT_TRUE(
      reader_.Feed(":1\r\n:2\r\n:3\r\n", [&](absl::StatusOr<Reply>) { return ++seen < 2; }).ok());
  EXPECT_EQ(seen, 2);
}

TEST(StatusOfErrorTest, CodesFollowRedisPrefixes) {
  EXPECT_EQ(StatusOfError("OOM command not allowed").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(StatusOfError("LOADING Redis is loading").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(StatusOfError("READONLY You can't").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(StatusOfError("NOAUTH Authentication").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(StatusOfError("NOPERM no").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(StatusOfError("WRONGTYPE Operation").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(StatusOfError("ERR whatever").code(), absl::StatusCode::kInternal);
  // A prefix is a whole word.
  EXPECT_EQ(StatusOfError("BUSY a script runs").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(StatusOfError("BUSYGROUP exists").code(), absl::StatusCode::kInternal);
}

// As Redis before 7 tells of a command that failed in a script, called or pcalled.
TEST(StatusOfErrorTest, WhatFailedInAScriptIsWhatItsCommandSays) {
  const std::string wrapped = "ERR Error running script (call to f_9b): @user_script:70: ";
  for (const std::string& before : {wrapped, std::string("@user_script: 70: "), std::string()}) {
    SCOPED_TRACE(before);
    EXPECT_EQ(StatusOfError(before + "-OOM command not allowed").code(),
              absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(StatusOfError(before + "-MISCONF Redis is configured").code(),
              absl::StatusCode::kUnavailable);
    EXPECT_EQ(StatusOfError(before + "-NOREPLICAS Not enough").code(),
              absl::StatusCode::kUnavailable);
    // Its message is the same as well.
    const absl::Status misconf = StatusOfError(before + "-MISCONF Redis is configured");
    EXPECT_EQ(std::string(misconf.message()), "Redis: MISCONF Redis is configured");
    EXPECT_EQ(RedisErrorOf(misconf), before + "-MISCONF Redis is configured");
    EXPECT_TRUE(RefusesWrites(misconf));
    EXPECT_TRUE(RefusesWrites(StatusOfError(before + "-NOREPLICAS Not enough")));
    EXPECT_TRUE(IsOfOneSlot(StatusOfError(before + "-OOM command not allowed")));
    EXPECT_FALSE(RefusesWrites(StatusOfError(before + "-LOADING Redis is loading")));
    EXPECT_EQ(StatusOfError(before + "-WRONGTYPE Operation").code(),
              absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(StatusOfError(wrapped + "bad argument").code(), absl::StatusCode::kInternal);
  EXPECT_EQ(std::string(StatusOfError(wrapped + "bad argument").message()),
            "Redis: " + wrapped + "bad argument");
  EXPECT_EQ(std::string(StatusOfError("").message()), "Redis: ");
  EXPECT_EQ(StatusOfError("ERR no such key: -OOM").code(), absl::StatusCode::kInternal)
      << "a key may be called so";
  EXPECT_EQ(RedisErrorKind("MOVED 3999 127.0.0.1:6381"), "MOVED");
  EXPECT_EQ(RedisErrorKind(""), "");
}

}  // namespace
}  // namespace meridian
