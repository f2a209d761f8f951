#include "server/node/l1_fill.h"

#include "server/node/absence.h"

namespace meridian {

std::optional<Entry> EntryOfRecord(const NodeContext& context, const Namespace& name_space,
                                   const NamespacePolicy& policy, const EntryKey& key,
                                   const Record& record, absl::Duration ttl, const Buffer& value,
                                   Placing placing, absl::Duration now) {
  // What is left of the value's life is the difference of two wall clocks.
  if (context.clock_guard != nullptr && !context.clock_guard->ok()) return std::nullopt;
  // L1 does not ask whether the fences are known.
  if (context.fences != nullptr && !context.fences->known()) return std::nullopt;
  // Nobody would tell when it is overtaken.
  if (!context.Follows(key.slot)) return std::nullopt;
  // L1 asks for fences itself, but not for this.
  if (context.horizons != nullptr && context.horizons->Covers(key.slot, record.written_hlc())) {
    return std::nullopt;
  }
  Entry entry;
  entry.value = value;
  entry.version = record.version;
  entry.written = record.written;
  entry.raw_size = record.raw_size;
  entry.encoding = record.encoding;
  entry.tags = Buffer::CopyOf(record.tags);
  if (!PlaceEntry(context, name_space, policy, key, ttl, now, placing, &entry)) {
    return std::nullopt;
  }
  if (record.kind == RecordKind::kAbsent) MakeAbsence(&entry);
  return entry;
}

}  // namespace meridian
