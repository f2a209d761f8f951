// A probe asks a store whether a slot takes writes at all: the smallest write there is, into a key
// that nobody reads and no changelog names, kept for seconds.
//
// Promise: none finds another of this process in its place, however many are sent in one
//   millisecond and in whatever order the next kProbeKeys arrive. One of another node, whose clock
//   is ahead, may be there for kExpiryGrace: then nothing was taken, and it is asked again.
// Bound: kProbeKeys keys of a slot and region.
// Thread safety: any thread.

#ifndef MERIDIAN_SERVER_REPLICATION_STORE_PROBE_H_
#define MERIDIAN_SERVER_REPLICATION_STORE_PROBE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/node/l2_store.h"

namespace meridian {

inline constexpr uint64_t kProbeKeys = 64;

// The key of every kProbeKeys-th probe, from the `number`-th one on.
std::string ProbeKey(std::string_view own_region, uint64_t number);

L2Write ProbeWrite(uint32_t slot, std::string_view own_region, absl::Time now);

// Whether the store took it. What is stale takes no memory, and says nothing.
// REQUIRES: `results` are those of a single probe.
bool TookProbe(const std::vector<L2WriteResult>& results);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_STORE_PROBE_H_
