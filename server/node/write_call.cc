#include "server/node/write_call.h"

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "server/node/absence.h"
#include "server/node/dependencies.h"
#include "server/node/entry_rules.h"
#include "server/node/record.h"

namespace meridian {
namespace {

// A plain write that meets a newer version takes a newer one and tries again until its deadline;
// this many times is a defect, not contention: each round takes a round trip to the regional store.
constexpr int kMaxAttempts = 1000;

Error Contended(Version stored) {
  return Error{grpc::StatusCode::ABORTED,
               reason::kWriteContended,
               absl::StrCat("other writers were faster until the deadline; the stored version is ",
                            stored.ToText()),
               {}};
}

}  // namespace

void WriteCall::Start() {
  const uint16_t self = topology_->IndexOf(context_.node_id);
  std::vector<uint32_t> here;
  std::vector<uint32_t> ownerless;
  OwnerGroups groups;
  for (uint32_t i = 0; i < request_.items.size(); ++i) {
    if (!Item(i).lease.empty() && !ReadLease(i)) continue;
    const uint32_t slot = SlotOf(name_space_.name, Item(i).key);
    const uint16_t owner = topology_->OwnerIndex(slot);
    if (owner == self && self != Topology::kNoOwner) {
      here.push_back(i);
    } else if (request_.caller == Caller::kPeer) {
      SetError(NotOwnerError(*topology_, slot, context_.node_id), &results_[i]);
    } else if (owner == Topology::kNoOwner) {
      ownerless.push_back(i);
    } else {
      AddToGroup(owner, i, &groups);
    }
  }
  pending_ = 1;  // Held by Start itself, so that early answers cannot finish the call.
  if (!here.empty()) WriteHere(std::move(here));
  if (!ownerless.empty()) {
    GoAround(std::move(ownerless), reason::kNoOwner,
             "no node of the region owns the key's slot yet", /*unsent=*/true);
  }
  for (OwnerGroup& group : groups) Forward(topology_, std::move(group), /*first=*/true);
  Done();
}

EntryKey WriteCall::EngineKey(std::string_view key) const {
  EntryKey entry_key;
  entry_key.name_space = name_space_.id;
  entry_key.slot = SlotOf(name_space_.name, key);
  entry_key.hash = context_.engine.HashOf(name_space_.id, key);
  entry_key.key = key;
  return entry_key;
}

bool WriteCall::CloseFirst(const std::vector<uint32_t>& indexes, std::function<void()> then) {
  std::vector<uint32_t> open;
  std::vector<Dependent> dependents;
  for (const uint32_t index : indexes) {
    const WriteItem& item = Item(index);
    if (!Depends(item)) continue;
    open.push_back(index);
    dependents.push_back({item.key, &item.tags, &item.depends_on});
  }
  if (open.empty()) return false;
  pending_.fetch_add(1, std::memory_order_relaxed);
  CloseDependencies(context_, name_space_, dependents, LowerDeadline(),
                    [self = shared_from_this(), open = std::move(open), then = std::move(then)](
                        std::vector<ClosedTags> closed, uint64_t written) {
                      for (size_t i = 0; i < open.size(); ++i) {
                        WriteItem item = self->request_.items[open[i]];
                        item.tags = std::move(closed[i].tags);
                        item.depends_on.clear();
                        // A lease's version is older still.
                        if (item.lease.empty()) item.written = written;
                        self->closed_[open[i]] = std::move(item);
                        self->doubts_[open[i]] = {closed[i].cut, closed[i].unknown};
                      }
                      then();
                      self->Done();
                    });
  return true;
}

void WriteCall::WriteHere(std::vector<uint32_t> indexes) {
  if (CloseFirst(indexes, [this, indexes] { WriteHere(indexes); })) return;
  EndLeases(&indexes, Home::kHere, LeaseUse::kGiveBack);
  RefuseLostLeases(&indexes, Home::kHere);
  EndLeases(&indexes, Home::kHere, LeaseUse::kAbsent);
  if (indexes.empty()) return;
  if (!context_.l1_only) {
    ApplyToL2(std::move(indexes), Home::kHere, /*attempt=*/1);
    return;
  }
  const absl::Status clock = context_.CheckClock();
  for (const uint32_t index : indexes) {
    const WriteItem& item = Item(index);
    if (!clock.ok()) {
      SetError(FromStatus(clock), &results_[index]);
      continue;
    }
    if (const LeaseToken* lease = LeaseOf(index)) {
      FillInL1(index, *lease);
      continue;
    }
    const EntryKey key = EngineKey(item.key);
    const NamespacePolicy& policy = policies_.Of(key.slot);
    results_[index] = l1_writer_.Write(name_space_, policy, key, item, Stored(index));
    if (results_[index].state != EntryState::kOk) continue;
    CountWrite(item);
    lives_[index] = LifeOf(context_, policy, item, key, results_[index].version);
    TellWaiters(index, EngineKey(item.key), results_[index].version);
  }
}

void WriteCall::ApplyToL2(std::vector<uint32_t> indexes, Home home, int attempt) {
  if (const absl::Status clock = context_.CheckClock(); !clock.ok()) {
    for (const uint32_t index : indexes) SetError(FromStatus(clock), &results_[index]);
    return;
  }
  if (context_.fences != nullptr && !context_.fences->known() && AnyJudged(indexes)) {
    RefuseJudged(&indexes);
    if (indexes.empty()) return;
  }
  if (HangOnTags(indexes)) return LookAtTags(std::move(indexes), home, attempt);
  SendToL2(std::move(indexes), home, attempt);
}

bool WriteCall::HangOnTags(const std::vector<uint32_t>& indexes) const {
  return context_.engine.fences().HasTags(name_space_.id) && AnyJudged(indexes);
}

bool WriteCall::AnyJudged(const std::vector<uint32_t>& indexes) const {
  return std::any_of(indexes.begin(), indexes.end(),
                     [this](uint32_t index) { return IsJudged(request_.items[index]); });
}

void WriteCall::RefuseJudged(std::vector<uint32_t>* indexes) {
  const auto judged =
      std::stable_partition(indexes->begin(), indexes->end(),
                            [this](uint32_t index) { return !IsJudged(request_.items[index]); });
  for (auto it = judged; it != indexes->end(); ++it) {
    SetError(FencesUnknownError(), &results_[*it]);
  }
  indexes->erase(judged, indexes->end());
}

void WriteCall::LookAtTags(std::vector<uint32_t> indexes, Home home, int attempt) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  std::vector<L2Key> keys;
  std::vector<uint32_t> judged;
  for (const uint32_t index : indexes) {
    const WriteItem& item = Item(index);
    if (!IsJudged(item)) continue;
    keys.push_back({SlotOf(name_space_.name, item.key), name_space_.name, std::string(item.key)});
    judged.push_back(index);
  }
  context_.l2.FetchFromPrimary(
      std::move(keys), LowerDeadline(),
      [self = shared_from_this(), indexes = std::move(indexes), judged = std::move(judged), home,
       attempt](const std::vector<L2Record>& records) mutable {
        for (size_t i = 0; i < judged.size(); ++i) {
          if (self->TakeTags(judged[i], records[i])) continue;
          indexes.erase(std::find(indexes.begin(), indexes.end(), judged[i]));
        }
        if (!indexes.empty()) self->SendToL2(std::move(indexes), home, attempt);
        self->Done();
      });
}

