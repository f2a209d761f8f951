// ReadThrough is the look-aside pattern in one call: what the cache has is taken from it, item by
// item; what it lacks is computed and stored for the next who asks.
//
//   const auto profiles = ReadThrough(*client, "profile", keys,
//                                     [&](std::span<const std::string_view> missing) {
//                                       return LoadFromDatabase(missing);
//                                     });
//
// Promise: of all who ask for a key at a time one computes it (it has the key's lease), and the
//   others are given its value, or told that there is none. One who dies or fails is replaced by
//   the next. A value that was computed before a change of its key never comes in after it. The
//   cache only helps: what it cannot answer, and what others do not compute within `patience`, is
//   computed here and not stored; no error of the cache reaches the caller.
// How: a call first computes and stores the keys whose leases it was given, and only then waits for
//   those that others compute. So callers with the same keys in another order never wait for each
//   other.
// Cost: a BatchGet; where keys were missing, `compute`, a BatchSet, and another BatchGet for those
//   that others computed. For namespaces without an origin: with one, nodes load by themselves.
// Thread safety: as Client; `compute` runs on the caller's thread, without locks. Blocks: at most
//   get.timeout for what is there, set.timeout for what is stored, `patience` for others, and
//   `compute`, which may be called several times with other keys.

#ifndef MERIDIAN_CLIENT_CPP_READ_THROUGH_H_
#define MERIDIAN_CLIENT_CPP_READ_THROUGH_H_

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "client/cpp/client.h"

namespace meridian {

struct ReadThroughOptions {
  // Of what the cache has. want_lease, lease_wait and omit_value do not count.
  GetOptions get = {};
  // Of what is computed. Conditions, lease, absent and give_back do not count. What takes longer to
  // compute than the namespace's lease_ttl is answered, and not stored.
  SetOptions set = {};
  // How long to wait for what others compute: longer than that takes, and than the lease_ttl.
  absl::Duration patience = absl::Seconds(15);
};

// Value i is that of key i; nullopt: there is none, which is remembered for the namespace's
// negative_ttl. What it throws reaches the caller of ReadThrough, and the next who waits computes
// the keys; the same when its result has another length, which answers nullopt.
using ComputeMissing =
    std::function<std::vector<std::optional<std::string>>(std::span<const std::string_view> keys)>;

// Result i answers key i; nullopt: there is no value. A key may be repeated; it is computed once.
std::vector<std::optional<std::string>> ReadThrough(Client& client, std::string_view name_space,
                                                    std::span<const std::string_view> keys,
                                                    const ComputeMissing& compute,
                                                    const ReadThroughOptions& options = {});

// For a program that may be run without a cache: with nullptr everything is computed (each key
// once), and nothing is stored.
std::vector<std::optional<std::string>> ReadThrough(Client* client, std::string_view name_space,
                                                    std::span<const std::string_view> keys,
                                                    const ComputeMissing& compute,
                                                    const ReadThroughOptions& options = {});

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_READ_THROUGH_H_
