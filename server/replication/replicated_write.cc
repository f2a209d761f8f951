#include "server/replication/replicated_write.h"

#include <algorithm>

#include "common/base/status_macros.h"

namespace meridian {

namespace {

absl::Duration Margin(absl::Duration tombstone_ttl) {
  return std::min(absl::Minutes(5), tombstone_ttl / 8);
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
  write.retention = record.kind == RecordKind::kTombstone
                        ? tombstone_ttl
                        : std::max(absl::ZeroDuration(), record.expires_at - now) + kExpiryGrace;
  write.record = bytes;
  return write;
}

L2Write DropOlderThan(const L2Key& key, Version version, absl::Time now,
                      absl::Duration keep) {
  L2Write write;
  write.key = key;
  write.version = version;
  write.expires_at = now + keep;
  write.retention = keep;
  AppendRecord({.version = version,
                .expires_at = write.expires_at,
                .kind = RecordKind::kTombstone,
                .tags = {},
                .value = {}},
               &write.record);
  return write;
}

}  // namespace meridian
