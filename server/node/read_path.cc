#include "server/node/read_path.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/node/entry_rules.h"
#include "server/node/record.h"
#include "server/node/routing.h"
#include "server/node/value_codec.h"

namespace meridian {
namespace {

// A background read gets this long.
constexpr absl::Duration kRefreshTime = absl::Seconds(1);

// A key that L1 did not have, and what it had seen when the look into L2 began.
struct Miss {
  uint32_t index;
  EntryKey key;
  FillToken token;
};

void Count(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.fetch_add(n, std::memory_order_relaxed);
}

// Puts what L2 has into L1, if the policy says so.
void FillL1(const NodeContext& context, const Namespace& name_space, const NamespacePolicy& policy,
            const EntryKey& key, FillToken token, const Record& record, absl::Duration ttl,
            const Buffer& value) {
  // What is left of the value's life is the difference of two wall clocks.
  if (context.clock_guard != nullptr && !context.clock_guard->ok()) return;
  const absl::Duration now = context.clock.Monotonic();
  Entry entry;
  entry.value = value;
  entry.version = record.version;
  entry.raw_size = record.raw_size;
  entry.encoding = record.encoding;
  entry.tags = Buffer::CopyOf(record.tags);
  if (PlaceEntry(context, name_space, policy, key, ttl, now, Placing::kFill, &entry)) {
    const absl::Duration total = record.expires_at - record.version.time();
    NoteEntry(name_space, TrafficKind::kFill, key, EntryCharge(key.key.size(), entry),
              {.given = entry.expires_at - now, .own = OwnLife(policy, total, ttl)}, now);
    context.engine.PutFill(key, std::move(entry), now, token);
  }
}

}  // namespace

// One request that L1 could not answer completely. Lives until its last part has come back.
class ReadPath::Call : public std::enable_shared_from_this<ReadPath::Call> {
 public:
  Call(const NodeContext& context, const ReadRequest& request, const Namespace& name_space,
       const NamespacePolicy& policy, TopologyHolder::Snapshot topology, std::vector<ReadResult> results, ReadCallback callback)
      : context_(context),
        request_(request),
        name_space_(name_space),
        policy_(policy),
        topology_(std::move(topology)),
        results_(std::move(results)),
        callback_(std::move(callback)) {}

  // Starts every part and answers when the last is back.
  void Start(std::vector<Miss> misses, std::vector<uint32_t> ownerless, OwnerGroups groups) {
    pending_ = 1;  // Held by Start itself, so that early answers cannot finish the call.
    if (!misses.empty()) FetchMisses(std::move(misses));
    if (!ownerless.empty()) FetchAround(std::move(ownerless));
    for (OwnerGroup& group : groups) Forward(topology_, std::move(group), /*first=*/true);
    Done();
  }

 private:
  absl::Time LowerDeadline() const { return request_.deadline - kReplyMargin; }

  L2Key KeyOf(uint32_t index) const {
    const std::string_view key = request_.keys[index];
    return L2Key{SlotOf(name_space_.name, key), name_space_.name, std::string(key)};
  }

  // Reads keys of ours from L2 and fills L1 with what it finds.
  void FetchMisses(std::vector<Miss> misses) {
    pending_.fetch_add(1, std::memory_order_relaxed);
    std::vector<L2Key> keys;
    keys.reserve(misses.size());
    for (const Miss& miss : misses) {
      keys.push_back(L2Key{miss.key.slot, name_space_.name, std::string(miss.key.key)});
    }
    context_.l2.Fetch(std::move(keys), LowerDeadline(),
                      [self = shared_from_this(), misses = std::move(misses)](
                          std::vector<L2Record> records) {
                        for (size_t i = 0; i < misses.size(); ++i) {
                          self->TakeRecord(records[i], misses[i].index, &misses[i]);
                        }
                        self->Done();
                      });
  }

  // Reads keys from L2 whose owner is unknown or does not answer. Does not touch L1.
  void FetchAround(std::vector<uint32_t> indexes) {
    pending_.fetch_add(1, std::memory_order_relaxed);
    std::vector<L2Key> keys;
    keys.reserve(indexes.size());
    for (const uint32_t index : indexes) keys.push_back(KeyOf(index));
    context_.l2.Fetch(std::move(keys), LowerDeadline(),
                      [self = shared_from_this(), indexes = std::move(indexes)](
                          std::vector<L2Record> records) {
                        for (size_t i = 0; i < indexes.size(); ++i) {
                          self->TakeRecord(records[i], indexes[i], nullptr);
                        }
                        self->Done();
                      });
  }