bool WriteCall::TakeTags(uint32_t index, const L2Record& stored) {
  if (!stored.status.ok()) {
    SetError(FromStatus(stored.status), &results_[index]);
    return false;
  }
  const absl::StatusOr<Record> record = ParseRecord(stored.record.view());
  looked_[index] = Looked();
  if (!record.ok()) return true;
  looked_[index].written = record->written_hlc();
  looked_[index].tags = record->tags;
  return true;
}

void WriteCall::SendToL2(std::vector<uint32_t> indexes, Home home, int attempt) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  std::vector<L2Write> writes = MakeWrites(indexes);
  std::vector<Sent> sent;
  sent.reserve(writes.size());
  for (size_t i = 0; i < writes.size(); ++i) {
    sent.push_back({indexes[i], writes[i].version, EngineKey(Item(indexes[i]).key), {}});
    if (home == Home::kHere) sent.back().token = context_.engine.BeginFill(sent.back().key);
  }
  // Before they are sent: no arrival is missed.
  std::shared_ptr<SyncReplication::Batch> expected = ExpectRegions(sent, home);
  context_.l2.Apply(std::move(writes), LowerDeadline(),
                    [self = shared_from_this(), sent = std::move(sent), home, attempt,
                     expected = std::move(expected)](std::vector<L2WriteResult> outcomes) {
                      if (expected != nullptr) self->AwaitRegions(expected, sent, outcomes);
                      self->TakeOutcomes(sent, outcomes, home, attempt);
                      self->Done();
                    });
}

