// The part of MissPath that gives callers the right to fill a key.

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "server/node/lease_token.h"
#include "server/node/miss_path.h"

namespace meridian {
namespace {

// Keys that are leased at a time; who misses beyond fills without one.
constexpr int64_t kMaxLeased = 65'536;

// A look beside a lease gets this long, and without an answer comes again after this.
constexpr absl::Duration kLookTime = absl::Seconds(1);
constexpr absl::Duration kLookAgain = absl::Milliseconds(200);

void Count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

void MissPath::OfferLease(const FlightPtr& flight, Version seen) {
  // Lost while it was looked for: the next owner gives leases, and whoever wants one asks there.
  const bool lost = flight->kind == FlightKind::kOwned && !IsOurs(*flight);
  const bool leases = flight->kind == FlightKind::kOwned && !lost && context_.CheckClock().ok() &&
                      flights_.leased() < kMaxLeased;
  const absl::Duration life = flight->policy.lease_ttl;
  std::vector<std::pair<Waiter, Landing>> answers;
  Landing miss;
  miss.version = seen;
  bool filled = false;
  bool granted = false;
  {
    absl::MutexLock lock(&flight->mu);
    if (flight->landed) return;
    filled = WasFilled(*flight, seen);
    if (filled) LookAgain(*flight);
    const absl::Time now = context_.clock.Now();
    const std::optional<Landing> old = OldOf(*flight);
    for (auto it = flight->waiters.begin(); !filled && it != flight->waiters.end();) {
      Waiter& waiter = it->second;
      const bool waits = leases && waiter.want_lease;
      const bool gets = waits && !granted;
      Landing landing = AnswerFor(waiter, miss, old, now);
      if (waits && !gets && landing.state != EntryState::kOk) {
        if (!WaitsNoLonger(*flight, waiter)) {
          ++it;
          continue;
        }
        landing.lease_taken = true;
      }
      if (lost) landing.lease_taken = waiter.want_lease && landing.state != EntryState::kOk;
      if (gets) {
        granted = true;
        BeginAnew(*flight);
        flight->version = context_.versions.Next();
        flight->seen = seen;
        landing.lease = LeaseToken{flight->version, now + life}.ToBytes(flight->name_space.name,
                                                                        flight->key().key);
      }
      answers.emplace_back(std::move(waiter), std::move(landing));
      it = flight->waiters.erase(it);
    }
    if (granted) {
      flight->phase = FlightPhase::kLeased;
      flights_.LeaseBegan(flight);
      Count(flight->name_space.counters.origin.leases_granted);
      flight->timer = context_.timers.Add(
          context_.clock.Monotonic() + life,
          [this, flight, version = flight->version] { OnLeaseExpired(flight, version); });
    }
  }
  if (filled) return Begin({flight});
  flights_.Left(static_cast<int64_t>(answers.size()));
  if (!granted) Land(flight, miss);  // Before the answers: who asks after them begins anew.
  for (const auto& [waiter, landing] : answers) waiter.who->Land(waiter, landing);
}

void MissPath::EndLeaseWait(const Wait& wait) {
  std::optional<Waiter> taken;
  Landing landing;
  {
    Flight& flight = *wait.flight;
    absl::MutexLock lock(&flight.mu);
    const auto it = flight.waiters.find(wait.id);
    // In the first look into L2 it waits for nobody; OfferLease asks what it waits for then.
    const bool for_lease = flight.phase == FlightPhase::kLeased || flight.again;
    if (it == flight.waiters.end() || !for_lease || HasOrigin(flight)) return;
    landing.lease_taken = true;
    landing = AnswerFor(it->second, landing, OldOf(flight), context_.clock.Now());
    taken = std::move(it->second);
    flight.waiters.erase(it);
  }
  flights_.Left();
  taken->who->Land(*taken, landing);
}

bool MissPath::EndLease(const EntryKey& key, Version version, const Landing* absence) {
  const FlightPtr flight = flights_.Find(key);
  if (flight == nullptr) return false;
  flight->mu.Lock();
  const bool holds =
      !flight->landed && flight->phase == FlightPhase::kLeased && flight->version == version;
  if (holds && absence != nullptr) {
    LandLocked(flight, *absence);
    return true;
  }
  flight->mu.Unlock();
  if (holds) VoidLease(flight, version);
  return holds;
}

bool MissPath::LeaseRenews(const EntryKey& key, Version version) {
  const FlightPtr flight = flights_.Find(key);
  if (flight == nullptr) return false;
  absl::MutexLock lock(&flight->mu);
  return flight->version == version && flight->old.has_value();
}

bool MissPath::WasFilled(const Flight& flight, Version seen) const {
  const FillToken now = context_.engine.BeginFill(flight.key());
  return now.generation != flight.token.generation ||
         (now.change > flight.token.change && flight.watch.newest() > seen);
}

void MissPath::OnLeaseExpired(const FlightPtr& flight, Version version) {
  {
    absl::MutexLock lock(&flight->mu);
    if (flight->landed || flight->version != version) return;
    flight->timer = {};
    flights_.LeaseEnded(*flight);
    LookAgain(*flight);
  }
  Count(flight->name_space.counters.origin.leases_expired);
  Begin({flight});  // It may have been filled without this flight, by a newer one of the key.
}

void MissPath::OnWritten(const EntryKey& key, const Landing& value) {
  if (flights_.leased() == 0) return;
  const FlightPtr flight = flights_.Find(key);
  if (flight == nullptr) return;
  flight->mu.Lock();
  // Of a write or lease from before this one: who waits may have asked after it was voided.
  if (flight->landed || flight->phase != FlightPhase::kLeased || value.version < flight->version) {
    flight->mu.Unlock();
    return;
  }
  LandLocked(flight, value);
}

void MissPath::OnLeaseVoid(const EntryKey& key, Version version) {
  if (flights_.leased() == 0) return;
  const FlightPtr flight = flights_.Find(key);
  if (flight != nullptr) VoidLease(flight, version);
}

void MissPath::OnChanged(const EntryKey& key, Version version) {
  if (flights_.leased() == 0) return;
  const FlightPtr flight = flights_.Find(key);
  if (flight == nullptr) return;
  Version lease;
  {
    absl::MutexLock lock(&flight->mu);
    const bool leased = !flight->landed && flight->phase == FlightPhase::kLeased;
    if (!leased || version <= flight->seen) return;
    lease = flight->version;
  }
  // Its own version: it was filled, through another node.
  if (version >= lease) return VoidLease(flight, version);
  LookBeside(flight, lease);
}

void MissPath::LookBeside(const FlightPtr& flight, Version lease) {
  std::vector<L2Key> keys;
  keys.push_back(
      L2Key{flight->key().slot, flight->name_space.name, std::string(flight->key().key)});
  // What a replica still has is no reason to give up a lease.
  context_.l2.FetchFromPrimary(
      std::move(keys), context_.clock.Now() + kLookTime,
      [this, flight, lease](const std::vector<L2Record>& records) {
        if (!records[0].status.ok()) {
          context_.timers.Add(context_.clock.Monotonic() + kLookAgain, [this, flight, lease] {
            if (IsLeased(*flight, lease)) LookBeside(flight, lease);
          });
          return;
        }
        if (records[0].record.empty()) return;
        const absl::StatusOr<Record> record = ParseRecord(records[0].record.view());
        if (!record.ok()) return;
        if (IsLive(*flight, *record)) return VoidLease(flight, lease);
        absl::MutexLock lock(&flight->mu);
        if (flight->version == lease) {
          flight->seen = std::max(flight->seen, record->version);
        }
      });
}

bool MissPath::IsLeased(Flight& flight, Version lease) {
  absl::MutexLock lock(&flight.mu);
  return !flight.landed && flight.phase == FlightPhase::kLeased && flight.version == lease;
}

void MissPath::OnSlotInDoubt(uint32_t slot, bool lost) {
  for (const FlightPtr& flight : flights_.LeasedOf(slot)) {
    flight->mu.Lock();
    if (flight->landed || flight->phase != FlightPhase::kLeased) {
      flight->mu.Unlock();
      continue;
    }
    if (!lost) {
      const Version lease = flight->version;
      flight->mu.Unlock();
      VoidLease(flight, lease);
      continue;
    }
    // As if all had come when the lease was given: nobody waits here for what comes next.
    for (auto& [id, waiter] : flight->waiters) {
      waiter.token = flight->token;
      waiter.fences = flight->fences;
    }
    Landing taken;
    taken.lease_taken = true;
    LandLocked(flight, taken);
  }
}

bool MissPath::IsLive(const Flight& flight, const Record& record) const {
  return record.kind != RecordKind::kTombstone && record.expires_at > context_.clock.Now() &&
         !(context_.fences != nullptr && !context_.fences->known()) &&
         !context_.IsFenced(flight.name_space.id, flight.key(), record.tags, record.written_hlc());
}

void MissPath::VoidLease(const FlightPtr& flight, Version version) {
  TimerQueue::Id timer;
  {
    absl::MutexLock lock(&flight->mu);
    // A newer lease was given meanwhile: it is not the one that is void.
    if (flight->landed || flight->phase != FlightPhase::kLeased || flight->version > version) {
      return;
    }
    timer = std::exchange(flight->timer, {});
    flights_.LeaseEnded(*flight);
    LookAgain(*flight);
  }
  context_.timers.Cancel(timer);
  Begin({flight});  // There may be a newer value.
}

std::optional<FillToken> MissPath::LeaseOf(const EntryKey& key, Version version) {
  const FlightPtr flight = flights_.Find(key);
  if (flight == nullptr) return std::nullopt;
  absl::MutexLock lock(&flight->mu);
  if (flight->landed || flight->phase != FlightPhase::kLeased || flight->version != version) {
    return std::nullopt;
  }
  return flight->token;
}

void MissPath::AfterJoin(const FlightPtr& flight, uint64_t id) {
  std::optional<Waiter> taken;
  Landing landing;
  {
    absl::MutexLock lock(&flight->mu);
    const bool waits_for_load = flight->phase == FlightPhase::kLoading && !flight->soft_is_over;
    if (flight->landed || flight->phase == FlightPhase::kReading || waits_for_load) return;
    const auto it = flight->waiters.find(id);
    if (it == flight->waiters.end()) return;
    landing = AnswerFor(it->second, Landing(), ExpiredOf(*flight), context_.clock.Now());
    const bool misses = flight->phase == FlightPhase::kLeased &&
                        (!it->second.want_lease || WaitsNoLonger(*flight, it->second));
    if (landing.state != EntryState::kOk && !misses) return;
    landing.lease_taken = landing.state != EntryState::kOk && it->second.want_lease;
    taken = std::move(it->second);
    flight->waiters.erase(it);
  }
  flights_.Left();
  taken->who->Land(*taken, landing);
}

}  // namespace meridian
