// ReplyLimiter watches the bytes that a Redis sends before hiredis' reader sees them, because that
// reader allocates whatever a header announces.
//
// It follows the framing of RESP2 incrementally and says where each reply ends. Framing that no
// Redis sends (an unknown type, a bulk of more than max_bulk_bytes, a line that does not end, too
// deep a nesting) is an error: the connection cannot be trusted any more. A well-formed reply that
// is merely too large in total is reported as such, so that its caller gets an error and the
// connection lives. Cost: one pass over headers and lines; bytes of bulks are skipped. Memory:
// constant. Thread safety: none.

#ifndef MERIDIAN_SERVER_L2_REPLY_LIMITER_H_
#define MERIDIAN_SERVER_L2_REPLY_LIMITER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace meridian {

struct ReplyLimits {
  int64_t max_bulk_bytes = int64_t{64} << 20;
  int64_t max_array_elements = 1'000'000;
  int max_depth = 7;  // hiredis' own limit.
  size_t max_line_bytes = 64 << 10;
  // Of one whole reply. Beyond: too_large.
  size_t max_reply_bytes = size_t{64} << 20;
  size_t max_reply_elements = 1'000'000;
};

class ReplyLimiter {
 public:
  explicit ReplyLimiter(ReplyLimits limits) : limits_(limits) {}

  struct Scan {
    size_t consumed = 0;     // Bytes of the current reply at the start of the input.
    bool complete = false;   // The reply ends there.
    bool too_large = false;  // The reply, as far as it is known: drop its bytes.
  };

  // Looks at the next bytes, up to the end of the current reply; call again with the rest.
  // On kOutOfRange or kInvalidArgument the stream is broken for good.
  absl::Status Next(std::string_view bytes, Scan* scan);

 private:
  // What comes next.
  enum class Expect { kType, kLine, kBulk, kBulkEnd };

  absl::Status OnType(char type);
  absl::Status OnLine();
  absl::Status OnBulkHeader(int64_t length);
  absl::Status OnArrayHeader(int64_t count);
  void ElementDone();
  // Takes what it can of `bytes` and returns how much.
  absl::Status Step(std::string_view bytes, size_t* taken);

  const ReplyLimits limits_;
  Expect expect_ = Expect::kType;
  char type_ = 0;
  std::string line_;  // Of a header; text lines are only counted.
  size_t line_bytes_ = 0;
  bool saw_carriage_return_ = false;
  int64_t bulk_left_ = 0;
  size_t bulk_end_seen_ = 0;
  int depth_ = 0;
  std::array<int64_t, 16> elements_left_{};  // By depth; [0, depth_).
  bool complete_ = false;
  size_t reply_bytes_ = 0;
  size_t reply_elements_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REPLY_LIMITER_H_