std::shared_ptr<SyncReplication::Batch> WriteCall::ExpectRegions(const std::vector<Sent>& sent,
                                                                 Home home) {
  if (policies_.base().replication != ReplicationMode::kSync || context_.sync == nullptr ||
      home == Home::kElsewhere) {
    return nullptr;
  }
  std::vector<SyncReplication::Write> writes;
  writes.reserve(sent.size());
  for (const Sent& write : sent) {
    writes.push_back({name_space_.name, std::string(Item(write.index).key), write.version});
  }
  return context_.sync->Expect(std::move(writes), LowerDeadline());
}

void WriteCall::AwaitRegions(const std::shared_ptr<SyncReplication::Batch>& expected,
                             const std::vector<Sent>& sent,
                             const std::vector<L2WriteResult>& outcomes) {
  std::vector<size_t> indexes;  // Of `sent`.
  std::vector<uint32_t> items;
  for (size_t i = 0; i < sent.size(); ++i) {
    if (!outcomes[i].status.ok() || outcomes[i].outcome != L2WriteOutcome::kApplied) continue;
    indexes.push_back(i);
    items.push_back(sent[i].index);
  }
  pending_.fetch_add(1, std::memory_order_relaxed);
  context_.sync->Await(expected, std::move(indexes), policies_.base().sync_regions,
                       [self = shared_from_this(),
                        items = std::move(items)](std::vector<std::vector<std::string>> regions) {
                         for (size_t i = 0; i < regions.size(); ++i) {
                           self->regions_[items[i]] = std::move(regions[i]);
                         }
                         self->Done();
                       });
}

const StoredValue& WriteCall::Stored(uint32_t index) {
  std::optional<StoredValue>& stored = stored_[index];
  if (!stored) {
    const WriteItem& item = Item(index);
    stored = Encode(item.value, PolicyOf(item.key).compression, name_space_.counters.compression);
  }
  return *stored;
}

std::vector<L2Write> WriteCall::MakeWrites(const std::vector<uint32_t>& indexes) {
  const absl::Time now = context_.clock.Now();
  std::vector<L2Write> writes;
  writes.reserve(indexes.size());
  const auto make = [&](uint32_t index) {
    const LeaseToken* lease = LeaseOf(index);
    // Whatever it says: what is written or fenced from now on is newer.
    if (lease != nullptr) (void)context_.versions.Merge(lease->version.hlc);
    writes.push_back(
        MakeWrite(index, now, lease != nullptr ? lease->version : context_.versions.Next()));
    return writes.back().version.hlc;
  };
  for (const uint32_t index : indexes) {
    if (context_.fences == nullptr || !request_.items[index].conditional()) {
      make(index);
      continue;
    }
    Stored(index);  // Not while others wait.
    context_.fences->WhileJudging([&] { return make(index); });
  }
  return writes;
}

