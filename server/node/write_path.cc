#include "server/node/write_path.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/node/entry_rules.h"
#include "server/node/record.h"
#include "server/node/routing.h"
#include "server/node/value_codec.h"

namespace meridian {
namespace {

// A plain write that meets a newer version takes a newer one and tries again until its deadline; this
// many times is a defect, not contention: each round takes a round trip to the regional store.
constexpr int kMaxAttempts = 1000;

// Whose L1 is to follow a write to the regional store.
enum class Home : bool { kHere, kElsewhere };

// A write on its way to the regional store.
struct Sent {
  uint32_t index;
  Version version;
  EntryKey key;
  FillToken token;  // What L1 had seen of the key when the write was sent.
};

Error Contended(Version stored) {
  return Error{grpc::StatusCode::ABORTED, reason::kWriteContended,
               absl::StrCat("other writers were faster until the deadline; the stored version is ",
                            stored.ToText()),
               {}};
}

}  // namespace

// One request. Lives until its last part has come back.
class WritePath::Call : public std::enable_shared_from_this<WritePath::Call> {
 public:
  Call(const NodeContext& context, L1Writer& l1_writer, const WriteRequest& request,
       const Namespace& name_space, WriteCallback callback)
      : context_(context),
        l1_writer_(l1_writer),
        request_(request),
        name_space_(name_space),
        policy_(request.policy == nullptr ? name_space.policy() : *request.policy),
        topology_(context.topology.Get()),
        results_(request.items.size()),
        stored_(request.items.size()),
        lives_(request.items.size()),
        fenced_hlcs_(std::any_of(request.items.begin(), request.items.end(), IsJudged)
                         ? request.items.size()
                         : 0),
        regions_(policy_.replication == ReplicationMode::kSync ? request.items.size() : 0),
        callback_(std::move(callback)) {}

