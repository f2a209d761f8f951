// What a node knows of its most wanted keys, of all its namespaces: for people and for the
// coordinator.
//
// Cost: a copy of the counters of every namespace. Thread safety: any thread.

#ifndef MERIDIAN_SERVER_NODE_HOTTEST_KEYS_H_
#define MERIDIAN_SERVER_NODE_HOTTEST_KEYS_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/cluster/hot_key.h"
#include "server/node/namespaces.h"

namespace meridian {

// Of what a node tells its coordinator. Together well below the coordinator's limit of a message.
inline constexpr size_t kMaxReportedOfNamespace = 50;
inline constexpr size_t kMaxReportedBytes = size_t{128} << 10;  // Of namespaces and keys.

// At most `limit`, hottest first; of one namespace, or of all when it is empty. What is asked for
// less than once in some minutes, and the nodes' own namespace, are left out.
std::vector<HotKey> HottestKeys(const Namespaces& namespaces, std::string_view name_space,
                                size_t limit, absl::Duration now);

// At most kMaxReportedOfNamespace of each namespace, kMaxReportedHotKeys and kMaxReportedBytes in
// all, hottest first.
std::vector<HotKey> HotKeysToReport(const Namespaces& namespaces, absl::Duration now);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_HOTTEST_KEYS_H_
