#include "server/node/miss_path.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "server/node/absence.h"
#include "server/node/entry_rules.h"
#include "server/node/l1_fill.h"
#include "server/node/routing.h"

namespace meridian {
namespace {

// A look into L2 gets this long at most.
constexpr absl::Duration kReadTime = absl::Seconds(1);

// Of the callers of one flight, so many are answered without a break.
constexpr size_t kAnswersAtOnce = 64;

}  // namespace

std::vector<MissPath::Wait> MissPath::Get(const Namespace& name_space, const SlotPolicies& policies,
                                          const ReadRequest& request,
                                          std::span<const MissedKey> keys, bool around,
                                          const std::shared_ptr<FlightWaiter>& who) {
  const FlightKind kind = around                          ? FlightKind::kAround
                          : request.options.force_refresh ? FlightKind::kForced
                                                          : FlightKind::kOwned;
  const bool leases = request.options.want_lease && !policies.base().origin.enabled();
  Waiter waiter{who, 0, 0, absl::ZeroDuration(), request.options.want_lease};
  waiter.fences = context_.engine.fences().changes();
  if (!request.options.warm_source.empty()) {
    waiter.warm_source = context_.engine.InternWarmSource(request.options.warm_source);
  }
  std::vector<Wait> waits;
  waits.reserve(keys.size());
  std::vector<FlightPtr> begun;
  for (const MissedKey& key : keys) {
    const NamespacePolicy& policy = policies.Of(key.key.slot);
    waiter.index = key.index;
    waiter.slot = key.key.slot;
    waiter.max_stale = std::min(request.options.max_stale, policy.stale_max);
    waiter.token = key.token;
    // While nobody tells what is written to the key, a look that has begun is nobody else's, as
    // when an owner is gone around. A lease is given by the owner alone, heard of or not.
    const bool shares = kind != FlightKind::kOwned || leases || context_.Follows(key.key.slot);
    const FlightTable::Joined joined =
        flights_.Join(name_space, policies, shares ? kind : FlightKind::kAround, key.key,
                      request.request_id, waiter);
    if (joined.flight == nullptr) {
      Landing full;
      full.state = EntryState::kError;
      full.error = std::make_shared<const Error>(
          Error{grpc::StatusCode::RESOURCE_EXHAUSTED,
                reason::kOverloaded,
                "too many calls of this node wait for L2 or an origin",
                {}});
      who->Land(waiter, full);
      continue;
    }
    waits.push_back({joined.flight, joined.id});
    if (joined.lead) {
      begun.push_back(joined.flight);
    } else {
      if (joined.void_lease.is_set()) VoidLease(joined.flight, joined.void_lease);
      AfterJoin(joined.flight, joined.id);
    }
  }
  if (!begun.empty()) Begin(std::move(begun), request.deadline);
  return waits;
}

void MissPath::Leave(const Wait& wait) {
  static const auto* const too_late = new std::shared_ptr<const Error>(
      std::make_shared<const Error>(Error{grpc::StatusCode::DEADLINE_EXCEEDED,
                                          reason::kDeadlineExceeded,
                                          "the value did not come before the deadline",
                                          {}}));
  const std::optional<Waiter> waiter = wait.flight->Take(wait.id);
  if (!waiter) return;
  flights_.Left();
  Landing landing;
  std::optional<Landing> old;
  {
    absl::MutexLock lock(&wait.flight->mu);
    old = OldOf(*wait.flight);
    // Who waited for somebody else to fill the key has missed; nothing failed.
    if (wait.flight->phase == FlightPhase::kLeased) {
      landing.lease_taken = waiter->want_lease;
    } else {
      landing.state = EntryState::kError;
      landing.error = *too_late;
    }
  }
  waiter->who->Land(*waiter, AnswerFor(*waiter, landing, old, context_.clock.Now()));
}

void MissPath::BeginAnew(Flight& flight) const {
  flight.fences = context_.engine.fences().changes();
  const FillToken token = context_.engine.BeginFill(flight.key());
  if (token.generation != flight.token.generation) flight.old.reset();
  flight.token = token;
}

void MissPath::LookAgain(Flight& flight) const {
  BeginAnew(flight);
  flight.old.reset();
  flight.version = {};
  flight.phase = FlightPhase::kReading;
  flight.soft_is_over = false;
  flight.l2_away = false;
}

bool MissPath::IsLate(const Flight& flight, const Waiter& waiter, const Landing& landing) const {
  // Whom others do not join has nobody who knows more; and an error is no old value.
  if (flight.kind != FlightKind::kOwned || landing.state == EntryState::kError) return false;
  if (waiter.BeganAfterDropOf(flight.token)) return true;
  if (waiter.token.change > flight.token.change && flight.watch.newest() > landing.version) {
    return true;
  }
  const bool known = landing.state == EntryState::kOk || landing.tier != Tier::kNone;
  return known && waiter.fences > flight.fences && context_.fences != nullptr &&
         context_.fences->Covers(flight.name_space.id, flight.key().key, landing.tags.view(),
                                 landing.written_hlc());
}

std::optional<Landing> MissPath::OldOf(Flight& flight) const {
  // It stays until the load or lease has ended: what came meanwhile may have deleted it.
  if (flight.old && (flight.watch.newest() > flight.old->version ||
                     context_.IsFenced(flight.name_space.id, flight.key(), flight.old->tags.view(),
                                       flight.old->written_hlc()))) {
    flight.old.reset();
  }
  return flight.old;
}

std::optional<Landing> MissPath::ExpiredOf(Flight& flight) const {
  std::optional<Landing> old = OldOf(flight);
  // Who forces a load of what lives on has seen it: he gets it only when the load fails.
  if (old && old->expires_at > context_.clock.Now()) old.reset();
  return old;
}

void MissPath::Begin(std::vector<FlightPtr> flights, absl::Time deadline) {
  std::vector<L2Key> keys;
  keys.reserve(flights.size());
  for (const FlightPtr& flight : flights) {
    keys.push_back(
        L2Key{flight->key().slot, flight->name_space.name, std::string(flight->key().key)});
  }
  // No longer than the caller waits: an L2 that is too slow for its callers is a sick one, and its
  // circuit breaker hears of it only this way.
  const absl::Time longest = context_.clock.Now() + kReadTime;
  const bool brief = deadline < longest;
  // By flight; empty: there was none for any of them.
  std::vector<Version> waited;
  if (context_.hints != nullptr && !context_.hints->empty()) {
    for (const L2Key& key : keys) {
      waited.push_back(context_.hints->VersionOf(key.name_space, key.key).value_or(Version()));
    }
  }
  context_.l2.Fetch(
      std::move(keys), std::min(deadline, longest),
      [this, brief, flights = std::move(flights),
       waited = std::move(waited)](std::vector<L2Record> records) {
        std::vector<FlightPtr> others_wait;
        std::vector<FlightPtr> missing;
        for (size_t i = 0; i < flights.size(); ++i) {
          if (brief && absl::IsDeadlineExceeded(records[i].status) && flights[i]->HasWaiters()) {
            others_wait.push_back(flights[i]);
          } else if (!waited.empty() && MissedReplay(*flights[i], waited[i], records[i])) {
            others_wait.push_back(flights[i]);
          } else if (TakeRecord(flights[i], records[i])) {
            missing.push_back(flights[i]);
          }
        }
        if (!others_wait.empty()) Begin(std::move(others_wait));
        if (!missing.empty()) Load(missing);
      });
}

bool MissPath::TakeRecord(const FlightPtr& flight, const L2Record& record) {
  if (context_.hints != nullptr && !context_.hints->empty()) {
    if (const std::optional<L2Record> hint = NewerHint(*flight, record)) {
      return TakeStored(flight, *hint, Tier::kL1);
    }
  }
  return TakeStored(flight, record, Tier::kL2);
}

std::optional<L2Record> MissPath::NewerHint(const Flight& flight, const L2Record& record) const {
  std::optional<std::string> hint = context_.hints->Find(flight.name_space.name, flight.key().key);
  if (!hint) return std::nullopt;
  if (record.status.ok()) {
    const absl::StatusOr<Record> stored = ParseRecord(record.record.view());
    const absl::StatusOr<Record> waiting = ParseRecord(*hint);
    if (stored.ok() && waiting.ok() && stored->version >= waiting->version) return std::nullopt;
  }
  return L2Record{absl::OkStatus(), Buffer::CopyOf(*hint)};
}

bool MissPath::MissedReplay(const Flight& flight, Version waited, const L2Record& record) const {
  if (!waited.is_set()) return false;
  const std::string& name_space = flight.name_space.name;
  if (context_.hints->VersionOf(name_space, flight.key().key).has_value()) return false;
  // The next look finds no hint, and is the last one.
  if (!record.status.ok()) return true;
  const absl::StatusOr<Record> stored = ParseRecord(record.record.view());
  return !stored.ok() || stored->version < waited;
}

bool MissPath::TakeFailure(const FlightPtr& flight, const absl::Status& why) {
  if (!HasOrigin(*flight)) {
    LandError(flight, FromStatus(why));
    return false;
  }
  // Another look, that this one did not share, may have loaded it meanwhile.
  if (flight->kind != FlightKind::kForced && IsOurs(*flight)) {
    if (const std::optional<Landing> found = FoundInL1(*flight)) {
      Land(flight, *found);
      return false;
    }
  }
  absl::MutexLock lock(&flight->mu);
  flight->l2_away = absl::IsUnavailable(why) || absl::IsDeadlineExceeded(why);
  return true;
}

bool MissPath::IsOurs(const Flight& flight) const {
  const TopologyHolder::Snapshot topology = context_.topology.Get();
  const Member* const owner = topology->OwnerOf(flight.key().slot);
  return owner != nullptr && owner->id == context_.node_id;
}

bool MissPath::TakeStored(const FlightPtr& flight, const L2Record& record, Tier tier) {
  if (!record.status.ok()) return TakeFailure(flight, record.status);
  if (record.record.empty()) return NotFound(flight, Version());
  const absl::StatusOr<Record> parsed = ParseRecord(record.record.view());
  if (!parsed.ok()) {
    if (HasOrigin(*flight)) return true;  // What it gives takes the record's place.
    LandError(flight, Error{grpc::StatusCode::DATA_LOSS,
                            reason::kCorruptRecord,
                            std::string(parsed.status().message()),
                            {}});
    return false;
  }
  (void)context_.versions.Merge(parsed->version.hlc);  // A skewed one is refused, the value stands.
  // What waits here for the store is judged by the fences that are known, as what L1 has is.
  if (tier == Tier::kL2 && context_.fences != nullptr && !context_.fences->known()) {
    LandError(flight, FencesUnknownError());
    return false;
  }
  // What a fence has killed nobody may have, however old an answer may be.
  if (parsed->kind == RecordKind::kTombstone ||
      context_.IsFenced(flight->name_space.id, flight->key(), parsed->tags,
                        parsed->written_hlc())) {
    return NotFound(flight, parsed->version);
  }
  const absl::Duration ttl = parsed->expires_at - context_.clock.Now();
  const bool anew = flight->kind == FlightKind::kForced && HasOrigin(*flight);
  if (parsed->kind == RecordKind::kAbsent) {
    if (ttl <= absl::ZeroDuration() || anew) return NotFound(flight, parsed->version);
    Landing absent;
    absent.tier = tier;
    absent.fleeting = record.from_replica;
    absent.version = parsed->version;
    if (MayFillL1(*flight, record)) FillL1(*flight, *parsed, ttl, Buffer());
    Land(flight, absent);
    return false;
  }
  Landing found;
  found.state = EntryState::kOk;
  found.tier = tier;
  found.fleeting = record.from_replica;
  found.encoding = parsed->encoding;
  found.raw_size = parsed->raw_size;
  found.version = parsed->version;
  found.written = parsed->written;
  found.value = Buffer::CopyOf(parsed->value);
  if (!parsed->tags.empty()) found.tags = Buffer::CopyOf(parsed->tags);
  found.expires_at = parsed->expires_at;
  if (ttl <= absl::ZeroDuration() || anew) {
    {
      absl::MutexLock lock(&flight->mu);
      found.stale = true;
      flight->old = std::move(found);
    }
    return NotFound(flight, parsed->version);
  }
  if (MayFillL1(*flight, record)) FillL1(*flight, *parsed, ttl, found.value);
  Land(flight, found);
  return false;
}

std::optional<Landing> MissPath::FoundInL1(const Flight& flight) const {
  Entry entry;
  const absl::Duration now = context_.clock.Monotonic();
  if (!context_.engine.Peek(flight.key(), now, &entry)) return std::nullopt;
  Landing found;
  found.tier = Tier::kL1;
  found.version = entry.version;
  found.written = entry.written;
  found.tags = entry.tags;
  if (IsAbsence(entry)) return found;
  found.state = EntryState::kOk;
  found.encoding = entry.encoding;
  found.raw_size = entry.raw_size;
  found.value = entry.value;
  found.expires_at = context_.clock.Now() + (entry.expires_at - now);
  return found;
}

bool MissPath::NotFound(const FlightPtr& flight, Version seen) {
  if (context_.l1_only && flight->kind == FlightKind::kOwned) {
    if (const std::optional<Landing> found = FoundInL1(*flight)) {
      Land(flight, *found);
      return false;
    }
  }
  if (HasOrigin(*flight)) return true;
  bool wants_lease = false;
  {
    absl::MutexLock lock(&flight->mu);
    for (const auto& [id, waiter] : flight->waiters) wants_lease |= waiter.want_lease;
  }
  if (wants_lease) {
    OfferLease(flight, seen);
  } else {
    Landing miss;
    miss.version = seen;
    Land(flight, miss);
  }
  return false;
}

bool MissPath::MayFillL1(const Flight& flight, const L2Record& record) const {
  return flight.kind != FlightKind::kAround && !record.from_replica;
}

void MissPath::FillL1(Flight& flight, const Record& record, absl::Duration ttl,
                      const Buffer& value) {
  const EntryKey& key = flight.key();
  const absl::Duration now = context_.clock.Monotonic();
  // What L1 has already was admitted when it came, and is only renewed.
  const bool renews =
      flight.kind == FlightKind::kForced && !context_.engine.IsBehind(key, record.version);
  std::optional<Entry> entry =
      EntryOfRecord(context_, flight.name_space, flight.policy, key, record, ttl, value,
                    renews ? Placing::kAgain : Placing::kFill, now);
  if (!entry) return;
  FillToken token;
  {
    absl::MutexLock lock(&flight.mu);
    token = flight.token;
    entry->warm_source = flight.warm_source;
  }
  const absl::Duration total = record.expires_at - record.version.time();
  NoteEntry(flight.name_space, TrafficKind::kFill, key, EntryCharge(key.key.size(), *entry),
            {.given = entry->expires_at - now, .own = OwnLife(flight.policy, total, ttl)}, now);
  context_.engine.PutFill(key, *std::move(entry), now, token);
}

void MissPath::Land(const FlightPtr& flight, const Landing& landing) {
  flight->mu.Lock();
  LandLocked(flight, landing);
}

void MissPath::LandLocked(const FlightPtr& flight, const Landing& landing) {
  std::vector<Waiter> waiters;
  waiters.reserve(flight->waiters.size());
  std::vector<Waiter> too_late;  // Who must not wait for what comes next.
  for (auto it = flight->waiters.begin(); it != flight->waiters.end();) {
    if (IsLate(*flight, it->second, landing)) {
      if (!WaitsNoLonger(*flight, it->second)) {
        ++it;
        continue;
      }
      too_late.push_back(std::move(it->second));
      it = flight->waiters.erase(it);
    } else {
      waiters.push_back(std::move(it->second));
      it = flight->waiters.erase(it);
    }
  }
  const std::optional<Landing> old = OldOf(*flight);
  const TimerQueue::Id timer = std::exchange(flight->timer, {});
  if (flight->phase == FlightPhase::kLeased) flights_.LeaseEnded(*flight);
  const bool landed = flight->waiters.empty();
  const std::vector<FlightPtr> followers = std::exchange(flight->followers, {});
  const FillToken token = flight->token;
  const uint64_t fences = flight->fences;
  if (landed) {
    flight->landed = true;
    flight->phase = FlightPhase::kLoading;
  } else {
    LookAgain(*flight);
    flight->again = true;
  }
  flight->mu.Unlock();
  flights_.Left(static_cast<int64_t>(waiters.size() + too_late.size()));
  if (timer.sequence != 0) context_.timers.Cancel(timer);
  // Before the answers: who asks again after them begins anew.
  const FlightPtr next = landed                    ? flights_.Remove(*flight)
                         : flights_.Return(flight) ? flight
                                                   : nullptr;
  const absl::Time now = context_.clock.Now();
  const auto answer = [](const std::vector<Waiter>& some, const Landing& what,
                         const std::optional<Landing>& instead, absl::Time when) {
    for (const Waiter& waiter : some) {
      waiter.who->Land(waiter, AnswerFor(waiter, what, instead, when));
    }
  };
  while (waiters.size() > kAnswersAtOnce) {
    std::vector<Waiter> some(std::make_move_iterator(waiters.end() - kAnswersAtOnce),
                             std::make_move_iterator(waiters.end()));
    waiters.resize(waiters.size() - kAnswersAtOnce);
    context_.timers.Post(
        [some = std::move(some), landing, old, now, answer] { answer(some, landing, old, now); });
  }
  answer(waiters, landing, old, now);
  Landing taken;
  taken.lease_taken = true;
  answer(too_late, taken, std::nullopt, now);
  for (const FlightPtr& follower : followers) {
    // As if it had begun with this one.
    follower->mu.Lock();
    follower->token = token;
    follower->fences = fences;
    LandLocked(follower, landing);
  }
  if (next != nullptr) Begin({next});
}

void MissPath::LandError(const FlightPtr& flight, Error error) {
  Landing landing;
  landing.state = EntryState::kError;
  landing.error = std::make_shared<const Error>(std::move(error));
  Land(flight, landing);
}

// Not part of any call: the value that is in L1 was answered.
void MissPath::Refresh(const Namespace& name_space, const EntryKey& key, Version version) {
  auto flight = std::make_shared<Flight>(context_.engine, name_space, name_space.policies(),
                                         FlightKind::kForced, key, "");
  std::vector<L2Key> keys = {L2Key{key.slot, name_space.name, std::string(key.key)}};
  context_.l2.Fetch(std::move(keys), context_.clock.Now() + kReadTime,
                    [this, flight, version](std::vector<L2Record> records) {
                      if (!records[0].status.ok() || records[0].record.empty()) return;
                      if (records[0].from_replica) return;  // L1 knows as much.
                      const absl::StatusOr<Record> record = ParseRecord(records[0].record.view());
                      if (!record.ok() || record->kind != RecordKind::kValue) return;
                      const absl::Duration ttl = record->expires_at - context_.clock.Now();
                      if (ttl <= absl::ZeroDuration()) return;
                      flight->name_space.counters.refreshes.fetch_add(1, std::memory_order_relaxed);
                      const absl::Duration now = context_.clock.Monotonic();
                      if (record->version == version) {
                        const absl::Duration life =
                            L1LifeOf(context_, flight->policy, flight->key(), version, ttl, now);
                        context_.engine.Adjust(flight->key(), version, {.expires_at = now + life});
                      } else {
                        FillL1(*flight, *record, ttl, Buffer::CopyOf(record->value));
                      }
                    });
}

}  // namespace meridian
