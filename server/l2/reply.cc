#include "server/l2/reply.h"

#include <hiredis/read.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

// The object that hiredis is building: the root, or an element of the array above it.
Reply* Place(const redisReadTask* task) {
  if (task->parent == nullptr) return new Reply;
  auto* parent = static_cast<Reply*>(task->parent->obj);
  return &parent->elements[static_cast<size_t>(task->idx)];
}

void* CreateString(const redisReadTask* task, char* bytes, size_t size) {
  Reply* reply = Place(task);
  reply->type = task->type == REDIS_REPLY_ERROR    ? Reply::Type::kError
                : task->type == REDIS_REPLY_STATUS ? Reply::Type::kStatus
                                                   : Reply::Type::kString;
  reply->bytes = Buffer::CopyOf(std::string_view(bytes, size));
  return reply;
}

void* CreateArray(const redisReadTask* task, int count) {
  Reply* reply = Place(task);
  reply->type = Reply::Type::kArray;
  if (count > 0) reply->elements.resize(static_cast<size_t>(count));
  return reply;
}

void* CreateInteger(const redisReadTask* task, long long value) {  // NOLINT: hiredis' type.
  Reply* reply = Place(task);
  reply->type = Reply::Type::kInteger;
  reply->integer = value;
  return reply;
}

void* CreateNil(const redisReadTask* task) { return Place(task); }

void FreeObject(void* root) { delete static_cast<Reply*>(root); }

redisReplyObjectFunctions functions = {CreateString, CreateArray, CreateInteger, CreateNil,
                                       FreeObject};

}  // namespace

namespace {

constexpr char kErrorPayload[] = "meridian.redis.error";

absl::StatusCode CodeOfKind(std::string_view kind) {
  for (const std::string_view passing : {"LOADING", "BUSY", "MISCONF", "READONLY", "MASTERDOWN",
                                         "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "UNKILLABLE"}) {
    if (kind == passing) return absl::StatusCode::kUnavailable;
  }
  if (kind == "OOM") return absl::StatusCode::kResourceExhausted;
  if (kind == "NOAUTH" || kind == "WRONGPASS") return absl::StatusCode::kUnauthenticated;
  if (kind == "NOPERM") return absl::StatusCode::kPermissionDenied;
  if (kind == "WRONGTYPE") return absl::StatusCode::kFailedPrecondition;
  return absl::StatusCode::kInternal;
}

}  // namespace

absl::Status StatusOfError(std::string_view error) {
  error = error.substr(0, 200);
  // From the kind on: it is what callers and people look for, whatever a script has put before it.
  const std::string_view kind = RedisErrorKind(error);
  const std::string_view text = error.substr(static_cast<size_t>(kind.data() - error.data()));
  absl::Status status(CodeOfKind(kind), absl::StrCat("Redis: ", ToAbsl(text)));
  status.SetPayload(kErrorPayload, absl::Cord(ToAbsl(error)));
  return status;
}

std::string RedisErrorOf(const absl::Status& status) {
  const absl::optional<absl::Cord> error = status.GetPayload(kErrorPayload);
  return error ? std::string(*error) : "";
}

std::string_view RedisErrorKind(std::string_view error) {
  std::string_view kind = error.substr(0, error.find(' '));
  if (kind == "ERR" || error.substr(0, 1) == "@") {
    constexpr std::string_view kOfScript = ": -";
    const size_t at = error.find(kOfScript);
    if (at == std::string_view::npos || error.find("@user_script") >= at) return kind;
    kind = error.substr(at + kOfScript.size());
  } else if (error.substr(0, 1) == "-") {
    kind = error.substr(1);
  }
  return kind.substr(0, kind.find(' '));
}

bool IsRedirectError(const absl::Status& status) {
  const std::string error = RedisErrorOf(status);
  const std::string_view kind = RedisErrorKind(error);
  return kind == "MOVED" || kind == "ASK" || kind == "TRYAGAIN" || kind == "CLUSTERDOWN" ||
         kind == "READONLY";
}

absl::Status StatusOfReply(const Reply& reply) {
  return reply.type == Reply::Type::kError ? StatusOfError(reply.text()) : absl::OkStatus();
}

ReplyReader::ReplyReader(ReplyLimits limits) : limiter_(limits) { ResetReader(); }

ReplyReader::~ReplyReader() { redisReaderFree(reader_); }

void ReplyReader::ResetReader() {
  if (reader_ != nullptr) redisReaderFree(reader_);
  reader_ = redisReaderCreateWithFunctions(&functions);
}

absl::Status ReplyReader::Feed(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    ReplyLimiter::Scan scan;
    RETURN_IF_ERROR(limiter_.Next(bytes, &scan));
    if (scan.too_large && !skipping_) {
      skipping_ = true;
      ResetReader();
    }
    if (!skipping_) RETURN_IF_ERROR(Parse(bytes.substr(0, scan.consumed)));
    bytes.remove_prefix(scan.consumed);
    if (!scan.complete) continue;
    if (skipping_) {
      skipping_ = false;
      if (!sink(absl::OutOfRangeError("the reply of Redis is too large"))) break;
      continue;
    }
    void* root = nullptr;
    if (redisReaderGetReply(reader_, &root) != REDIS_OK || root == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("malformed Redis reply: ", reader_->err != 0 ? reader_->errstr : "no end"));
    }
    std::unique_ptr<Reply> reply(static_cast<Reply*>(root));
    if (!sink(*std::move(reply))) break;
  }
  return absl::OkStatus();
}

// Hands bytes of one reply to hiredis.
absl::Status ReplyReader::Parse(std::string_view bytes) {
  if (redisReaderFeed(reader_, bytes.data(), bytes.size()) != REDIS_OK) {
    return absl::InvalidArgumentError(absl::StrCat("malformed Redis reply: ", reader_->errstr));
  }
  return absl::OkStatus();
}

}  // namespace meridian
