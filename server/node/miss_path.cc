#include "server/node/miss_path.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/hash.h"
#include "server/node/entry_rules.h"

namespace meridian {
namespace {

// A look into L2 gets this long at most.
constexpr absl::Duration kReadTime = absl::Seconds(1);

// Of the callers of one flight, so many are answered without a break.
constexpr size_t kAnswersAtOnce = 64;

// What one waiter is told of a flight that has ended in `landing`. With an old value: as far as
// the waiter takes it.
Landing For(const Waiter& waiter, const Landing& landing, const std::optional<Landing>& old,
            absl::Time now) {
  if (landing.state != EntryState::kOk && old && waiter.Takes(old->expires_at, now)) return *old;
  return landing;
}

}  // namespace

std::vector<MissPath::Wait> MissPath::Get(const Namespace& name_space,
                                          const NamespacePolicy& policy, const ReadRequest& request,
                                          std::span<const MissedKey> keys, bool around,
                                          const std::shared_ptr<FlightWaiter>& who) {
  const FlightKind kind = around                          ? FlightKind::kAround
                          : request.options.force_refresh ? FlightKind::kForced
                                                          : FlightKind::kOwned;
  Waiter waiter{who, 0, std::min(request.options.max_stale, policy.stale_max), false};
  std::vector<Wait> waits;
  waits.reserve(keys.size());
  std::vector<FlightPtr> begun;
  for (const MissedKey& key : keys) {
    waiter.index = key.index;
    const FlightTable::Joined joined =
        flights_.Join(name_space, policy, kind, key.key, key.token, request.request_id, waiter);
    if (joined.flight == nullptr) {
      Landing full;
      full.state = EntryState::kError;
      full.error = std::make_shared<const Error>(
          Error{grpc::StatusCode::RESOURCE_EXHAUSTED,
                reason::kOverloaded,
                "too many calls of this node wait for L2 or an origin",
                {}});
      who->Land(key.index, full);
      continue;
    }
    waits.push_back({joined.flight, joined.id});
    if (joined.lead) begun.push_back(joined.flight);
  }
  if (!begun.empty()) Begin(std::move(begun), request.deadline);
  return waits;
}

std::optional<Waiter> MissPath::Leave(const Wait& wait) {
  std::optional<Waiter> waiter = wait.flight->Take(wait.id);
  if (waiter) flights_.Left();
  return waiter;
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
  context_.l2.Fetch(
      std::move(keys), std::min(deadline, longest),
      [this, brief, flights = std::move(flights)](std::vector<L2Record> records) {
        std::vector<FlightPtr> others_wait;
        for (size_t i = 0; i < flights.size(); ++i) {
          if (brief && absl::IsDeadlineExceeded(records[i].status) && flights[i]->HasWaiters()) {
            others_wait.push_back(flights[i]);
          } else {
            TakeRecord(flights[i], records[i]);
          }
        }
        if (!others_wait.empty()) Begin(std::move(others_wait));
      });
}

void MissPath::TakeRecord(const FlightPtr& flight, const L2Record& record) {
  if (context_.hints != nullptr && !context_.hints->empty()) {
    if (const std::optional<L2Record> hint = NewerHint(*flight, record)) {
      TakeStored(flight, *hint, Tier::kL1);
      return;
    }
  }
  TakeStored(flight, record, Tier::kL2);
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

void MissPath::TakeStored(const FlightPtr& flight, const L2Record& record, Tier tier) {
  if (!record.status.ok()) {
    LandError(flight, FromStatus(record.status));
    return;
  }
  if (record.record.empty()) {
    NotFound(flight);
    return;
  }
  const absl::StatusOr<Record> parsed = ParseRecord(record.record.view());
  if (!parsed.ok()) {
    LandError(flight, Error{grpc::StatusCode::DATA_LOSS,
                            reason::kCorruptRecord,
                            std::string(parsed.status().message()),
                            {}});
    return;
  }
  (void)context_.versions.Merge(parsed->version.hlc);  // A skewed one is refused, the value stands.
  if (context_.fences != nullptr && !context_.fences->known()) {
    LandError(flight, Error{grpc::StatusCode::UNAVAILABLE,
                            reason::kFencesUnknown,
                            "this node has not read yet what was invalidated; try again",
                            {}});
    return;
  }
  // What a fence has killed nobody may have, however old an answer may be.
  if (parsed->kind == RecordKind::kTombstone ||
      (context_.fences != nullptr &&
       context_.fences->Covers(flight->name_space.id, flight->key().key, parsed->tags,
                               parsed->version))) {
    NotFound(flight);
    return;
  }
  Landing found;
  found.state = EntryState::kOk;
  found.tier = tier;
  found.encoding = parsed->encoding;
  found.raw_size = parsed->raw_size;
  found.version = parsed->version;
  found.value = Buffer::CopyOf(parsed->value);
  if (!parsed->tags.empty()) found.tags = Buffer::CopyOf(parsed->tags);
  found.expires_at = parsed->expires_at;
  const absl::Duration ttl = parsed->expires_at - context_.clock.Now();
  if (ttl <= absl::ZeroDuration()) {
    {
      absl::MutexLock lock(&flight->mu);
      flight->old = std::move(found);
    }
    NotFound(flight);
    return;
  }
  if (flight->kind != FlightKind::kAround) FillL1(*flight, *parsed, ttl, found.value);
  Land(flight, found);
}

void MissPath::NotFound(const FlightPtr& flight) { Land(flight, Landing()); }

void MissPath::FillL1(const Flight& flight, const Record& record, absl::Duration ttl,
                      const Buffer& value) {
  // What is left of the value's life is the difference of two wall clocks.
  if (context_.clock_guard != nullptr && !context_.clock_guard->ok()) return;
  const EntryKey& key = flight.key();
  const absl::Duration now = context_.clock.Monotonic();
  Entry entry;
  entry.value = value;
  entry.version = record.version;
  entry.raw_size = record.raw_size;
  entry.encoding = record.encoding;
  entry.tags = Buffer::CopyOf(record.tags);
  if (!PlaceEntry(context_, flight.name_space, flight.policy, key, ttl, now, Placing::kFill,
                  &entry)) {
    return;
  }
  const absl::Duration total = record.expires_at - record.version.time();
  NoteEntry(flight.name_space, TrafficKind::kFill, key, EntryCharge(key.key.size(), entry),
            {.given = entry.expires_at - now, .own = OwnLife(flight.policy, total, ttl)}, now);
  context_.engine.PutFill(key, std::move(entry), now, flight.token);
}

void MissPath::Land(const FlightPtr& flight, const Landing& landing) {
  std::vector<Waiter> waiters = flight->TakeAll();
  flights_.Left(static_cast<int64_t>(waiters.size()));
  std::optional<Landing> old;
  {
    absl::MutexLock lock(&flight->mu);
    old = flight->old;
  }
  // Before the answers: who asks again after them begins anew.
  const FlightPtr next = flights_.Remove(*flight);
  const absl::Time now = context_.clock.Now();
  const auto answer = [](const std::vector<Waiter>& some, const Landing& what,
                         const std::optional<Landing>& instead, absl::Time when) {
    for (const Waiter& waiter : some) {
      waiter.who->Land(waiter.index, For(waiter, what, instead, when));
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
  auto flight = std::make_shared<Flight>(name_space, name_space.policy(), FlightKind::kForced, key,
                                         context_.engine.BeginFill(key), "");
  std::vector<L2Key> keys = {L2Key{key.slot, name_space.name, std::string(key.key)}};
  context_.l2.Fetch(std::move(keys), context_.clock.Now() + kReadTime,
                    [this, flight, version](std::vector<L2Record> records) {
                      if (!records[0].status.ok() || records[0].record.empty()) return;
                      const absl::StatusOr<Record> record = ParseRecord(records[0].record.view());
                      if (!record.ok() || record->kind == RecordKind::kTombstone) return;
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