  void Start() {
    const uint16_t self = topology_->IndexOf(context_.node_id);
    std::vector<uint32_t> here;
    std::vector<uint32_t> ownerless;
    OwnerGroups groups;
    for (uint32_t i = 0; i < request_.items.size(); ++i) {
      const uint32_t slot = SlotOf(name_space_.name, request_.items[i].key);
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

 private:
  absl::Time LowerDeadline() const { return request_.deadline - kReplyMargin; }

  EntryKey EngineKey(std::string_view key) const {
    EntryKey entry_key;
    entry_key.name_space = name_space_.id;
    entry_key.slot = SlotOf(name_space_.name, key);
    entry_key.hash = context_.engine.HashOf(name_space_.id, key);
    entry_key.key = key;
    return entry_key;
  }

  void WriteHere(std::vector<uint32_t> indexes) {
    if (!context_.l1_only) {
      ApplyToL2(std::move(indexes), Home::kHere, /*attempt=*/1);
      return;
    }
    const absl::Status clock = context_.CheckClock();
    for (const uint32_t index : indexes) {
      const WriteItem& item = request_.items[index];
      if (!clock.ok()) {
        SetError(FromStatus(clock), &results_[index]);
        continue;
      }
      results_[index] = l1_writer_.Write(name_space_, policy_, EngineKey(item.key), item, Stored(index));
      if (results_[index].state == EntryState::kOk) CountWrite(item);
    }
  }

  // Writes to the regional store, in order, each with a version of its own.
  void ApplyToL2(std::vector<uint32_t> indexes, Home home, int attempt) {
    if (const absl::Status clock = context_.CheckClock(); !clock.ok()) {
      for (const uint32_t index : indexes) SetError(FromStatus(clock), &results_[index]);
      return;
    }
    if (attempt == 1 && HangOnTags(indexes)) return LookAtTags(std::move(indexes), home);
    SendToL2(std::move(indexes), home, attempt);
  }

  // Whether some of the items is judged by what is stored, and that may be dead by a fence of one of
  // its tags, which only its record tells.
  bool HangOnTags(const std::vector<uint32_t>& indexes) const {
    return context_.engine.fences().HasTags(name_space_.id) &&
           std::any_of(indexes.begin(), indexes.end(),
                       [this](uint32_t index) { return IsJudged(request_.items[index]); });
  }
  static bool IsJudged(const WriteItem& item) {
    return item.conditional() || item.kind == WriteKind::kTouch;
  }

  // Reads what is stored under the keys of such items, then sends all of them.
  void LookAtTags(std::vector<uint32_t> indexes, Home home) {
    pending_.fetch_add(1, std::memory_order_relaxed);
    std::vector<L2Key> keys;
    std::vector<uint32_t> judged;
    for (const uint32_t index : indexes) {
      const WriteItem& item = request_.items[index];
      if (!IsJudged(item)) continue;
      keys.push_back({SlotOf(name_space_.name, item.key), name_space_.name, std::string(item.key)});
      judged.push_back(index);
    }
    context_.l2.Fetch(
        std::move(keys), LowerDeadline(),
        [self = shared_from_this(), indexes = std::move(indexes), judged = std::move(judged),
         home](const std::vector<L2Record>& records) mutable {
          for (size_t i = 0; i < judged.size(); ++i) {
            if (self->TakeTags(judged[i], records[i])) continue;
            indexes.erase(std::find(indexes.begin(), indexes.end(), judged[i]));
          }
          if (!indexes.empty()) self->SendToL2(std::move(indexes), home, /*attempt=*/1);
          self->Done();
        });
  }

  // False: the item has failed.
  bool TakeTags(uint32_t index, const L2Record& stored) {
    if (!stored.status.ok()) {
      SetError(FromStatus(stored.status), &results_[index]);
      return false;
    }
    const absl::StatusOr<Record> record = ParseRecord(stored.record.view());
    if (record.ok() && context_.engine.fences().Covers(name_space_.id, request_.items[index].key,
                                                       record->tags, record->version.hlc)) {
      fenced_hlcs_[index] = record->version.hlc;
    }
    return true;
  }

  void SendToL2(std::vector<uint32_t> indexes, Home home, int attempt) {
    pending_.fetch_add(1, std::memory_order_relaxed);
    const absl::Time now = context_.clock.Now();
    std::vector<L2Write> writes;
    writes.reserve(indexes.size());
    for (const uint32_t index : indexes)
      writes.push_back(MakeWrite(index, now, context_.versions.Next()));
    std::vector<Sent> sent;
    sent.reserve(writes.size());
    for (size_t i = 0; i < writes.size(); ++i) {
      sent.push_back({indexes[i], writes[i].version, EngineKey(request_.items[indexes[i]].key), {}});
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

  // Of namespaces that replicate synchronously; the links of keys of others are elsewhere.
  std::shared_ptr<SyncReplication::Batch> ExpectRegions(const std::vector<Sent>& sent, Home home) {
    if (policy_.replication != ReplicationMode::kSync || context_.sync == nullptr ||
        home == Home::kElsewhere) {
      return nullptr;
    }
    std::vector<SyncReplication::Write> writes;
    writes.reserve(sent.size());
    for (const Sent& write : sent) {
      writes.push_back(
          {name_space_.name, std::string(request_.items[write.index].key), write.version});
    }
    return context_.sync->Expect(std::move(writes), LowerDeadline());
  }

  void AwaitRegions(const std::shared_ptr<SyncReplication::Batch>& expected,
                    const std::vector<Sent>& sent, const std::vector<L2WriteResult>& outcomes) {
    std::vector<size_t> indexes;  // Of `sent`.
    std::vector<uint32_t> items;
    for (size_t i = 0; i < sent.size(); ++i) {
      if (!outcomes[i].status.ok() || outcomes[i].outcome != L2WriteOutcome::kApplied) continue;
      indexes.push_back(i);
      items.push_back(sent[i].index);
    }
    pending_.fetch_add(1, std::memory_order_relaxed);
    context_.sync->Await(expected, std::move(indexes), policy_.sync_regions,
                         [self = shared_from_this(),
                          items = std::move(items)](std::vector<std::vector<std::string>> regions) {
                           for (size_t i = 0; i < regions.size(); ++i) {
                             self->regions_[items[i]] = std::move(regions[i]);
                           }
                           self->Done();
                         });
  }

  // The item's value as it is stored: encoded once, by the node that carries the write out. Of one
  // item there is one attempt at a time, so that nobody else writes its element.
  const StoredValue& Stored(uint32_t index) {
    std::optional<StoredValue>& stored = stored_[index];
    if (!stored) {
      stored = Encode(request_.items[index].value, policy_.compression,
                      name_space_.counters.compression);
    }
    return *stored;
  }

  L2Write MakeWrite(uint32_t index, absl::Time now, Version version) {
    const WriteItem& item = request_.items[index];
    L2Write write;
    write.key = L2Key{SlotOf(name_space_.name, item.key), name_space_.name, std::string(item.key)};
    write.kind = item.kind == WriteKind::kTouch ? L2WriteKind::kTouch : L2WriteKind::kPut;
    write.version = version;
    if (IsJudged(item)) {
      write.fenced_hlc = std::max(context_.engine.fences().NewestOfKey(name_space_.id, item.key),
                                  fenced_hlcs_[index]);
    }
    if (item.if_absent) write.condition = L2Condition::kIfAbsent;
    if (item.expected_version.is_set()) {
      write.condition = L2Condition::kIfVersion;
      write.expected_version = item.expected_version;
    }
    Record record;
    record.version = write.version;
    std::string tags;
    if (item.kind == WriteKind::kInvalidate) {
      record.kind = RecordKind::kTombstone;
      write.expires_at = now + context_.tombstone_ttl;
      write.retention = context_.tombstone_ttl;
    } else {
      const absl::Duration ttl = LifeOf(context_, policy_, item, EngineKey(item.key), write.version);
      lives_[index] = ttl;
      write.expires_at = now + ttl;
      write.retention = ttl + std::max(kExpiryGrace, policy_.stale_max);
      tags = EncodeTags(item.tags);
      record.tags = tags;
      if (item.kind == WriteKind::kSet) {
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

  void TakeOutcomes(const std::vector<Sent>& sent, const std::vector<L2WriteResult>& outcomes,
                    Home home, int attempt) {
    std::vector<uint32_t> again;
    for (size_t i = 0; i < sent.size(); ++i) {
      if (!TakeOutcome(sent[i], outcomes[i], home, attempt)) again.push_back(sent[i].index);
    }
    if (!again.empty()) ApplyToL2(std::move(again), home, attempt + 1);
  }

  // Fills the item's result. False: the item is to be tried again with a newer version.
  bool TakeOutcome(const Sent& sent, const L2WriteResult& outcome, Home home, int attempt) {
    const WriteItem& item = request_.items[sent.index];
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
    if (!merged.ok()) {
      SetError(FromStatus(merged), &result);
      return true;
    }
    // Not after the caller has given up: it may have written something else since.
    if (attempt < kMaxAttempts && context_.clock.Now() < LowerDeadline()) return false;
    SetError(Contended(outcome.stored), &result);
    return true;
  }

  // Whether the write is accepted without the regional store. A condition cannot be judged here,
  // and a touch is of a value that only the store has.
  bool MayWait(const WriteItem& item, const absl::Status& why) const {
    return context_.hints != nullptr && policy_.write_without_redis && !item.conditional() &&
           item.kind != WriteKind::kTouch &&
           (absl::IsUnavailable(why) || absl::IsDeadlineExceeded(why));
  }

  // Nobody keeps what the write may have replaced.
  void GiveUp(const Sent& sent) {
    context_.engine.Erase(sent.key, sent.version);
    context_.TellWatchers(name_space_.name, sent.key, sent.version);
  }

  void KeepHint(const WriteItem& item, const Sent& sent, WriteResult* result) {
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
    UpdateL1(item, sent);
  }

  void UpdateL1(const WriteItem& item, const Sent& sent) {
    PutOrErase(item, sent);
    context_.TellWatchers(name_space_.name, sent.key, sent.version);
  }

  void PutOrErase(const WriteItem& item, const Sent& sent) {
    const absl::Duration now = context_.clock.Monotonic();
    if (WatchesKeys(policy_)) context_.activity->OnUpdate(sent.key.hash, now);
    if (item.kind == WriteKind::kSet) {
      const absl::Duration life = lives_[sent.index];
      Entry entry = EntryOf(item, Stored(sent.index), sent.version);
      if (PlaceEntry(context_, name_space_, policy_, sent.key, life, now,
                     Placing::kWrite, &entry)) {
        NoteEntry(name_space_, TrafficKind::kWrite, sent.key,
                  EntryCharge(sent.key.key.size(), entry),
                  {.given = entry.expires_at - now, .own = OwnLife(policy_, life, life)}, now);
        context_.engine.PutWritten(sent.key, std::move(entry), now, sent.token);
        return;
      }
    }
    NoteTraffic(name_space_, TrafficKind::kErase, sent.key, now);
    // A touched value comes back with its new TTL from L2.
    context_.engine.Erase(sent.key, sent.version);
  }

  void Forward(const TopologyHolder::Snapshot& topology, OwnerGroup group, bool first) {
    pending_.fetch_add(1, std::memory_order_relaxed);
    const Member& owner = topology->members()[group.owner];
    PeerWrite write;
    write.epoch = topology->epoch();
    write.name_space = request_.name_space;
    write.request_id = request_.request_id;
    write.items.reserve(group.indexes.size());
    for (const uint32_t index : group.indexes) write.items.push_back(&request_.items[index]);
    const absl::Time now = context_.clock.Now();
    context_.peers.Write(owner, write, now + PeerAttempt(LowerDeadline() - now),
                         [self = shared_from_this(), topology, group = std::move(group), first](
                             PeerWriteReply reply) mutable {
                           self->TakeReply(*topology, std::move(group), std::move(reply), first);
                           self->Done();
                         });
  }

  void TakeReply(const Topology& used, OwnerGroup group, PeerWriteReply reply, bool first) {
    if (!reply.status.ok()) {
      GoAround(std::move(group.indexes), reason::kOwnerUnavailable,
               absl::StrCat("the key's owner does not answer: ",
                            std::string(reply.status.message())),
               /*unsent=*/false);
      return;
    }
    std::vector<uint32_t> moved;
    std::vector<uint32_t> skewed;  // The owner gives no versions; perhaps this node may.
    for (size_t i = 0; i < group.indexes.size(); ++i) {
      WriteResult& answer = reply.results[i];
      if (answer.state == EntryState::kError && answer.error->reason == reason::kNotOwner) {
        moved.push_back(group.indexes[i]);
      } else if (answer.state == EntryState::kError && answer.error->reason == reason::kClockSkew) {
        skewed.push_back(group.indexes[i]);
      } else {
        results_[group.indexes[i]] = std::move(answer);
      }
    }
    if (!skewed.empty()) {
      GoAround(std::move(skewed), reason::kClockSkew, "the clock of the key's owner is off",
               /*unsent=*/true);
    }
    if (moved.empty()) return;
    if (reply.topology) context_.topology.Offer(*std::move(reply.topology));
    const TopologyHolder::Snapshot newer = context_.topology.Get();
    if (!first || newer->epoch() <= used.epoch()) {
      GoAround(std::move(moved), reason::kOwnerUnavailable, "the key's owner is changing",
               /*unsent=*/true);
      return;
    }
    Reroute(newer, std::move(moved));
  }

  // Sends items once more, by a newer topology. They were not carried out.
  void Reroute(const TopologyHolder::Snapshot& newer, std::vector<uint32_t> indexes) {
    OwnerGroups groups;
    std::vector<uint32_t> here;
    std::vector<uint32_t> ownerless;
    for (const uint32_t index : indexes) {
      const uint16_t owner = newer->OwnerIndex(SlotOf(name_space_.name, request_.items[index].key));
      if (owner == Topology::kNoOwner) {
        ownerless.push_back(index);
      } else if (newer->members()[owner].id == context_.node_id) {
        here.push_back(index);
      } else {
        AddToGroup(owner, index, &groups);
      }
    }
    if (!here.empty()) WriteHere(std::move(here));
    if (!ownerless.empty()) {
      GoAround(std::move(ownerless), reason::kNoOwner,
               "no node of the region owns the key's slot yet", /*unsent=*/true);
    }
    for (OwnerGroup& group : groups) Forward(newer, std::move(group), /*first=*/false);
  }

  // Writes to the regional store without the owner. `unsent`: nobody carried the items out.
  void GoAround(std::vector<uint32_t> indexes, const char* why, const std::string& message,
                bool unsent) {
    std::vector<uint32_t> plain;
    for (const uint32_t index : indexes) {
      if (context_.l1_only) {
        SetError(Error{grpc::StatusCode::UNAVAILABLE, why, message, {}}, &results_[index]);
      } else if (request_.items[index].conditional() && !unsent) {
        SetError(Error{grpc::StatusCode::UNAVAILABLE, reason::kOutcomeUnknown,
                       absl::StrCat(message, "; the condition may have held and the write may have "
                                             "been carried out: read the key"),
                       {}},
                 &results_[index]);
      } else {
        plain.push_back(index);
      }
    }
    if (!plain.empty()) ApplyToL2(std::move(plain), Home::kElsewhere, /*attempt=*/1);
  }

  // Counts what was carried out here.
  void CountWrite(const WriteItem& item) const {
    NamespaceCounters& counters = name_space_.counters;
    std::atomic<uint64_t>& counter =
        item.kind == WriteKind::kInvalidate ? counters.invalidations : counters.sets;
    counter.fetch_add(1, std::memory_order_relaxed);
  }

  void Done() {
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < regions_.size(); ++i) {
      if (regions_[i].empty()) continue;  // What a peer has answered stays.
      results_[i].replicated_regions = std::move(regions_[i]);
    }
    callback_(std::move(results_));
  }

  const NodeContext& context_;
  L1Writer& l1_writer_;
  const WriteRequest& request_;
  const Namespace& name_space_;
  const NamespacePolicy& policy_;  // One for the whole request: L1 and L2 get the same expiry.
  const TopologyHolder::Snapshot topology_;
  // Parts write disjoint elements; the last Done() synchronises with all of them.
  std::vector<WriteResult> results_;
  std::vector<std::optional<StoredValue>> stored_;
  std::vector<absl::Duration> lives_;  // Of the last attempt.
  // Clocks of stored values that are dead by a fence of a tag; empty unless an item is judged.
  std::vector<uint64_t> fenced_hlcs_;
  // That have an item, by the owner's word; empty unless the namespace replicates synchronously.
  std::vector<std::vector<std::string>> regions_;
  WriteCallback callback_;
  std::atomic<int> pending_{0};
};

void WritePath::Write(const WriteRequest& request, WriteCallback callback) {
  const Namespace* name_space = context_.namespaces.Resolve(request.name_space);
  if (name_space == nullptr) {
    std::vector<WriteResult> results(request.items.size());
    for (WriteResult& result : results) {
      SetError(TooManyNamespacesError(request.name_space), &result);
    }
    callback(std::move(results));
    return;
  }
  std::make_shared<Call>(context_, l1_writer_, request, *name_space, std::move(callback))->Start();
}

}  // namespace meridian
