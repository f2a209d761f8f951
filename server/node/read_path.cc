#include "server/node/read_path.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/node/entry_rules.h"
#include "server/node/routing.h"
#include "server/node/value_codec.h"

namespace meridian {
namespace {

void Count(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.fetch_add(n, std::memory_order_relaxed);
}

}  // namespace

// One request that L1 could not answer completely. Lives until its last part has come back.
class ReadPath::Call final : public FlightWaiter,
                             public std::enable_shared_from_this<ReadPath::Call> {
 public:
  Call(const NodeContext& context, MissPath& misses, const ReadRequest& request,
       const Namespace& name_space, const NamespacePolicy& policy,
       TopologyHolder::Snapshot topology, std::vector<ReadResult> results, ReadCallback callback)
      : context_(context),
        misses_(misses),
        request_(request),
        name_space_(name_space),
        policy_(policy),
        topology_(std::move(topology)),
        results_(std::move(results)),
        callback_(std::move(callback)) {}

  // Starts every part and answers when the last is back.
  void Start(const std::vector<MissedKey>& misses, std::vector<uint32_t> ownerless,
             OwnerGroups groups) {
    pending_ = 1;  // Held by Start itself, so that early answers cannot finish the call.
    if (!misses.empty()) Await(misses, /*around=*/false);
    if (!ownerless.empty()) FetchAround(std::move(ownerless));
    for (OwnerGroup& group : groups) Forward(topology_, std::move(group), /*first=*/true);
    Done();
  }

 private:
  absl::Time LowerDeadline() const { return request_.deadline - kReplyMargin; }

  // Waits for keys that L1 does not have, at most until the deadline.
  void Await(const std::vector<MissedKey>& keys, bool around) {
    pending_.fetch_add(static_cast<int>(keys.size()), std::memory_order_relaxed);
    std::vector<MissPath::Wait> waits =
        misses_.Get(name_space_, policy_, request_, keys, around, shared_from_this());
    {
      absl::MutexLock lock(&mu_);
      if (!gave_up_) {
        for (MissPath::Wait& wait : waits) waits_.push_back(std::move(wait));
        waits.clear();
        if (timer_.sequence == 0) {
          const absl::Duration left = LowerDeadline() - context_.clock.Now();
          timer_ = context_.timers.Add(context_.clock.Monotonic() + left,
                                       [self = shared_from_this()] { self->GiveUp(); });
        }
      }
    }
    for (const MissPath::Wait& wait : waits) Leave(wait);
  }

  // The deadline has come: what is not there is not waited for.
  void GiveUp() {
    std::vector<MissPath::Wait> waits;
    {
      absl::MutexLock lock(&mu_);
      gave_up_ = true;
      waits.swap(waits_);
    }
    for (const MissPath::Wait& wait : waits) Leave(wait);
  }

  void Leave(const MissPath::Wait& wait) {
    const std::optional<Waiter> waiter = misses_.Leave(wait);
    if (!waiter) return;
    Land(waiter->index, TooLate());
  }

  static const Landing& TooLate() {
    static const Landing* const landing = [] {
      auto* late = new Landing();
      late->state = EntryState::kError;
      late->error =
          std::make_shared<const Error>(Error{grpc::StatusCode::DEADLINE_EXCEEDED,
                                              reason::kDeadlineExceeded,
                                              "the value did not come before the deadline",
                                              {}});
      return late;
    }();
    return *landing;
  }

  void Land(uint32_t index, const Landing& landing) override {
    Take(landing, &results_[index]);
    Done();
  }

  void Take(const Landing& landing, ReadResult* result) const {
    switch (landing.state) {
      case EntryState::kError:
        Count(name_space_.counters.errors, 1);
        SetError(*landing.error, result);
        return;
      case EntryState::kOk:
        break;
      default:
        Count(name_space_.counters.misses, 1);
        return;
    }
    Count(landing.tier == Tier::kL1 ? name_space_.counters.l1_hits : name_space_.counters.l2_hits,
          1);
    const absl::Time now = context_.clock.Now();
    const absl::Duration ttl = landing.expires_at - now;
    result->state = EntryState::kOk;
    result->tier = landing.tier;
    result->version = landing.version;
    if (request_.options.with_tags) result->tags = landing.tags;
    result->value = landing.value;
    result->encoding = landing.encoding;
    result->raw_size = landing.raw_size;
    result->ttl = std::max(ttl, absl::ZeroDuration());
    result->age = std::max(now - landing.version.time(), absl::ZeroDuration());
    result->stale = ttl <= absl::ZeroDuration();
  }

  // Looks for keys whose owner is unknown or does not answer. Does not touch L1.
  void FetchAround(const std::vector<uint32_t>& indexes) {
    std::vector<MissedKey> keys;
    keys.reserve(indexes.size());
    for (const uint32_t index : indexes) {
      const std::string_view bytes = request_.keys[index];
      keys.push_back({index,
                      EntryKey{name_space_.id, SlotOf(name_space_.name, bytes),
                               context_.engine.HashOf(name_space_.id, bytes), bytes},
                      FillToken()});
    }
    Await(keys, /*around=*/true);
  }

  // Asks the owner. When the topology turns out to be old, asks the new owner once; when the owner
  // does not answer, goes around it.
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
    context_.peers.Read(
        owner, read, deadline,
        [self = shared_from_this(), group = std::move(group), first](PeerReadReply reply) mutable {
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
      SetError(Error{grpc::StatusCode::UNAVAILABLE,
                     reason::kOwnerUnavailable,
                     absl::StrCat("the key's owner does not answer: ", std::string(why.message())),
                     {}},
               &results_[index]);
    }
  }

  void Done() {
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    StopTimer();
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

  void StopTimer() {
    TimerQueue::Id timer;
    {
      absl::MutexLock lock(&mu_);
      waits_.clear();
      timer = timer_;
    }
    if (timer.sequence != 0) context_.timers.Cancel(timer);
  }

  void InflateAndAnswer() {
    InflateValues(request_.options.omit_value, name_space_.counters.compression, &results_);
    callback_(std::move(results_));
  }

  const NodeContext& context_;
  MissPath& misses_;
  const ReadRequest& request_;
  const Namespace& name_space_;
  const NamespacePolicy& policy_;
  const TopologyHolder::Snapshot topology_;
  // Parts write disjoint elements; the last Done() synchronises with all of them.
  std::vector<ReadResult> results_;
  ReadCallback callback_;
  std::atomic<int> pending_{0};
  absl::Mutex mu_;
  std::vector<MissPath::Wait> waits_ ABSL_GUARDED_BY(mu_);
  TimerQueue::Id timer_ ABSL_GUARDED_BY(mu_);
  bool gave_up_ ABSL_GUARDED_BY(mu_) = false;
};

void ReadPath::Read(const ReadRequest& request, ReadCallback callback) {
  std::vector<ReadResult> results(request.keys.size());
  const Namespace* name_space = context_.namespaces.Resolve(request.name_space);
  if (name_space == nullptr) {
    for (ReadResult& result : results)
      SetError(TooManyNamespacesError(request.name_space), &result);
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
  std::vector<MissedKey> misses;
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
        misses.push_back(MissedKey{indexes[n], key, answers[n].token});
        continue;
      }
      Entry& entry = answers[n].entry;
      if (watched && OnL1Hit(context_, *name_space, policy, key, entry, monotonic)) {
        misses_.Refresh(*name_space, key, entry.version);
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
      if (request.options.with_tags) result.tags = std::move(entry.tags);
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
      SetError(Error{grpc::StatusCode::UNAVAILABLE,
                     reason::kNoOwner,
                     "no node of the region owns the key's slot yet",
                     {}},
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
  std::make_shared<Call>(context_, misses_, request, *name_space, policy, topology,
                         std::move(results), std::move(callback))
      ->Start(misses, std::move(ownerless), std::move(groups));
}

}  // namespace meridian