  // Turns what L2 has under a key into the key's result; with `fill`, also puts it into L1.
  void TakeRecord(const L2Record& record, uint32_t index, const Miss* fill) {
    if (context_.hints != nullptr && !context_.hints->empty()) {
      if (const std::optional<L2Record> hint = NewerHint(record, request_.keys[index])) {
        TakeStored(*hint, index, fill, Tier::kL1);
        return;
      }
    }
    TakeStored(record, index, fill, Tier::kL2);
  }

  // A write that waits for the store, if it is newer than what the store has said.
  std::optional<L2Record> NewerHint(const L2Record& record, std::string_view key) const {
    std::optional<std::string> hint = context_.hints->Find(name_space_.name, key);
    if (!hint) return std::nullopt;
    if (record.status.ok()) {
      const absl::StatusOr<Record> stored = ParseRecord(record.record.view());
      const absl::StatusOr<Record> waiting = ParseRecord(*hint);
      if (stored.ok() && waiting.ok() && stored->version >= waiting->version) return std::nullopt;
    }
    return L2Record{absl::OkStatus(), Buffer::CopyOf(*hint)};
  }

  void TakeStored(const L2Record& record, uint32_t index, const Miss* fill, Tier tier) {
    ReadResult& result = results_[index];
    if (!record.status.ok()) {
      Count(name_space_.counters.errors, 1);
      SetError(FromStatus(record.status), &result);
      return;
    }
    if (record.record.empty()) {
      Count(name_space_.counters.misses, 1);
      return;
    }
    absl::StatusOr<Record> parsed = ParseRecord(record.record.view());
    if (!parsed.ok()) {
      Count(name_space_.counters.errors, 1);
      SetError(Error{grpc::StatusCode::DATA_LOSS, reason::kCorruptRecord,
                     std::string(parsed.status().message()), {}},
               &result);
      return;
    }
    (void)context_.versions.Merge(parsed->version.hlc);  // A skewed one is refused, the value stands.
    const absl::Time now = context_.clock.Now();
    const absl::Duration ttl = parsed->expires_at - now;
    const absl::Duration max_stale = std::min(request_.options.max_stale, policy_.stale_max);
    if (parsed->kind == RecordKind::kTombstone || -ttl > max_stale ||
        (ttl <= absl::ZeroDuration() && max_stale == absl::ZeroDuration())) {
      Count(name_space_.counters.misses, 1);
      return;
    }
    Count(tier == Tier::kL1 ? name_space_.counters.l1_hits : name_space_.counters.l2_hits, 1);
    result.state = EntryState::kOk;
    result.tier = tier;
    result.version = parsed->version;
    result.value = Buffer::CopyOf(parsed->value);
    result.encoding = parsed->encoding;
    result.raw_size = parsed->raw_size;
    result.ttl = std::max(ttl, absl::ZeroDuration());
    result.age = std::max(now - parsed->version.time(), absl::ZeroDuration());
    result.stale = ttl <= absl::ZeroDuration();
    if (fill != nullptr && !result.stale) Fill(*fill, *parsed, ttl, result.value);
  }

  void Fill(const Miss& miss, const Record& record, absl::Duration ttl, const Buffer& value) {
    FillL1(context_, name_space_, policy_, miss.key, miss.token, record, ttl, value);
  }

  // Asks the owner. When the topology turns out to be old, asks the new owner once; when the owner does
  // not answer, goes around it.
  void Forward(const TopologyHolder::Snapshot& topology, OwnerGroup group, bool first) {
    pending_.fetch_add(1, std::memory_order_relaxed);
    const Member& owner = topology->members()[group.owner];
    PeerRead read;
    read.epoch = topology->epoch();
    read.name_space = request_.name_space;
    read.options = request_.options;
    read.options.accept_encoded = true;  // Inflated here, once, not on the way.
    read.request_id = request_.request_id;
    read.keys.reserve(group.indexes.size());
    for (const uint32_t index : group.indexes) read.keys.push_back(request_.keys[index]);
    const absl::Time now = context_.clock.Now();
    const absl::Time deadline = now + PeerAttempt(LowerDeadline() - now);
    context_.peers.Read(owner, read, deadline,
                        [self = shared_from_this(), group = std::move(group), first](
                            PeerReadReply reply) mutable {
                          self->TakeReply(std::move(group), std::move(reply), first);
                          self->Done();
                        });
  }

