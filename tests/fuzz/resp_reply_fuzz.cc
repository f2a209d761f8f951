// Whatever a peer sends, the limiter and hiredis' reader behind it agree on where replies end, in
// pieces of any size, and never crash, leak or allocate beyond the limits.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "server/l2/reply.h"

namespace meridian {
namespace {

struct Seen {
  std::vector<std::string> replies;
  bool broken = false;

  bool operator==(const Seen&) const = default;
};

void Describe(const Reply& reply, std::string* out) {
  *out += static_cast<char>('a' + static_cast<int>(reply.type));
  *out += std::to_string(reply.integer);
  *out += reply.text();
  for (const Reply& element : reply.elements) Describe(element, out);
  *out += ';';
}

Seen Read(std::string_view stream, size_t piece) {
  ReplyLimits limits;
  limits.max_bulk_bytes = 1 << 16;
  limits.max_array_elements = 1 << 12;
  limits.max_reply_elements = 1 << 13;
  limits.max_reply_bytes = 1 << 17;
  limits.max_line_bytes = 1 << 10;
  ReplyReader reader(limits);
  Seen seen;
  for (size_t at = 0; at < stream.size() && !seen.broken; at += piece) {
    const absl::Status status =
        reader.Feed(stream.substr(at, piece), [&](absl::StatusOr<Reply> reply) {
          seen.replies.emplace_back();
          if (reply.ok()) Describe(*reply, &seen.replies.back());
          return true;
        });
    seen.broken = !status.ok();
  }
  return seen;
}

}  // namespace
}  // namespace meridian

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = 1 + data[0] % 16;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const meridian::Seen whole = meridian::Read(stream, stream.size() + 1);
  const meridian::Seen pieces = meridian::Read(stream, piece);
  if (!(whole == pieces)) std::abort();
  return 0;
}
