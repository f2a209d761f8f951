#include "server/node/l1_writer.h"

#include <algorithm>
#include <utility>

#include "server/node/absence.h"
#include "server/node/entry_rules.h"
#include "server/node/record.h"

namespace meridian {

Entry EntryOf(const WriteItem& item, const StoredValue& value, Version version) {
  Entry entry;
  entry.value = value.ToBuffer();
  entry.version = version;
  entry.written = item.written;
  entry.raw_size = value.raw_size;
  entry.encoding = value.encoding;
  if (!item.tags.empty()) entry.tags = Buffer::CopyOf(EncodeTags(item.tags));
  return entry;
}

Error TooLargeForL1Error() {
  return Error{grpc::StatusCode::RESOURCE_EXHAUSTED,
               reason::kOverloaded,
               "the value is larger than a shard of L1, and there is no Redis to hold it; raise "
               "--l1-max-bytes",
               {}};
}

WriteResult L1Writer::Write(const Namespace& name_space, const NamespacePolicy& policy,
                            const EntryKey& key, const WriteItem& item, const StoredValue& value) {
  absl::MutexLock lock(&stripes_[key.hash % stripes_.size()]);
  WriteResult result = WriteLocked(name_space, policy, key, item, value);
  if (result.version.is_set() && result.state != EntryState::kConflict) {
    context_.TellWatchers(name_space.name, key, result.version);
  }
  return result;
}

WriteResult L1Writer::WriteLocked(const Namespace& name_space, const NamespacePolicy& policy,
                                  const EntryKey& key, const WriteItem& item,
                                  const StoredValue& value) {
  const absl::Duration now = context_.clock.Monotonic();
  Entry stored;
  bool live = false;
  Version version;
  const auto judge = [&] {
    live = context_.engine.Peek(key, now, &stored) && !IsAbsence(stored);
    version = context_.versions.Next();
    return version.hlc;
  };
  if (item.conditional() && context_.fences != nullptr) {
    context_.fences->WhileJudging(judge);
  } else {
    judge();
  }
  WriteResult result;
  if ((item.if_absent && live) ||
      (item.expected_version.is_set() && (!live || stored.version != item.expected_version))) {
    result.state = EntryState::kConflict;
    if (live) result.version = stored.version;
    return result;
  }
  if (item.kind == WriteKind::kTouch && !live) {
    result.state = EntryState::kMiss;
    return result;
  }
  result.version = version;
  if (item.kind == WriteKind::kInvalidate) {
    NoteTraffic(name_space, TrafficKind::kErase, key, now);
    context_.engine.Erase(key, result.version);
    return result;
  }
  const absl::Duration life = LifeOf(context_, policy, item, key, result.version);
  Entry entry;
  if (item.kind == WriteKind::kTouch) {
    entry = stored;
    if (entry.written == 0) entry.written = stored.version.hlc;
    entry.version = result.version;
    entry.expires_at = now + life;
  } else {
    entry = EntryOf(item, value, result.version);
    PlaceEntry(context_, name_space, policy, key, life, now, Placing::kOnly, &entry);
  }
  if (WatchesKeys(policy)) context_.activity->OnUpdate(key.hash, now);
  NoteEntry(name_space, TrafficKind::kWrite, key, EntryCharge(key.key.size(), entry),
            {.given = entry.expires_at - now, .own = OwnLife(policy, life, life)}, now);
  if (context_.engine.Put(key, std::move(entry), now) == PutOutcome::kTooLarge) {
    SetError(TooLargeForL1Error(), &result);
  }
  return result;
}

}  // namespace meridian
