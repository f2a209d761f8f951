// RedisUrl is where a Redis is and how to log in: redis://[user[:password]@]host[:port][/db].
//
// User and password may be percent-encoded; an IPv6 host stands in brackets. Errors and
// address() never show the password.

#ifndef MERIDIAN_SERVER_POLICY_REDIS_URL_H_
#define MERIDIAN_SERVER_POLICY_REDIS_URL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace meridian {

struct RedisUrl {
  std::string host;
  uint16_t port = 6379;
  std::string user;      // Empty: Redis' default user.
  std::string password;  // Empty: no AUTH.
  uint32_t database = 0;

  // host:port, for logs and status pages.
  std::string address() const;
};

// Returns kInvalidArgument saying which part is wrong, and kUnimplemented for the schemes that are
// known but not built (rediss, redis+sentinel, redis+cluster).
absl::StatusOr<RedisUrl> ParseRedisUrl(std::string_view url);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_REDIS_URL_H_