  void TakeReply(OwnerGroup group, PeerReadReply reply, bool first) {
    if (!reply.status.ok()) {
      GoAround(std::move(group.indexes), reply.status);
      return;
    }
    std::vector<uint32_t> moved;
    for (size_t i = 0; i < group.indexes.size(); ++i) {
      ReadResult& answer = reply.results[i];
      if (answer.state == EntryState::kError && answer.error->reason == reason::kNotOwner) {
        moved.push_back(group.indexes[i]);
      } else {
        results_[group.indexes[i]] = std::move(answer);
      }
    }
    if (moved.empty()) return;
    if (reply.topology) context_.topology.Offer(*std::move(reply.topology));
    const TopologyHolder::Snapshot newer = context_.topology.Get();
    if (!first || newer->epoch() <= topology_->epoch()) {
      GoAround(std::move(moved), absl::UnavailableError("the owner is changing"));
      return;
    }
    Reroute(newer, std::move(moved));
  }

  // Sends keys once more, by a newer topology. What is ours now is read from L2 without a fill.
  void Reroute(const TopologyHolder::Snapshot& newer, std::vector<uint32_t> indexes) {
    OwnerGroups groups;
    std::vector<uint32_t> around;
    for (const uint32_t index : indexes) {
      const uint16_t owner = newer->OwnerIndex(SlotOf(name_space_.name, request_.keys[index]));
      if (owner == Topology::kNoOwner || newer->members()[owner].id == context_.node_id) {
        around.push_back(index);
      } else {
        AddToGroup(owner, index, &groups);
      }
    }
    if (!around.empty()) FetchAround(std::move(around));
    for (OwnerGroup& group : groups) Forward(newer, std::move(group), /*first=*/false);
  }

  void GoAround(std::vector<uint32_t> indexes, const absl::Status& why) {
    if (!context_.l1_only) {
      FetchAround(std::move(indexes));
      return;
    }
    for (const uint32_t index : indexes) {
      SetError(Error{grpc::StatusCode::UNAVAILABLE, reason::kOwnerUnavailable,
                     absl::StrCat("the key's owner does not answer: ", std::string(why.message())),
                     {}},
               &results_[index]);
    }
  }

  void Done() {
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (!request_.options.accept_encoded) {
      if (context_.inflater != nullptr && TakesLongToInflate(results_)) {
        context_.inflater->Post([self = shared_from_this()] { self->InflateAndAnswer(); });
        return;
      }
      InflateAndAnswer();
      return;
    }
    callback_(std::move(results_));
  }

  void InflateAndAnswer() {
    InflateValues(request_.options.omit_value, name_space_.counters.compression, &results_);
    callback_(std::move(results_));
  }

