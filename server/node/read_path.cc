#include "server/node/read_path.h"

#include <algorithm>
#include <array>
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
#include "server/node/absence.h"
#include "server/node/entry_rules.h"
#include "server/node/key_form.h"
#include "server/node/routing.h"
#include "server/node/value_codec.h"

namespace meridian {
namespace {

// One wait for the holders of leases at one of several owners, at least.
constexpr absl::Duration kShortestWait = absl::Milliseconds(50);

void Add(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.fetch_add(n, std::memory_order_relaxed);
}

}  // namespace

// One request that L1 could not answer completely. Lives until its last part has come back.
class ReadPath::Call final : public FlightWaiter,
                             public std::enable_shared_from_this<ReadPath::Call> {
 public:
  Call(ReadPath& path, const NodeContext& context, MissPath& misses, const ReadRequest& request,
       const Namespace& name_space, const SlotPolicies& policies, TopologyHolder::Snapshot topology,
       std::vector<ReadResult> results, ReadCallback callback, absl::Duration began)
      : path_(path),
        context_(context),
        misses_(misses),
        request_(request),
        name_space_(name_space),
        policies_(policies),
        topology_(std::move(topology)),
        results_(std::move(results)),
        callback_(std::move(callback)),
        began_(began),
        wants_leases_(request.options.want_lease && !policies.base().origin.enabled()),
        wait_ends_(std::min(LowerDeadline(), context.clock.Now() + request.options.lease_wait)) {}

  // Starts every part and answers when the last is back.
  void Start(const std::vector<MissedKey>& misses, std::vector<uint32_t> ownerless,
             OwnerGroups groups) {
    pending_ = 1;  // Held by Start itself, so that early answers cannot finish the call.
    // A lease that one owner gives would be held while another is waited for: first the leases that
    // are free, from all of them.
    const size_t places = groups.size() + (misses.empty() ? 0 : 1);
    if (places > 1 || request_.options.lease_wait <= absl::ZeroDuration()) may_wait_ = false;
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
        misses_.Get(name_space_, policies_, request_, keys, around, shared_from_this());
    {
      absl::MutexLock lock(&mu_);
      if (!gave_up_) {
        for (MissPath::Wait& wait : waits) waits_.push_back(std::move(wait));
        waits.clear();
        if (timer_.sequence == 0) timer_ = TimerAt(LowerDeadline(), &Call::GiveUp);
        if (WaitsForLeases() && lease_timer_.sequence == 0 && wait_ends_ < LowerDeadline()) {
          lease_timer_ = TimerAt(wait_ends_, &Call::EndLeaseWaits);
        }
      }
    }
    for (const MissPath::Wait& wait : waits) misses_.Leave(wait);
    // A lease that came while they joined did not find them among the waits.
    if (wants_leases_ && !WaitsForLeases()) EndLeaseWaits();
  }

  TimerQueue::Id TimerAt(absl::Time when, void (Call::*run)()) {
    return context_.timers.Add(context_.clock.Monotonic() + (when - context_.clock.Now()),
                               [self = shared_from_this(), run] { (self.get()->*run)(); });
  }

  bool WaitsForLeases() const override { return may_wait_.load(std::memory_order_acquire); }

  // The call has a lease, or has waited long enough: it waits for no other holder.
  void EndLeaseWaits() {
    may_wait_.store(false, std::memory_order_release);
    std::vector<MissPath::Wait> waits;
    {
      absl::MutexLock lock(&mu_);
      waits = waits_;
    }
    for (const MissPath::Wait& wait : waits) misses_.EndLeaseWait(wait);
  }

  // The deadline has come: what is not there is not waited for.
  void GiveUp() {
    std::vector<MissPath::Wait> waits;
    {
      absl::MutexLock lock(&mu_);
      gave_up_ = true;
      waits.swap(waits_);
    }
    for (const MissPath::Wait& wait : waits) misses_.Leave(wait);
  }

  void Land(const Waiter& waiter, const Landing& landing) override {
    if (request_.options.warm_source.empty()) Count(waiter.slot, landing);
    Take(landing, &results_[waiter.index]);
    if (!landing.lease.empty() && WaitsForLeases()) EndLeaseWaits();
    Done();
  }

  // Of a read that somebody waits for.
  void Count(uint32_t slot, const Landing& landing) const {
    NamespaceCounters& counters = name_space_.counters;
    ReadFigures& figures = *name_space_.figures;
    const size_t version = figures.IndexOf(policies_.VersionOf(slot));
    if (landing.state == EntryState::kError) {
      Add(counters.errors, 1);
      figures.CountError(version);
      return;
    }
    figures.Count(version,
                  landing.tier == Tier::kL1   ? ReadTier::kL1
                  : landing.tier == Tier::kL2 ? ReadTier::kL2
                                              : ReadTier::kMiss,
                  context_.clock.Monotonic() - began_);
    // What the origin has said is a miss of the tiers before it, whatever it said.
    Add(landing.tier == Tier::kL1   ? counters.l1_hits
        : landing.tier == Tier::kL2 ? counters.l2_hits
                                    : counters.misses,
        1);
    if (landing.state != EntryState::kOk) {
      if (landing.tier == Tier::kL1 || landing.tier == Tier::kL2) {
        Add(counters.origin.negative_hits, 1);
      }
    } else if (landing.tier == Tier::kOrigin) {
      Add(counters.origin.answers, 1);
    }
  }

  void Take(const Landing& landing, ReadResult* result) const {
    result->tier = landing.tier;
    result->fleeting = landing.fleeting;
    result->lease = landing.lease;
    result->lease_taken = landing.lease_taken;
    if (landing.state == EntryState::kError) {
      SetError(*landing.error, result);
      return;
    }
    if (landing.state != EntryState::kOk) return;
    const absl::Time now = context_.clock.Now();
    const absl::Duration ttl = landing.expires_at - now;
    result->state = EntryState::kOk;
    result->version = landing.version;
    if (request_.options.with_tags) {
      result->tags = landing.tags;
      result->written = landing.written;
    }
    result->value = landing.value;
    result->encoding = landing.encoding;
    result->raw_size = landing.raw_size;
    result->ttl = std::max(ttl, absl::ZeroDuration());
    result->age = std::max(now - landing.version.time(), absl::ZeroDuration());
    result->stale = landing.stale || ttl <= absl::ZeroDuration();
    if (result->stale && request_.options.warm_source.empty()) {
      Add(name_space_.counters.origin.stale_answers, 1);
    }
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

  // An answer before these times is the owner's last word.
  struct Attempt {
    absl::Time ends;
    absl::Time waits_until;  // For who has leases.
  };

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
    // A load by force is the owner's own: an attempt that ends before it has nothing of it.
    const bool whole = request_.options.force_refresh && policies_.base().origin.enabled();
    const absl::Duration left = LowerDeadline() - now;
    const absl::Time deadline = now + (whole ? left : PeerAttempt(left));
    Attempt attempt{deadline, absl::InfinitePast()};
    if (wants_leases_) {
      // Its answer must be back before the attempt ends: it may have a lease.
      const absl::Duration wait = std::min(wait_ends_ - now, (deadline - now) * 0.75);
      read.options.lease_wait =
          WaitsForLeases() ? std::max(wait, absl::ZeroDuration()) : absl::ZeroDuration();
      attempt.waits_until = now + read.options.lease_wait;
    }
    context_.peers.Read(owner, read, deadline,
                        [self = shared_from_this(), topology, group = std::move(group), first,
                         attempt](PeerReadReply reply) mutable {
                          self->TakeReply(topology, std::move(group), std::move(reply), attempt,
                                          first);
                          self->Done();
                        });
  }

  // Whether the owner may wait for somebody who fills the key.
  bool MayBeFilled() const {
    return policies_.base().origin.enabled() || request_.options.want_lease;
  }

  // Whether the owner, which is alive, still waits for the origin. An attempt takes only a part of
  // our time.
  bool StillLoads(const ReadResult& answer) const {
    return policies_.base().origin.enabled() && !request_.options.force_refresh &&
           answer.state == EntryState::kError && answer.error->reason == reason::kDeadlineExceeded;
  }

  void TakeReply(const TopologyHolder::Snapshot& topology, OwnerGroup group, PeerReadReply reply,
                 Attempt attempt, bool first) {
    const absl::Time now = context_.clock.Now();
    if (!reply.status.ok()) {
      // Only its word may be late: who goes around it loads beside it.
      if (absl::IsDeadlineExceeded(reply.status) && !group.was_late && MayBeFilled() &&
          LowerDeadline() - now > 3 * kReplyMargin) {
        group.was_late = true;
        Forward(topology, std::move(group), first);
      } else {
        GoAround(std::move(group.indexes), reply.status);
      }
      return;
    }
    std::vector<uint32_t> moved;
    OwnerGroup again{.owner = group.owner, .indexes = {}};
    const bool has_time = LowerDeadline() - now > 3 * kReplyMargin;
    const bool whole_attempt = now + 2 * kReplyMargin >= attempt.ends;
    const bool whole_wait = now + 2 * kReplyMargin >= attempt.waits_until;
    for (const ReadResult& answer : reply.results) {
      if (!answer.lease.empty()) may_wait_.store(false, std::memory_order_release);
    }
    const bool waits = WaitsForLeases() && whole_wait && wait_ends_ - now > 3 * kReplyMargin;
    for (size_t i = 0; i < group.indexes.size(); ++i) {
      ReadResult& answer = reply.results[i];
      if (answer.state == EntryState::kError && answer.error->reason == reason::kNotOwner) {
        moved.push_back(group.indexes[i]);
      } else if (has_time &&
                 ((whole_attempt && StillLoads(answer)) || (waits && answer.lease_taken))) {
        again.indexes.push_back(group.indexes[i]);
      } else {
        results_[group.indexes[i]] = std::move(answer);
      }
    }
    if (!again.indexes.empty()) Forward(topology, std::move(again), first);
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
    if (groups.size() > 1) may_wait_ = false;  // As in Start.
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
    StopTimers();
    if (wants_leases_ && WaitAtOnePlace()) return;
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

  // Waits for keys that others fill, of one owner: the next one in turn. False: there is no reason
  // to wait. A call that got a lease, from whatever owner, has its answer.
  bool WaitAtOnePlace() {
    const absl::Duration left = wait_ends_ - context_.clock.Now();
    if (request_.caller == Caller::kPeer || left <= 3 * kReplyMargin) return false;
    const TopologyHolder::Snapshot topology = context_.topology.Get();
    OwnerGroups groups;
    for (uint32_t i = 0; i < results_.size(); ++i) {
      if (!results_[i].lease.empty()) return false;
      if (!results_[i].lease_taken) continue;
      const uint16_t owner = topology->OwnerIndex(SlotOf(name_space_.name, request_.keys[i]));
      if (owner != Topology::kNoOwner) AddToGroup(owner, i, &groups);
    }
    if (groups.empty()) return false;
    const std::vector<uint32_t> indexes = std::move(groups[turn_++ % groups.size()].indexes);
    auto request = std::make_shared<ReadRequest>(request_);
    request->keys.clear();
    for (const uint32_t index : indexes) request->keys.push_back(request_.keys[index]);
    request->options.accept_encoded = true;  // Inflated here, once.
    request->options.lease_wait =
        std::max(left / static_cast<int64_t>(groups.size()), std::min(left, kShortestWait));
    pending_.store(1, std::memory_order_relaxed);
    path_.Read(*request,
               [self = shared_from_this(), request, indexes](std::vector<ReadResult> results) {
                 for (size_t i = 0; i < indexes.size(); ++i) {
                   self->results_[indexes[i]] = std::move(results[i]);
                 }
                 self->Done();
               });
    return true;
  }

  void StopTimers() {
    TimerQueue::Id timer;
    TimerQueue::Id lease_timer;
    {
      absl::MutexLock lock(&mu_);
      waits_.clear();
      timer = std::exchange(timer_, {});
      lease_timer = std::exchange(lease_timer_, {});
    }
    if (timer.sequence != 0) context_.timers.Cancel(timer);
    if (lease_timer.sequence != 0) context_.timers.Cancel(lease_timer);
  }

  void InflateAndAnswer() {
    InflateValues(request_.options.omit_value, name_space_.counters.compression, &results_);
    callback_(std::move(results_));
  }

  ReadPath& path_;
  const NodeContext& context_;
  MissPath& misses_;
  const ReadRequest& request_;
  const Namespace& name_space_;
  const SlotPolicies& policies_;
  const TopologyHolder::Snapshot topology_;
  // Parts write disjoint elements; the last Done() synchronises with all of them.
  std::vector<ReadResult> results_;
  ReadCallback callback_;
  const absl::Duration began_;
  const bool wants_leases_;
  const absl::Time wait_ends_;  // Of the waiting for those who have leases.
  // Never again true once it is false: a lease may be in the call, which others wait for.
  std::atomic<bool> may_wait_{true};
  size_t turn_ = 0;  // Of WaitAtOnePlace.
  std::atomic<int> pending_{0};
  absl::Mutex mu_;
  std::vector<MissPath::Wait> waits_ ABSL_GUARDED_BY(mu_);
  TimerQueue::Id timer_ ABSL_GUARDED_BY(mu_);
  TimerQueue::Id lease_timer_ ABSL_GUARDED_BY(mu_);
  bool gave_up_ ABSL_GUARDED_BY(mu_) = false;
};

bool ReadPath::ReadMirror(const ReadRequest& request, const Namespace& name_space,
                          const KeyPolicy& form, std::string_view key, const Member& owner,
                          ReadResult* result) {
  // Who wants what is true now asks the owner. Who wants the right to fill a missing key finds that
  // it is not missing.
  if (request.options.force_refresh) return false;
  if (!request.options.warm_source.empty()) return false;  // The copy is the mirror's affair.
  // The mirror would ask for it by this name, which its owner takes for a caller's.
  if (!KeepsForm(form, key)) return false;
  ReadResult mirrored;
  if (!mirrors_->Read(request.name_space, key, owner, &mirrored)) return false;
  const uint64_t written = mirrored.written != 0 ? mirrored.written : mirrored.version.hlc;
  // Fences are in force here when they are confirmed, whatever the owner's stream has told so far.
  if (context_.engine.fences().Covers(name_space.id, key, mirrored.tags.view(), written)) {
    return false;
  }
  if (!request.options.with_tags) {
    mirrored.tags = Buffer();
    mirrored.written = 0;
  }
  if (name_space.rates.IsSampled()) {
    name_space.rates.Count(context_.engine.HashOf(name_space.id, key), key,
                           context_.clock.Monotonic());
  }
  *result = std::move(mirrored);
  return true;
}

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
  const SlotPolicies& policies =
      request.policies == nullptr ? name_space->policies() : *request.policies;
  const bool warms = !request.options.warm_source.empty();
  const bool watched = policies.Any(WatchesKeys) && !warms;
  const absl::Duration monotonic = context_.clock.Monotonic();
  const absl::Time wall = context_.clock.Now();
  std::vector<MissedKey> misses;
  std::vector<uint32_t> ownerless;
  OwnerGroups groups;
  // By the version of the policies of their slots.
  std::array<uint64_t, ReadFigures::kVersions> hits = {};
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
      context_.engine.GetBatch({ours.data(), waiting}, monotonic, answers.data(),
                               warms ? LookKind::kWarming : LookKind::kRequest);
    }
    for (size_t n = 0; n < waiting; ++n) {
      const EntryKey& key = ours[n];
      if (!warms && name_space->rates.IsSampled()) {
        name_space->rates.Count(key.hash, key.key, monotonic);
      }
      if (!answers[n].found) {
        if (watched) context_.activity->OnMiss(key.hash, monotonic);
        if (!warms) NoteTraffic(*name_space, TrafficKind::kMiss, key, monotonic);
        misses.push_back(MissedKey{indexes[n], key, answers[n].token});
        continue;
      }
      Entry& entry = answers[n].entry;
      const NamespacePolicy& policy = policies.Of(key.slot);
      if (watched) {
        switch (OnL1Hit(context_, *name_space, policy, key, entry, monotonic)) {
          case HitFollowUp::kNothing:
            break;
          case HitFollowUp::kReadL2:
            misses_.Refresh(*name_space, key, entry.version);
            break;
          case HitFollowUp::kLoad:
            misses_.Reload(*name_space, key);
            break;
        }
      }
      ++hits[name_space->figures->IndexOf(policies.VersionOf(key.slot))];
      ReadResult& result = results[indexes[n]];
      if (IsAbsence(entry)) {
        if (!warms) Add(name_space->counters.origin.negative_hits, 1);
        result.tier = Tier::kL1;
        continue;
      }
      result.state = EntryState::kOk;
      result.tier = Tier::kL1;
      result.encoding = entry.encoding;
      encoded |= entry.encoding != Encoding::kIdentity;
      result.raw_size = entry.raw_size;
      result.version = entry.version;
      result.ttl = entry.expires_at - monotonic;
      result.age = std::max(wall - entry.version.time(), absl::ZeroDuration());
      // Without L2 it would be written anew; with it, it would come back for what is left there.
      if (!warms) {
        NoteEntry(*name_space, TrafficKind::kHit, key, EntryCharge(key.key.size(), entry),
                  {.given = context_.l1_only ? result.ttl + result.age
                                             : std::max(policy.l1_ttl, result.ttl)},
                  monotonic);
      }
      if (request.options.with_tags) {
        result.tags = std::move(entry.tags);
        result.written = entry.written;
      }
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
      } else if (mirrors_ != nullptr &&
                 ReadMirror(request, *name_space, policies.base().key, key.key,
                            topology->members()[owner], &results[i])) {
        ++hits[name_space->figures->IndexOf(policies.VersionOf(key.slot))];
        encoded |= results[i].encoding != Encoding::kIdentity;
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
  for (size_t version = 0; version < hits.size() && !warms; ++version) {
    if (hits[version] == 0) continue;
    Add(name_space->counters.l1_hits, hits[version]);
    name_space->figures->Count(version, ReadTier::kL1, context_.clock.Monotonic() - monotonic,
                               hits[version]);
  }
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
  std::make_shared<Call>(*this, context_, misses_, request, *name_space, policies, topology,
                         std::move(results), std::move(callback), monotonic)
      ->Start(misses, std::move(ownerless), std::move(groups));
}

}  // namespace meridian