L2Write WriteCall::MakeWrite(uint32_t index, absl::Time now, Version version) {
  const WriteItem& item = Item(index);
  L2Write write;
  write.key = L2Key{SlotOf(name_space_.name, item.key), name_space_.name, std::string(item.key)};
  write.kind = item.kind == WriteKind::kTouch ? L2WriteKind::kTouch : L2WriteKind::kPut;
  write.version = version;
  if (IsJudged(item)) {
    const FenceTable& fences = context_.engine.fences();
    const Looked& looked = looked_[index];
    write.fenced_hlc = fences.NewestOfKey(name_space_.id, item.key);
    if (looked.written != 0 &&
        fences.Covers(name_space_.id, item.key, looked.tags, looked.written)) {
      write.fenced_hlc = std::max(write.fenced_hlc, looked.written);
    }
    if (context_.horizons != nullptr) {
      write.fenced_hlc = std::max(write.fenced_hlc, context_.horizons->Of(write.key.slot));
    }
  }
  if (item.if_absent) write.condition = L2Condition::kIfAbsent;
  if (item.expected_version.is_set()) {
    write.condition = L2Condition::kIfVersion;
    write.expected_version = item.expected_version;
  }
  Record record;
  record.version = write.version;
  record.kind = KindOf(item);
  std::string tags;
  if (record.kind == RecordKind::kTombstone) {
    write.expires_at = now + context_.tombstone_ttl;
    write.retention = context_.tombstone_ttl;
  } else {
    const absl::Duration ttl = LifeFor(item, EngineKey(item.key), write.version);
    lives_[index] = ttl;
    write.expires_at = now + ttl;
    write.retention = ttl + std::max(kExpiryGrace, policies_.Of(write.key.slot).stale_max);
    tags = EncodeTags(item.tags);
    record.tags = tags;
    if (item.kind == WriteKind::kSet && record.kind == RecordKind::kValue) {
      record.written = item.written;
      const StoredValue& stored = Stored(index);
      record.value = stored.bytes;
      record.encoding = stored.encoding;
      record.raw_size = stored.raw_size;
    }
  }
  record.expires_at = write.expires_at;
  if (write.kind == L2WriteKind::kPut) AppendRecord(record, &write.record);
  return write;
}

void WriteCall::TakeOutcomes(const std::vector<Sent>& sent,
                             const std::vector<L2WriteResult>& outcomes, Home home, int attempt) {
  std::vector<uint32_t> again;
  for (size_t i = 0; i < sent.size(); ++i) {
    if (!TakeOutcome(sent[i], outcomes[i], home, attempt)) again.push_back(sent[i].index);
  }
  if (!again.empty()) ApplyToL2(std::move(again), home, attempt + 1);
}

bool WriteCall::TakeOutcome(const Sent& sent, const L2WriteResult& outcome, Home home,
                            int attempt) {
  const WriteItem& item = Item(sent.index);
  WriteResult& result = results_[sent.index];
  if (!outcome.status.ok()) {
    if (home == Home::kHere && MayWait(item, outcome.status)) {
      KeepHint(item, sent, &result);
      return true;
    }
    // It may have been applied: what L1 holds may be old, and is given up.
    if (home == Home::kHere) GiveUp(sent);
    SetError(FromStatus(outcome.status), &result);
    return true;
  }
  switch (outcome.outcome) {
    case L2WriteOutcome::kApplied:
      result.state = EntryState::kOk;
      result.version = sent.version;
      CountWrite(item);
      if (home == Home::kHere) UpdateL1(item, sent);
      if (context_.hints != nullptr && !context_.hints->empty()) {
        context_.hints->Overtaken(name_space_.name, item.key, sent.version);
      }
      return true;
    case L2WriteOutcome::kConflict:
      result.state = EntryState::kConflict;
      result.version = outcome.stored;
      return true;
    case L2WriteOutcome::kAbsent:
      result.state = EntryState::kMiss;
      return true;
    case L2WriteOutcome::kStale:
      break;
  }
  const absl::Status merged = context_.versions.Merge(outcome.stored.hlc);
  if (!item.lease.empty()) {
    if (outcome.stored == sent.version) {  // This very write, sent again.
      result.state = EntryState::kOk;
      result.version = sent.version;
      if (home == Home::kHere) FollowStored(sent);
      return true;
    }
    result.version = outcome.stored;
    LoseLeaseToNewer(sent.key, home, sent.version, &result);
    return true;
  }
  if (!merged.ok()) {
    SetError(FromStatus(merged), &result);
    return true;
  }
  // Not after the caller has given up: it may have written something else since.
  if (attempt < kMaxAttempts && context_.clock.Now() < LowerDeadline()) return false;
  SetError(Contended(outcome.stored), &result);
  return true;
}

bool WriteCall::MayWait(const WriteItem& item, const absl::Status& why) const {
  return context_.hints != nullptr && policies_.base().write_without_redis && !item.conditional() &&
         item.kind != WriteKind::kTouch && item.lease.empty() &&
         (absl::IsUnavailable(why) || absl::IsDeadlineExceeded(why));
}

void WriteCall::GiveUp(const Sent& sent) {
  context_.engine.Erase(sent.key, sent.version);
  context_.WarnWatchers(name_space_.name, sent.key, sent.version);
}

