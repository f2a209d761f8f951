// HttpUrl is an HTTP server that one of our programs asks: http:// or
// https://host[:port][/path][?query].
//
// Thread safety: a value and a pure function.

#ifndef MERIDIAN_SERVER_POLICY_HTTP_URL_H_
#define MERIDIAN_SERVER_POLICY_HTTP_URL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace meridian {

struct HttpUrl {
  bool tls = false;
  std::string host = {};  // An IPv6 address without its brackets.
  uint16_t port = 80;
  std::string target = "/";  // Path and query.

  // What stands in the header Host, and names the server for people: its path may be a secret.
  std::string authority() const;
};

// Returns kInvalidArgument saying which part is wrong, without showing the path.
absl::StatusOr<HttpUrl> ParseHttpUrl(std::string_view text);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_HTTP_URL_H_
