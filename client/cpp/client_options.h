// What a Client and each of its calls can be told. Every field has a default that is fit for
// production.

#ifndef MERIDIAN_CLIENT_CPP_CLIENT_OPTIONS_H_
#define MERIDIAN_CLIENT_CPP_CLIENT_OPTIONS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/version.h"

namespace meridian {

// Whether `address` is host:port with a port from 1 to 65535. The host is not looked up.
bool IsHostPort(std::string_view address);

struct ClientOptions {
  // host:port of a few nodes of the region (or one DNS name of all); the rest is found through
  // them.
  std::vector<std::string> targets = {};

  // Deadlines of calls that name none.
  absl::Duration get_timeout = absl::Milliseconds(250);
  absl::Duration set_timeout = absl::Milliseconds(500);  // Also Invalidate and Touch.
  absl::Duration batch_timeout = absl::Seconds(1);       // BatchGet, BatchSet, BatchInvalidate.

  // Values that other calls of this client got, kept in this process and served while their owners
  // tell every change: at most 3 s behind, usually milliseconds. 0: none are kept. At least 1 MiB.
  size_t near_cache_bytes = 0;
  absl::Duration near_cache_ttl = absl::Minutes(1);  // None is kept longer, whatever its TTL.
  std::vector<std::string> near_cache_namespaces = {};  // Empty: all.

  // Returns kInvalidArgument, with the field and the rule, when something is wrong.
  absl::Status Validate() const;
};

// What every call can be told.
struct CallOptions {
  // From now; unset: the client's default for the call.
  std::optional<absl::Duration> timeout = std::nullopt;
  // At most 64 bytes, for logs and for idempotent retries; empty: the client makes one. The parts
  // of a split batch share it.
  std::string request_id = {};
};

struct GetOptions : CallOptions {
  // Skip L1 and L2 and load from the origin. Without an origin: skip L1 only.
  bool force_refresh = false;
  // Accept an entry that expired at most so long ago (never a deleted one) while a refresh runs or
  // the origin is down.
  absl::Duration max_stale = absl::ZeroDuration();
  // Leave the values out; everything else is answered.
  bool omit_value = false;
};

struct SetOptions : CallOptions {
  // 1 ms .. 1 year. 0: the namespace's default.
  absl::Duration ttl = absl::ZeroDuration();
  // Names for invalidation by tag: at most 32.
  std::vector<std::string> tags = {};
  // Store only when there is no live entry.
  bool if_absent = false;
  // Store only when exactly this version is stored.
  std::optional<Version> expected_version = std::nullopt;
  // A word about the value for the TTL policy, such as "in_progress".
  std::string state_hint = {};
};

// One entry of BatchSet.
struct SetItem {
  std::string key = {};
  std::string value = {};
  absl::Duration ttl = absl::ZeroDuration();  // As in SetOptions, and so on.
  std::vector<std::string> tags = {};
  bool if_absent = false;
  std::optional<Version> expected_version = std::nullopt;
  std::string state_hint = {};
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_CLIENT_OPTIONS_H_