  const NodeContext& context_;
  const ReadRequest& request_;
  const Namespace& name_space_;
  const NamespacePolicy& policy_;
  const TopologyHolder::Snapshot topology_;
  // Parts write disjoint elements; the last Done() synchronises with all of them.
  std::vector<ReadResult> results_;
  ReadCallback callback_;
  std::atomic<int> pending_{0};
};

// Not part of any request: the value that is in L1 was answered.
void ReadPath::Refresh(const Namespace& name_space, const EntryKey& key, Version version) {
  struct Target {
    std::string key_bytes;
    EntryKey key;
    FillToken token;
  };
  auto target = std::make_shared<Target>();
  target->key_bytes = std::string(key.key);
  target->key = key;
  target->key.key = target->key_bytes;
  target->token = context_.engine.BeginFill(key);
  std::vector<L2Key> keys = {L2Key{key.slot, name_space.name, target->key_bytes}};
  context_.l2.Fetch(
      std::move(keys), context_.clock.Now() + kRefreshTime,
      [this, &name_space, target, version](std::vector<L2Record> records) {
        if (!records[0].status.ok() || records[0].record.empty()) return;
        const absl::StatusOr<Record> record = ParseRecord(records[0].record.view());
        if (!record.ok() || record->kind == RecordKind::kTombstone) return;
        const absl::Duration ttl = record->expires_at - context_.clock.Now();
        if (ttl <= absl::ZeroDuration()) return;
        name_space.counters.refreshes.fetch_add(1, std::memory_order_relaxed);
        const NamespacePolicy& policy = name_space.policy();
        const absl::Duration now = context_.clock.Monotonic();
        if (record->version == version) {
          const absl::Duration life =
              L1LifeOf(context_, policy, target->key, version, ttl, now);
          context_.engine.Adjust(target->key, version, {.expires_at = now + life});
        } else {
          FillL1(context_, name_space, policy, target->key, target->token, *record, ttl,
                 Buffer::CopyOf(record->value));
        }
      });
}

void ReadPath::Read(const ReadRequest& request, ReadCallback callback) {
  std::vector<ReadResult> results(request.keys.size());
  const Namespace* name_space = context_.namespaces.Resolve(request.name_space);
  if (name_space == nullptr) {
    for (ReadResult& result : results) SetError(TooManyNamespacesError(request.name_space), &result);
    callback(std::move(results));
    return;
  }
  const TopologyHolder::Snapshot topology = context_.topology.Get();
  const uint16_t self = topology->IndexOf(context_.node_id);
  const NamespacePolicy& policy =
      request.policy == nullptr ? name_space->policy() : *request.policy;
  const bool watched = WatchesKeys(policy);
  const absl::Duration monotonic = context_.clock.Monotonic();
  const absl::Time wall = context_.clock.Now();
  std::vector<Miss> misses;
  std::vector<uint32_t> ownerless;
  OwnerGroups groups;
  uint64_t hits = 0;
  bool encoded = false;
  // Keys of ours, looked for in L1 a batch at a time.
  const size_t batch = std::min(request.keys.size(), Engine::kMaxBatch);
  absl::InlinedVector<EntryKey, 4> ours(batch);
  absl::InlinedVector<uint32_t, 4> indexes(batch);
  absl::InlinedVector<Lookup, 4> answers(batch);
  size_t waiting = 0;
  const auto look_up = [&] {
    if (request.options.force_refresh) {
      for (size_t n = 0; n < waiting; ++n) {
        answers[n].found = false;
        answers[n].token = context_.engine.BeginFill(ours[n]);
      }
    } else {
      context_.engine.GetBatch({ours.data(), waiting}, monotonic, answers.data());
    }
    for (size_t n = 0; n < waiting; ++n) {
      const EntryKey& key = ours[n];
      if (!answers[n].found) {
        if (watched) context_.activity->OnMiss(key.hash, monotonic);
        NoteTraffic(*name_space, TrafficKind::kMiss, key, monotonic);
        misses.push_back(Miss{indexes[n], key, answers[n].token});
        continue;
      }
      Entry& entry = answers[n].entry;
      if (watched && OnL1Hit(context_, *name_space, policy, key, entry, monotonic)) {
        Refresh(*name_space, key, entry.version);
      }
      ++hits;
      ReadResult& result = results[indexes[n]];
      result.state = EntryState::kOk;
      result.tier = Tier::kL1;
      result.encoding = entry.encoding;
      encoded |= entry.encoding != Encoding::kIdentity;
      result.raw_size = entry.raw_size;
      result.version = entry.version;
      result.ttl = entry.expires_at - monotonic;
      result.age = std::max(wall - entry.version.time(), absl::ZeroDuration());
      // Without L2 it would be written anew; with it, it would come back for what is left there.
      NoteEntry(*name_space, TrafficKind::kHit, key, EntryCharge(key.key.size(), entry),
                {.given = context_.l1_only ? result.ttl + result.age
                                           : std::max(policy.l1_ttl, result.ttl)},
                monotonic);
      result.value = std::move(entry.value);
    }
    waiting = 0;
  };
  for (uint32_t i = 0; i < request.keys.size(); ++i) {
    EntryKey key;
    key.key = request.keys[i];
    key.slot = SlotOf(request.name_space, key.key);
    const uint16_t owner = topology->OwnerIndex(key.slot);
    if (owner != self || self == Topology::kNoOwner) {
      if (request.caller == Caller::kPeer) {
        SetError(NotOwnerError(*topology, key.slot, context_.node_id), &results[i]);
      } else if (owner == Topology::kNoOwner) {
        ownerless.push_back(i);
      } else {
        AddToGroup(owner, i, &groups);
      }
      continue;
    }
    key.name_space = name_space->id;
    key.hash = context_.engine.HashOf(key.name_space, key.key);
    ours[waiting] = key;
    indexes[waiting] = i;
    if (++waiting == batch) look_up();
  }
  if (waiting > 0) look_up();
  if (hits > 0) Count(name_space->counters.l1_hits, hits);
  if (!ownerless.empty() && context_.l1_only) {
    for (const uint32_t i : ownerless) {
      SetError(Error{grpc::StatusCode::UNAVAILABLE, reason::kNoOwner,
                     "no node of the region owns the key's slot yet", {}},
               &results[i]);
    }
    ownerless.clear();
  }
  if (misses.empty() && ownerless.empty() && groups.empty()) {
    if (encoded && !request.options.accept_encoded) {
      InflateValues(request.options.omit_value, name_space->counters.compression, &results);
    }
    callback(std::move(results));
    return;
  }
  std::make_shared<Call>(context_, request, *name_space, policy, topology, std::move(results),
                         std::move(callback))
      ->Start(std::move(misses), std::move(ownerless), std::move(groups));
}

}  // namespace meridian
