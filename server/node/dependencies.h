// What an entry was made from, as tags: an entry depends on a key by having the key's dependency
// tag, and on a tag by having that tag. So invalidating what others depend on is a fence like any
// other, whatever it kills (docs/adr/0016-dependencies-are-tags.md).
//
// Closing adds, when an entry is written, the tags that the entries it depends on have, which are
// closed themselves: then an invalidation reaches what was made from what was made from it, without
// a walk.
// Promise: what an entry names directly is never left out. Of what it inherits, as much as
//   kMaxEntryTags allows; the answer says when something was left out, or could not be read, and
//   when a key that it depends on is not stored, so that nobody knows what that was made from. The
//   entry keeps both as marks (tag_list.h), so that what is made from it later says so, too.
//   An entry never depends on itself: circles end where they began.
// Promise: no fence is missed that is made while the tags are looked for: the entry is as old, for
//   fences, as the clock that is answered with them, which was taken before (Entry::written).
// Cost: one read of the regional store, of whole records, for all keys that a request names.
// Thread safety: the functions may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_DEPENDENCIES_H_
#define MERIDIAN_SERVER_NODE_DEPENDENCIES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/node/node_context.h"

namespace meridian {

// How a dependency says what it is: "key:" and a key, or "tag:" and a tag, of the same namespace.
inline constexpr std::string_view kKeyDependency = "key:";
inline constexpr std::string_view kTagDependency = "tag:";

// Own tags, dependencies and what they bring, together, without the marks.
inline constexpr size_t kMaxEntryTags = 128;

// Brings the keys that are depended on into the form in which they are cached.
void FormDependencies(const KeyPolicy& policy, std::vector<std::string>* depends_on);

// An entry that is to be written. What it points to lives for the time of the call.
struct Dependent {
  std::string_view key;
  const std::vector<std::string>* tags;
  const std::vector<std::string>* depends_on;  // Checked against the limits already.
};

struct ClosedTags {
  std::vector<std::string> tags;  // Its own first.
  bool cut = false;               // Something that it inherits is not among them.
  bool unknown = false;           // A key that it depends on was not stored.
};

// In order of the entries, and the clock that they are as old as; the callback may be called before
// CloseDependencies returns.
using ClosedCallback = std::function<void(std::vector<ClosedTags>, uint64_t written)>;

// Without a regional store only keys that this node owns can be looked at.
void CloseDependencies(const NodeContext& context, const Namespace& name_space,
                       const std::vector<Dependent>& entries, absl::Time deadline,
                       ClosedCallback callback);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_DEPENDENCIES_H_
