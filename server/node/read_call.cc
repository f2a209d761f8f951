#include "server/node/read_call.h"

#include <atomic>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/node/read_path.h"
#include "server/node/value_codec.h"

namespace meridian {
namespace {

// One wait for the holders of leases at one of several owners, at least.
constexpr absl::Duration kShortestWait = absl::Milliseconds(50);

void Add(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.fetch_add(n, std::memory_order_relaxed);
}

}  // namespace

void ReadCall::Start(const std::vector<MissedKey>& misses, std::vector<uint32_t> ownerless,
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

void ReadCall::Await(const std::vector<MissedKey>& keys, bool around) {
  pending_.fetch_add(static_cast<int>(keys.size()), std::memory_order_relaxed);
  std::vector<MissPath::Wait> waits =
      misses_.Get(name_space_, policies_, request_, keys, around, shared_from_this());
  {
    absl::MutexLock lock(&mu_);
    if (!gave_up_) {
      for (MissPath::Wait& wait : waits) waits_.push_back(std::move(wait));
      waits.clear();
      if (timer_.sequence == 0) timer_ = TimerAt(LowerDeadline(), &ReadCall::GiveUp);
      if (WaitsForLeases() && lease_timer_.sequence == 0 && wait_ends_ < LowerDeadline()) {
        lease_timer_ = TimerAt(wait_ends_, &ReadCall::EndLeaseWaits);
      }
    }
  }
  for (const MissPath::Wait& wait : waits) misses_.Leave(wait);
  // A lease that came while they joined did not find them among the waits.
  if (wants_leases_ && !WaitsForLeases()) EndLeaseWaits();
}

TimerQueue::Id ReadCall::TimerAt(absl::Time when, void (ReadCall::*run)()) {
  return context_.timers.Add(context_.clock.Monotonic() + (when - context_.clock.Now()),
                             [self = shared_from_this(), run] { (self.get()->*run)(); });
}

void ReadCall::EndLeaseWaits() {
  may_wait_.store(false, std::memory_order_release);
  std::vector<MissPath::Wait> waits;
  {
    absl::MutexLock lock(&mu_);
    waits = waits_;
  }
  for (const MissPath::Wait& wait : waits) misses_.EndLeaseWait(wait);
}

void ReadCall::GiveUp() {
  std::vector<MissPath::Wait> waits;
  {
    absl::MutexLock lock(&mu_);
    gave_up_ = true;
    waits.swap(waits_);
  }
  for (const MissPath::Wait& wait : waits) misses_.Leave(wait);
}

void ReadCall::Land(const Waiter& waiter, const Landing& landing) {
  Take(landing, &results_[waiter.index]);
  if (request_.options.warm_source.empty()) {
    Count(waiter.slot, landing);
  } else {
    NoteKept(waiter, &results_[waiter.index]);
  }
  if (!landing.lease.empty() && WaitsForLeases()) EndLeaseWaits();
  Done();
}

void ReadCall::NoteKept(const Waiter& waiter, ReadResult* result) const {
  const std::string_view bytes = request_.keys[waiter.index];
  const EntryKey key{name_space_.id, waiter.slot, context_.engine.HashOf(name_space_.id, bytes),
                     bytes};
  Entry entry;
  result->not_kept = result->state == EntryState::kOk &&
                     !context_.engine.Peek(key, context_.clock.Monotonic(), &entry);
}

void ReadCall::Count(uint32_t slot, const Landing& landing) const {
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

void ReadCall::Take(const Landing& landing, ReadResult* result) const {
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

void ReadCall::FetchAround(const std::vector<uint32_t>& indexes) {
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

void ReadCall::Forward(const TopologyHolder::Snapshot& topology, OwnerGroup group, bool first) {
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

bool ReadCall::MayBeFilled() const {
  return policies_.base().origin.enabled() || request_.options.want_lease;
}

bool ReadCall::StillLoads(const ReadResult& answer) const {
  return policies_.base().origin.enabled() && !request_.options.force_refresh &&
         answer.state == EntryState::kError && answer.error->reason == reason::kDeadlineExceeded;
}

void ReadCall::TakeReply(const TopologyHolder::Snapshot& topology, OwnerGroup group,
                         PeerReadReply reply, Attempt attempt, bool first) {
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
  if (first && newer->epoch() > topology_->epoch()) {
    Reroute(newer, std::move(moved));
  } else if (context_.l1_only && LowerDeadline() - now > kOwnerChanging + 3 * kReplyMargin) {
    AskLater(std::move(moved));
  } else {
    GoAround(std::move(moved), absl::UnavailableError("the owner is changing"));
  }
}

void ReadCall::AskLater(std::vector<uint32_t> indexes) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  context_.timers.Add(context_.clock.Monotonic() + kOwnerChanging,
                      [self = shared_from_this(), indexes = std::move(indexes)] {
                        self->Reroute(self->context_.topology.Get(), indexes);
                        self->Done();
                      });
}

void ReadCall::Reroute(const TopologyHolder::Snapshot& newer, std::vector<uint32_t> indexes) {
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

void ReadCall::GoAround(std::vector<uint32_t> indexes, const absl::Status& why) {
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

void ReadCall::Done() {
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

bool ReadCall::WaitAtOnePlace() {
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

void ReadCall::StopTimers() {
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

void ReadCall::InflateAndAnswer() {
  InflateValues(request_.options.omit_value, name_space_.counters.compression, &results_);
  callback_(std::move(results_));
}

}  // namespace meridian
