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
#include "common/tls/tls_files.h"

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
  absl::Duration near_cache_ttl = absl::Minutes(1);     // None is kept longer, whatever its TTL.
  std::vector<std::string> near_cache_namespaces = {};  // Empty: all.

  // Ask any node, not only the owner, for a key that this client reads in a tenth of its calls, 20
  // times a second (with Get, BatchGet or ReadThrough). For clusters whose nodes keep mirrors
  // (--mirror-max-bytes): then such a value may be as old as one of the near cache, but not older
  // than a write of this client that took less than 10 s (a fill under a lease is none).
  bool spread_hot_keys = false;

  // The authorities that nodes are judged by, the certificate and key that are shown to them where
  // they ask for one, and the name that theirs have if it is not the host of their address. Renewed
  // files are noticed. Empty: plaintext.
  TlsFiles tls = {};

  // Returns kInvalidArgument, with the field and the rule, when something is wrong. Reads the files
  // of `tls`.
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
  // On a miss, ask for the right to fill the key (GetResult::lease), or wait until the deadline for
  // the value of who has it: give such a call the time that a fill takes. Without effect in a
  // namespace that has an origin: there the node loads it.
  // A call that is given a lease is answered at once: the keys that others fill are misses
  // (GetResult::lease_taken). Fill yours, then ask for the others again; ReadThrough
  // (read_through.h) does all of it.
  bool want_lease = false;
  // How long to wait for those who have leases. 0: not at all. Unset: until the deadline.
  std::optional<absl::Duration> lease_wait = std::nullopt;
  // Who asks: a user, a session, as the application knows it; at most 64 bytes. Nodes learn from
  // it, as a hash, which keys one caller wants together and next. Empty: the connection is the
  // caller.
  std::string session = {};
};

struct SetOptions : CallOptions {
  // 1 ms .. 1 year. 0: the namespace's default.
  absl::Duration ttl = absl::ZeroDuration();
  // Names for invalidation by tag: at most 32.
  std::vector<std::string> tags = {};
  // What the value was made from: keys ("key:" and a key) or tags ("tag:" and a tag) of the same
  // namespace, at most 32. The entry dies with their invalidation: InvalidateCascade of a key,
  // InvalidateTag of a tag; and with that of what they were made from in turn.
  std::vector<std::string> depends_on = {};
  // Store only when there is no live entry.
  bool if_absent = false;
  // Store only when exactly this version is stored.
  std::optional<Version> expected_version = std::nullopt;
  // A word about the value for the TTL policy, such as "in_progress".
  std::string state_hint = {};
  // Of the GetResult whose miss this value fills. The value is stored unless something newer was
  // written or invalidated since (kConflict, LEASE_VOID: read again) or the lease is over
  // (LEASE_EXPIRED): no value that was read before a change comes in after it.
  std::string lease = {};
  // With `lease`, and an empty value: there is nothing to fill the key with. Who waits is answered
  // a miss of source kOrigin; the namespace's negative_ttl says how long it is remembered.
  bool absent = false;
  // With `lease`, and an empty value: the key will not be filled. The next one who waits gets a
  // lease.
  bool give_back = false;
};

// One entry of BatchSet.
struct SetItem {
  std::string key = {};
  std::string value = {};
  absl::Duration ttl = absl::ZeroDuration();  // As in SetOptions, and so on.
  std::vector<std::string> tags = {};
  std::vector<std::string> depends_on = {};
  bool if_absent = false;
  std::optional<Version> expected_version = std::nullopt;
  std::string state_hint = {};
  std::string lease = {};
  bool absent = false;
  bool give_back = false;
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_CLIENT_OPTIONS_H_
