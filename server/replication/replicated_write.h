// What one region's record becomes in another region: pure functions.

#ifndef MERIDIAN_SERVER_REPLICATION_REPLICATED_WRITE_H_
#define MERIDIAN_SERVER_REPLICATION_REPLICATED_WRITE_H_

#include <algorithm>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/node/l2_store.h"
#include "server/node/record.h"

namespace meridian {

// What is older than this may have been deleted without a trace: tombstones are kept for so long
// after they were written, clocks may be two minutes apart, and a horizon is used for a while
// (docs/adr/0011, 0014).
absl::Time TombstoneHorizon(absl::Time now, absl::Duration tombstone_ttl);

// For so long a horizon, and what was asked about it, may be used: until then no tombstone that is
// younger is forgotten.
absl::Duration HorizonHolds(absl::Duration tombstone_ttl);

// For so long a drop is remembered that stands for a value which expired or was evicted: long
// enough for everything older that is on its way when the drop arrives, call deadlines being
// seconds. A full store may forget it earlier. Tombstones that end so soon are relied on by nobody
// (that is the margin of TombstoneHorizon).
inline constexpr absl::Duration kDropKeep = absl::Minutes(5);

// The write that brings the source's current `record` of `key` to another region, with its version.
// A value that has expired is sent all the same and kept for kExpiryGrace: it still replaces what
// is older over there, which may have a longer life. A tombstone is kept for `tombstone_ttl`, which
// is longer than the longest outage of a region that we promise to survive; one that was made for
// less, a drop, for what is left of its life. Returns kDataLoss for bytes that are no record.
absl::StatusOr<L2Write> ReplicatedWrite(const L2Key& key, std::string_view record, absl::Time now,
                                        absl::Duration tombstone_ttl);

// A tombstone of `version`, kept for `keep`: what is as old or older goes, and does not come back
// meanwhile.
L2Write DropUpTo(const L2Key& key, Version version, absl::Time now,
                 absl::Duration keep = kExpiryGrace);

// The same of what is older than `version`: for a change that cannot be sent. A miss is always a
// right answer of a cache; an overtaken value is not. What the change itself wrote is welcome if it
// comes after all: it may be alive in L1, or in a store that answers better the next time.
L2Write DropOlderThan(const L2Key& key, Version version, absl::Time now, absl::Duration keep);

// For how long: a removal is remembered as such, so that nothing comes back that was cut off; a
// value's successor only against what is on its way.
inline absl::Duration KeepOfDrop(bool removal, absl::Duration tombstone_ttl) {
  return removal ? tombstone_ttl : std::min(kDropKeep, tombstone_ttl);
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_REPLICATED_WRITE_H_
