// A lease token is what a caller of a miss is given, and gives back with the value: the right to
// fill one key. It says all of itself, so that any node can judge it, also one that took the key
// over meanwhile.
//
// What is written under it gets the version that was given with the lease. Whatever was written,
// deleted or fenced since is newer and wins, so that nobody needs to keep account of leases.
// Tokens are not secret: who may write may write under any version. Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_NODE_LEASE_TOKEN_H_
#define MERIDIAN_SERVER_NODE_LEASE_TOKEN_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "common/base/version.h"

namespace meridian {

struct LeaseToken {
  static constexpr size_t kSize = 27;
  static constexpr absl::Duration kLongest = absl::Minutes(1);

  Version version;
  absl::Time expires_at;  // Whole milliseconds.

  // The token's bytes for one key of one namespace.
  std::string ToBytes(std::string_view name_space, std::string_view key) const;
};

// nullopt for bytes that are no token, or one of another key, or that say what no node would say:
// a life longer than kLongest, or a version more than HybridClock::kMaxSkew ahead of `now`.
std::optional<LeaseToken> ParseLeaseToken(std::string_view bytes, std::string_view name_space,
                                          std::string_view key, absl::Time now);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_LEASE_TOKEN_H_
