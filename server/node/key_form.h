// The form under which a key is cached: normalised, hashed, or not cached at all, by the
// namespace's policy (3-09, 4-04). The node that a client calls applies it, before the limits and
// the slot; between nodes only formed keys travel, and the answer is for the caller's key.
//
//   1. bypass: a key whose query (what follows the first '?', `a=1&b=2`) names one of
//      bypass_parameters is not cached.
//   2. normalise: spaces at both ends go, runs of spaces become one, ASCII letters become small.
//   3. hash: what is longer than hash_above bytes becomes its prefix up to and with the last ':'
//   before
//      the first space or '?', and the hash of the rest as lower-case hex: MD5 (32 digits) or
//      XXH3-128 (32 digits). `context:How are you?` becomes `context:` and the digits of `How are
//      you?`.
// Thread safety: pure functions. Cost: no allocation when nothing changes.

#ifndef MERIDIAN_SERVER_NODE_KEY_FORM_H_
#define MERIDIAN_SERVER_NODE_KEY_FORM_H_

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

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_KEY_FORM_H_
