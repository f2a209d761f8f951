// What one region's record becomes in another region: pure functions.

#ifndef MERIDIAN_SERVER_REPLICATION_REPLICATED_WRITE_H_
#define MERIDIAN_SERVER_REPLICATION_REPLICATED_WRITE_H_

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

// The write that brings the source's current `record` of `key` to another region, with its version.
// A value that has expired is sent all the same and kept for kExpiryGrace: it still replaces what
// is older over there, which may have a longer life. A tombstone is kept for `tombstone_ttl`, which
// is longer than the longest outage of a region that we promise to survive. Returns kDataLoss for
// bytes that are no record.
absl::StatusOr<L2Write> ReplicatedWrite(const L2Key& key, std::string_view record, absl::Time now,
                                        absl::Duration tombstone_ttl);

// The write for a change whose record the source no longer has (evicted, or expired long ago): a
// tombstone of the change's version, so that the other region drops what is older and keeps what is
// as new or newer. A miss is always a right answer of a cache; an overtaken value is not. It is kept
// for `keep`: what was evicted may have been a tombstone, and what it stood against may still come.
L2Write DropOlderThan(const L2Key& key, Version version, absl::Time now,
                      absl::Duration keep = kExpiryGrace);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_REPLICATED_WRITE_H_