void WriteCall::FollowStored(const Sent& sent) {
  if (context_.engine.IsBehind(sent.key, sent.version)) {
    context_.engine.Erase(sent.key, sent.version);
  }
  context_.TellWatchers(name_space_.name, sent.key, sent.version);
  misses_.OnChanged(sent.key, sent.version);
}

void WriteCall::KeepHint(const WriteItem& item, const Sent& sent, WriteResult* result) {
  const absl::Status kept = context_.hints->Add(
      MakeWrite(sent.index, context_.clock.Now(), sent.version), context_.clock.Monotonic());
  if (!kept.ok()) {
    GiveUp(sent);
    SetError(FromStatus(kept), result);
    return;
  }
  result->state = EntryState::kOk;
  result->version = sent.version;
  result->degraded = true;
  CountWrite(item);
  PutOrErase(item, sent);
  // Who follows may read the store before the hint is there, and be answered afterwards: the
  // changelog's word of it is told, too.
  context_.WarnWatchers(name_space_.name, sent.key, sent.version);
}

void WriteCall::UpdateL1(const WriteItem& item, const Sent& sent) {
  PutOrErase(item, sent);
  context_.TellWatchers(name_space_.name, sent.key, sent.version);
}

void WriteCall::PutOrErase(const WriteItem& item, const Sent& sent) {
  const absl::Duration now = context_.clock.Monotonic();
  const NamespacePolicy& policy = policies_.Of(sent.key.slot);
  if (WatchesKeys(policy)) context_.activity->OnUpdate(sent.key.hash, now);
  const RecordKind kind = KindOf(item);
  if (item.kind == WriteKind::kSet && kind != RecordKind::kTombstone &&
      context_.Follows(sent.key.slot)) {
    const absl::Duration life = lives_[sent.index];
    Entry entry = EntryOf(item, Stored(sent.index), sent.version);
    if (PlaceEntry(context_, name_space_, policy, sent.key, life, now, Placing::kWrite, &entry)) {
      if (kind == RecordKind::kAbsent) MakeAbsence(&entry);
      NoteEntry(name_space_, TrafficKind::kWrite, sent.key, EntryCharge(sent.key.key.size(), entry),
                {.given = entry.expires_at - now, .own = OwnLife(policy, life, life)}, now);
      context_.engine.PutWritten(sent.key, std::move(entry), now, sent.token);
      TellWaiters(sent.index, sent.key, sent.version);
      return;
    }
  }
  NoteTraffic(name_space_, TrafficKind::kErase, sent.key, now);
  // A touched value comes back with its new TTL from L2.
  context_.engine.Erase(sent.key, sent.version);
  TellWaiters(sent.index, sent.key, sent.version);
}

void WriteCall::CountWrite(const WriteItem& item) const {
  NamespaceCounters& counters = name_space_.counters;
  if (!item.lease.empty()) {
    std::atomic<uint64_t>& leases = item.lease_use == LeaseUse::kFill
                                        ? counters.origin.leases_filled
                                        : counters.origin.leases_returned;
    leases.fetch_add(1, std::memory_order_relaxed);
  }
  std::atomic<uint64_t>& counter =
      item.kind == WriteKind::kInvalidate ? counters.invalidations : counters.sets;
  counter.fetch_add(1, std::memory_order_relaxed);
}

void WriteCall::Done() {
  if (pending_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  OriginCounters& counters = name_space_.counters.origin;
  for (size_t i = 0; i < doubts_.size(); ++i) {
    if (results_[i].state != EntryState::kOk) continue;
    if (doubts_[i].cut) {
      results_[i].dependencies_cut = true;
      counters.dependencies_cut.fetch_add(1, std::memory_order_relaxed);
    }
    if (doubts_[i].unknown) {
      results_[i].dependencies_unknown = true;
      counters.dependencies_unknown.fetch_add(1, std::memory_order_relaxed);
    }
  }
  for (size_t i = 0; i < regions_.size(); ++i) {
    if (regions_[i].empty()) continue;  // What a peer has answered stays.
    results_[i].replicated_regions = std::move(regions_[i]);
  }
  callback_(std::move(results_));
}

}  // namespace meridian
