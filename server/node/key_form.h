// The form under which a key is cached: normalised, hashed, or not cached at all, by the
// namespace's policy (3-09, 4-04). The node that a client calls applies it, before the limits and
// the slot; between nodes only formed keys travel, and the answer is for the caller's key.
//
// A key is a prefix and a text: the prefix ends with the last ':' before the text's first space or
// '?'. `context:How are you?` has the text `How are you?`.
//
//   1. bypass: a key whose query (what follows the first '?', `a=1&b=2`) names one of
//      bypass_parameters is not cached. Names may be percent-encoded; their letters may be large
//      where the policy makes them small.
//   2. normalise: spaces around the text and at the key's begin go, runs of spaces become one,
//      ASCII letters become small.
//   3. hash: of a key that is longer than hash_above bytes the text becomes its hash, in lower-case
//      hex: MD5 (32 digits) or XXH3-128 (32 digits).
// A prefix to invalidate is normalised like the keys that begin with it, and must end in front of
// what is hashed: nobody could say which keys it covers.
// Thread safety: pure functions. Cost: no allocation when nothing changes.

#ifndef MERIDIAN_SERVER_NODE_KEY_FORM_H_
#define MERIDIAN_SERVER_NODE_KEY_FORM_H_

#include <optional>
#include <string>
#include <string_view>

#include "server/policy/namespace_policy.h"

namespace meridian {

// True when the policy changes keys or bypasses some, so that the functions below are worth
// calling.
bool FormsKeys(const NamespacePolicy& policy);

// True when the caller's key is not to be cached.
bool IsBypassed(const NamespacePolicy& policy, std::string_view key);

// The key as it is cached: `key` itself, or `*storage`.
std::string_view FormKey(const KeyPolicy& policy, std::string_view key, std::string* storage);

// Whether a key that is in its form already stays as it is when it is formed once more: not what is
// hashed, where its hash is long enough to be hashed again.
bool KeepsForm(const KeyPolicy& policy, std::string_view formed);

// The prefix that all cached keys have which clients begin with `prefix`: `prefix` itself, or
// `*storage`; nullopt: it reaches into what is hashed.
std::optional<std::string_view> FormPrefix(const KeyPolicy& policy, std::string_view prefix,
                                           std::string* storage);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_KEY_FORM_H_
