#include "server/replication/replicated_write.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "common/base/version_before.h"

namespace meridian {

namespace {

absl::Duration Margin(absl::Duration tombstone_ttl) {
  return std::min(absl::Minutes(5), tombstone_ttl / 8);
}

// What was deleted is remembered for its whole time in every region, however late it arrives there.
// A drop says by the life that it was given that it is none.
bool IsDrop(const Record& tombstone, absl::Duration tombstone_ttl) {
  return tombstone.expires_at - tombstone.version.time() < tombstone_ttl - Margin(tombstone_ttl);
}

}  // namespace

absl::Time TombstoneHorizon(absl::Time now, absl::Duration tombstone_ttl) {
  return now - tombstone_ttl + Margin(tombstone_ttl);
}

absl::Duration HorizonHolds(absl::Duration tombstone_ttl) { return Margin(tombstone_ttl) / 5; }

absl::StatusOr<L2Write> ReplicatedWrite(const L2Key& key, std::string_view bytes, absl::Time now,
                                        absl::Duration tombstone_ttl) {
  ASSIGN_OR_RETURN(const Record record, ParseRecord(bytes));
  L2Write write;
  write.key = key;
  write.version = record.version;
  write.expires_at = record.expires_at;
  const absl::Duration left =
      std::max(absl::ZeroDuration(), record.expires_at - now) + kExpiryGrace;
  const bool is_tombstone = record.kind == RecordKind::kTombstone;
  write.evictable = is_tombstone && IsDrop(record, tombstone_ttl);
  write.retention = is_tombstone && !write.evictable ? tombstone_ttl : left;
  write.record = bytes;
  return write;
}

L2Write DropUpTo(const L2Key& key, Version version, absl::Time now, absl::Duration keep) {
  L2Write write;
  write.key = key;
  write.version = version;
  write.expires_at = now + keep;
  write.retention = keep;
  write.evictable = keep <= kDropKeep;
  AppendRecord({.version = version,
                .expires_at = write.expires_at,
                .kind = RecordKind::kTombstone,
                .tags = {},
                .value = {}},
               &write.record);
  return write;
}

L2Write DropOlderThan(const L2Key& key, Version version, absl::Time now, absl::Duration keep) {
  return DropUpTo(key, JustBefore(version), now, keep);
}

}  // namespace meridian
