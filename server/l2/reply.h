// Reply is one answer of Redis; ReplyReader turns the bytes of one connection into replies.
//
// The reader is hiredis' own, behind a ReplyLimiter, building Replies instead of redisReply: the
// bytes of a string are copied once, into the Buffer that the caller keeps.
// Thread safety: none.

#ifndef MERIDIAN_SERVER_L2_REPLY_H_
#define MERIDIAN_SERVER_L2_REPLY_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/buffer.h"
#include "server/l2/reply_limiter.h"

struct redisReader;

namespace meridian {

struct Reply {
  enum class Type : uint8_t { kNil, kString, kStatus, kError, kInteger, kArray };

  Type type = Type::kNil;
  bool from_replica = false;    // As L2Record::from_replica.
  int64_t integer = 0;          // kInteger.
  Buffer bytes;                 // kString, kStatus, kError.
  std::vector<Reply> elements;  // kArray.

  std::string_view text() const { return bytes.view(); }
  bool is_string() const { return type == Type::kString || type == Type::kStatus; }
  bool is_array() const { return type == Type::kArray; }
};

// What an error reply means to us: the code by Redis' error prefix, the message with its text.
// OK for every other reply.
absl::Status StatusOfReply(const Reply& reply);
absl::Status StatusOfError(std::string_view error);

// Redis' own text of an error that StatusOfError made ("MOVED 3999 127.0.0.1:6381"); empty for
// every other status.
std::string RedisErrorOf(const absl::Status& status);
// Its first word, upper case by Redis' convention. Of a command that failed in a script, which
// Redis before 7 wraps ("ERR Error running script (...): @user_script:1: -OOM ..."), the command's.
std::string_view RedisErrorKind(std::string_view error);
// MOVED, ASK, TRYAGAIN, CLUSTERDOWN, READONLY: the server is well, but not the one for this
// command, which it has not carried out.
bool IsRedirectError(const absl::Status& status);

class ReplyReader {
 public:
  explicit ReplyReader(ReplyLimits limits);
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  // Gets a reply, or kOutOfRange for one that was too large (its bytes are skipped).
  // Returns false to stop; Feed then drops the rest of the bytes.
  using Sink = std::function<bool(absl::StatusOr<Reply>)>;

  // Takes the next bytes, in pieces of any size, and calls `sink` for every reply they complete.
  // An error means that the stream is broken: drop the connection and this reader.
  absl::Status Feed(std::string_view bytes, const Sink& sink);

 private:
  absl::Status Parse(std::string_view bytes);
  void ResetReader();

  ReplyLimiter limiter_;
  redisReader* reader_ = nullptr;
  bool skipping_ = false;  // The current reply is too large.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REPLY_H_
