#include "server/l2/reply_limiter.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr size_t kMaxNumberBytes = 20;  // "-9223372036854775808".

absl::Status Broken(std::string what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed Redis reply: ", what));
}

absl::Status Beyond(std::string what) {
  return absl::OutOfRangeError(absl::StrCat("Redis reply beyond its limits: ", what));
}

// Only what Redis writes: digits with an optional '-'. hiredis and absl agree on nothing else.
bool ParseNumber(const std::string& line, int64_t* number) {
  const size_t digits_at = line.size() > 1 && line[0] == '-' ? 1 : 0;
  if (line.empty()) return false;
  if (!std::all_of(line.begin() + static_cast<std::ptrdiff_t>(digits_at), line.end(),
                   [](char c) { return c >= '0' && c <= '9'; })) {
    return false;
  }
  return absl::SimpleAtoi(line, number);
}

}  // namespace

absl::Status ReplyLimiter::Next(std::string_view bytes, Scan* scan) {
  *scan = Scan();
  complete_ = false;
  while (!bytes.empty() && !complete_) {
    size_t taken = 0;
    if (absl::Status status = Step(bytes, &taken); !status.ok()) return status;
    assert(taken > 0);
    bytes.remove_prefix(taken);
    scan->consumed += taken;
    reply_bytes_ += taken;
  }
  scan->too_large = reply_bytes_ + static_cast<size_t>(bulk_left_) > limits_.max_reply_bytes ||
                    reply_elements_ > limits_.max_reply_elements;
  scan->complete = complete_;
  if (complete_) {
    reply_bytes_ = 0;
    reply_elements_ = 0;
  }
  return absl::OkStatus();
}

absl::Status ReplyLimiter::Step(std::string_view bytes, size_t* taken) {
  switch (expect_) {
    case Expect::kType:
      *taken = 1;
      return OnType(bytes[0]);
    case Expect::kLine: {
      *taken = 1;
      const char c = bytes[0];
      if (saw_carriage_return_) {
        return c == '\n' ? OnLine() : Broken("a carriage return inside a line");
      }
      if (c == '\r') {
        saw_carriage_return_ = true;
        return absl::OkStatus();
      }
      if (++line_bytes_ > limits_.max_line_bytes) {
        return Beyond(absl::StrCat("a line of more than ", limits_.max_line_bytes, " bytes"));
      }
      if (type_ == '+' || type_ == '-') return absl::OkStatus();
      if (line_bytes_ > kMaxNumberBytes) return Broken("a number of more than 20 digits");
      line_.push_back(c);
      return absl::OkStatus();
    }
    case Expect::kBulk:
      *taken = std::min(bytes.size(), static_cast<size_t>(bulk_left_));
      bulk_left_ -= static_cast<int64_t>(*taken);
      if (bulk_left_ == 0) expect_ = Expect::kBulkEnd;
      return absl::OkStatus();
    case Expect::kBulkEnd:
      *taken = 1;
      if (bytes[0] != "\r\n"[bulk_end_seen_]) return Broken("a bulk does not end where it said");
      if (++bulk_end_seen_ == 2) ElementDone();
      return absl::OkStatus();
  }
  return absl::InternalError("unreachable");
}

absl::Status ReplyLimiter::OnType(char type) {
  if (std::string_view("+-:$*").find(type) == std::string_view::npos) {
    return Broken(absl::StrCat("unknown type byte ", static_cast<int>(static_cast<uint8_t>(type))));
  }
  type_ = type;
  expect_ = Expect::kLine;
  line_.clear();
  line_bytes_ = 0;
  saw_carriage_return_ = false;
  return absl::OkStatus();
}

absl::Status ReplyLimiter::OnLine() {
  if (type_ == '+' || type_ == '-') {
    ElementDone();
    return absl::OkStatus();
  }
  int64_t number;
  if (!ParseNumber(line_, &number)) return Broken("a header is not a number");
  if (type_ == '$') return OnBulkHeader(number);
  if (type_ == '*') return OnArrayHeader(number);
  ElementDone();
  return absl::OkStatus();
}

absl::Status ReplyLimiter::OnBulkHeader(int64_t length) {
  if (length < -1) return Broken("a negative length");
  if (length > limits_.max_bulk_bytes) {
    return Beyond(absl::StrCat("a bulk of ", length, " bytes"));
  }
  if (length == -1) {
    ElementDone();
    return absl::OkStatus();
  }
  bulk_left_ = length;
  bulk_end_seen_ = 0;
  expect_ = length == 0 ? Expect::kBulkEnd : Expect::kBulk;
  return absl::OkStatus();
}

absl::Status ReplyLimiter::OnArrayHeader(int64_t count) {
  if (count < -1) return Broken("a negative count");
  if (count > limits_.max_array_elements) {
    return Beyond(absl::StrCat("an array of ", count, " elements"));
  }
  if (count <= 0) {
    ElementDone();
    return absl::OkStatus();
  }
  reply_elements_ += static_cast<size_t>(count);  // Announced: that is what gets allocated.
  // hiredis refuses this too, but only when it has allocated what the levels above announced.
  if (depth_ >= limits_.max_depth) return Beyond(absl::StrCat("nested ", depth_ + 1, " deep"));
  elements_left_[static_cast<size_t>(depth_++)] = count;
  expect_ = Expect::kType;
  return absl::OkStatus();
}

void ReplyLimiter::ElementDone() {
  expect_ = Expect::kType;
  while (depth_ > 0) {
    if (--elements_left_[static_cast<size_t>(depth_ - 1)] > 0) return;
    --depth_;
  }
  complete_ = true;
}

}  // namespace meridian
