// The part of MissPath that loads from origins.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/node/absence.h"
#include "server/node/dependencies.h"
#include "server/node/entry_rules.h"
#include "server/node/key_form.h"
#include "server/node/miss_path.h"
#include "server/node/value_codec.h"

namespace meridian {
namespace {

// What a loaded value depends on is looked at for so long.
constexpr absl::Duration kReadTime = absl::Seconds(1);

// A fill is written within this time, or L1 alone has it.
constexpr absl::Duration kStoreTime = absl::Seconds(1);

// The next owner is told so often, until it is known that the store has it.
constexpr int kTells = 5;
constexpr absl::Duration kTellAgain = absl::Seconds(1);

void Count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

// How many doublings a value's cost is away from the mean of its namespace, which follows it.
int WeightOfCost(OriginCounters& counters, double cost) {
  if (cost <= 0) return 0;
  const double mean = counters.mean_cost.load(std::memory_order_relaxed);
  const double next = mean == 0 ? cost : mean + (cost - mean) / 64;
  counters.mean_cost.store(next, std::memory_order_relaxed);  // A lost update loses nothing.
  return static_cast<int>(std::lround(std::clamp(std::log2(cost / next), -3.0, 3.0)));
}

void Tell(const NodeContext& context, const L2Write& again, int tells) {
  context.l2.Apply({again}, context.clock.Now() + kStoreTime,
                   [&context, again, tells](const std::vector<L2WriteResult>& results) {
                     if (results[0].status.ok() || tells == 1) return;
                     context.timers.Add(
                         context.clock.Monotonic() + kTellAgain,
                         [&context, again, tells] { Tell(context, again, tells - 1); });
                   });
}

// Gives what was stored, or may have been, and is in no changelog a newer version, which is in one.
void TellNextOwner(const NodeContext& context, const Flight& flight, const Landing& stored,
                   absl::Duration life) {
  // Of an absence nothing is told: it does not live for long.
  if (stored.state != EntryState::kOk || !context.CheckClock().ok()) return;
  L2Write again;
  again.key = L2Key{flight.key().slot, flight.name_space.name, std::string(flight.key().key)};
  again.kind = L2WriteKind::kTouch;
  again.version = context.versions.Next();
  again.expires_at = stored.expires_at;
  again.retention = life + std::max(kExpiryGrace, flight.policy.stale_max);
  // Not of anything newer.
  again.condition = L2Condition::kIfVersion;
  again.expected_version = stored.version;
  Tell(context, again, kTells);
}

}  // namespace

void MissPath::Load(const std::vector<FlightPtr>& flights) {
  // A clock that is off gives no versions: then what is loaded is answered, and not stored.
  const bool stores = context_.CheckClock().ok();
  const absl::Duration soft_at =
      context_.clock.Monotonic() + flights.front()->policy.origin.soft_timeout;
  std::vector<OriginKey> keys;
  keys.reserve(flights.size());
  for (const FlightPtr& flight : flights) {
    absl::MutexLock lock(&flight->mu);
    if (flight->kind != FlightKind::kAround) BeginAnew(*flight);
    flight->phase = FlightPhase::kLoading;
    if (stores) flight->version = context_.versions.Next();
    if (flight->old) {
      flight->timer = context_.timers.Add(soft_at, [this, flight] { OnSoftTimeout(flight); });
    }
    keys.push_back({std::string(flight->key().key), flight->request_id, flight});
  }
  const Flight& first = *flights.front();
  context_.origins->Load(first.name_space, first.policy, std::move(keys), *this);
}

void MissPath::OnSoftTimeout(const FlightPtr& flight) {
  std::vector<Waiter> taken;
  std::optional<Landing> old;
  {
    absl::MutexLock lock(&flight->mu);
    flight->soft_is_over = true;
    old = ExpiredOf(*flight);
    if (flight->landed || !old) return;
    const absl::Time now = context_.clock.Now();
    for (auto it = flight->waiters.begin(); it != flight->waiters.end();) {
      if (it->second.Takes(old->expires_at, now)) {
        taken.push_back(std::move(it->second));
        it = flight->waiters.erase(it);
      } else {
        ++it;
      }
    }
  }
  flights_.Left(static_cast<int64_t>(taken.size()));
  for (const Waiter& waiter : taken) waiter.who->Land(waiter, *old);
}

bool MissPath::HasMoved(const Flight& flight, const FillToken& token) const {
  return !IsOurs(flight) || context_.engine.BeginFill(flight.key()).generation != token.generation;
}

// What a load becomes in the tiers.
struct MissPath::Fill {
  FlightPtr flight;
  Version version;
  FillToken token;
  L2Write write;
  Landing landing;
  absl::Duration life;
  int weight = 0;
  bool quiet = false;    // In no changelog.
  bool removes = false;  // The key is gone, and that is not remembered: what was there must go.
};

std::optional<MissPath::Fill> MissPath::MakeFill(const FlightPtr& flight, OriginAnswer answer) {
  const NamespacePolicy& policy = flight->policy;
  NamespaceCounters& counters = flight->name_space.counters;
  const EntryKey& key = flight->key();
  const absl::Time now = context_.clock.Now();
  Fill fill;
  fill.flight = flight;
  bool replaces = false;
  // One around an owner has nothing here, and tells nobody.
  const bool ours = flight->kind != FlightKind::kAround || IsOurs(*flight);
  {
    absl::MutexLock lock(&flight->mu);
    fill.version = flight->version;
    fill.token = flight->token;
    replaces = flight->old.has_value();
  }
  Record record;
  record.version = fill.version;
  fill.landing.tier = Tier::kOrigin;
  fill.landing.version = fill.version;
  if (!answer.tags.empty()) fill.landing.tags = Buffer::CopyOf(EncodeTags(answer.tags));
  StoredValue stored;
  if (answer.outcome == LoadOutcome::kFound) {
    WriteItem item;
    item.key = key.key;
    item.ttl = answer.ttl;
    fill.life = LifeOf(context_, policy, item, key, fill.version);
    stored = Encode(answer.value, policy.compression, counters.compression);
    record.value = stored.bytes;
    record.encoding = stored.encoding;
    record.raw_size = stored.raw_size;
    record.tags = fill.landing.tags.view();
    fill.weight = WeightOfCost(counters.origin, answer.cost);
    fill.landing.state = EntryState::kOk;
    fill.landing.encoding = stored.encoding;
    fill.landing.raw_size = stored.raw_size;
    fill.landing.value = stored.ToBuffer();
    fill.landing.expires_at = now + fill.life;
  } else {
    fill.life = policy.origin.negative_ttl;
    record.kind = RecordKind::kAbsent;
    Entry entry;
    replaces |= context_.engine.Peek(key, context_.clock.Monotonic(), &entry);
    if (fill.life == absl::ZeroDuration() && replaces) {
      fill.removes = true;
      fill.life = context_.tombstone_ttl;
      record.kind = RecordKind::kTombstone;
    }
  }
  record.expires_at = now + fill.life;
  // What removes something is a delete as any other.
  const bool quiet = policy.replication == ReplicationMode::kInvalidateOnly && !fill.removes;
  const bool stores = fill.version.is_set() && fill.life > absl::ZeroDuration() && (ours || !quiet);
  if (!stores) {
    Land(flight, fill.landing);
    return std::nullopt;
  }
  if (!context_.l1_only) {
    fill.write.key = L2Key{key.slot, flight->name_space.name, std::string(key.key)};
    fill.write.version = fill.version;
    fill.write.expires_at = record.expires_at;
    fill.write.retention =
        fill.removes ? fill.life : fill.life + std::max(kExpiryGrace, policy.stale_max);
    // A load changes nothing that another region would have to drop. But the next owner of a slot
    // that went meanwhile may keep what was there before, and must hear of it.
    fill.quiet = quiet && context_.Follows(key.slot) && !HasMoved(*flight, fill.token);
    fill.write.logged = !fill.quiet;
    AppendRecord(record, &fill.write.record);
  }
  return fill;
}

void MissPath::OnLoaded(std::vector<OriginAnswer> answers) {
  const auto open =
      std::stable_partition(answers.begin(), answers.end(),
                            [](const OriginAnswer& answer) { return answer.depends_on.empty(); });
  std::vector<OriginAnswer> dependents(std::make_move_iterator(open),
                                       std::make_move_iterator(answers.end()));
  answers.erase(open, answers.end());
  if (!dependents.empty()) CloseThenTake(std::move(dependents));
  if (!answers.empty()) TakeAnswers(std::move(answers));
}

void MissPath::CloseThenTake(std::vector<OriginAnswer> answers) {
  const auto flight_of = [](const OriginAnswer& answer) {
    return static_cast<Flight*>(answer.ticket.get());
  };
  const Flight& first = *flight_of(answers.front());
  const Namespace& name_space = first.name_space;
  if (FormsKeys(first.policy)) {
    for (OriginAnswer& answer : answers) FormDependencies(first.policy.key, &answer.depends_on);
  }
  const auto held = std::make_shared<std::vector<OriginAnswer>>(std::move(answers));
  std::vector<Dependent> dependents;
  for (const OriginAnswer& answer : *held) {
    dependents.push_back({flight_of(answer)->key().key, &answer.tags, &answer.depends_on});
  }
  CloseDependencies(context_, name_space, dependents, context_.clock.Now() + kReadTime,
                    [this, held, &name_space](std::vector<ClosedTags> closed, uint64_t) {
                      // A load is as old as its begin, which is older than all this.
                      for (size_t i = 0; i < closed.size(); ++i) {
                        (*held)[i].tags = std::move(closed[i].tags);
                        OriginCounters& counters = name_space.counters.origin;
                        if (closed[i].cut) Count(counters.dependencies_cut);
                        if (closed[i].unknown) Count(counters.dependencies_unknown);
                      }
                      TakeAnswers(std::move(*held));
                    });
}

void MissPath::TakeAnswers(std::vector<OriginAnswer> answers) {
  std::vector<Fill> fills;
  for (OriginAnswer& answer : answers) {
    const FlightPtr flight = std::static_pointer_cast<Flight>(std::move(answer.ticket));
    if (answer.outcome == LoadOutcome::kError) {
      Landing failed;
      failed.state = EntryState::kError;
      failed.error = std::move(answer.error);
      Land(flight, failed);
      continue;
    }
    if (std::optional<Fill> fill = MakeFill(flight, std::move(answer))) {
      fills.push_back(*std::move(fill));
    }
  }
  if (!fills.empty()) Store(std::move(fills));
}

void MissPath::Store(std::vector<Fill> fills) {
  if (context_.l1_only) {
    for (const Fill& fill : fills) Finish(fill, Stored::kYes);
    return;
  }
  std::vector<L2Write> writes;
  writes.reserve(fills.size());
  for (Fill& fill : fills) writes.push_back(std::move(fill.write));
  context_.l2.Apply(
      std::move(writes), context_.clock.Now() + kStoreTime,
      [this, fills = std::move(fills)](const std::vector<L2WriteResult>& outcomes) {
        for (size_t i = 0; i < fills.size(); ++i) {
          const L2WriteResult& outcome = outcomes[i];
          const bool stale = outcome.status.ok() && outcome.outcome != L2WriteOutcome::kApplied;
          if (stale) (void)context_.versions.Merge(outcome.stored.hlc);
          if (fills[i].quiet && !stale && HasMoved(*fills[i].flight, fills[i].token)) {
            TellNextOwner(context_, *fills[i].flight, fills[i].landing, fills[i].life);
          }
          // Without an answer of L2, L1 has it for itself.
          Finish(fills[i], stale                 ? Stored::kNo
                           : outcome.status.ok() ? Stored::kYes
                                                 : Stored::kUnknown);
        }
      });
}

bool MissPath::KeepsWithoutStore(Flight& flight, Stored stored) const {
  if (stored != Stored::kUnknown) return false;
  absl::MutexLock lock(&flight.mu);
  return flight.l2_away;
}

void MissPath::Finish(const Fill& fill, Stored stored) {
  Flight& flight = *fill.flight;
  const auto tell_watchers = [&] {
    if (stored == Stored::kUnknown) {
      context_.WarnWatchers(flight.name_space.name, flight.key(), fill.version);
    } else {
      context_.TellWatchers(flight.name_space.name, flight.key(), fill.version);
    }
  };
  if (stored == Stored::kNo) {
    // The callers all asked before they could know of what is newer.
    Count(flight.name_space.counters.origin.overtaken);
  } else if (flight.kind == FlightKind::kAround && !IsOurs(flight)) {
    // Nothing of it is here.
  } else if (fill.removes ||
             !(context_.Follows(flight.key().slot) || KeepsWithoutStore(flight, stored))) {
    context_.engine.Erase(flight.key(), fill.version);
    tell_watchers();
  } else {
    const EntryKey& key = flight.key();
    const absl::Duration now = context_.clock.Monotonic();
    Entry entry;
    entry.value = fill.landing.value;
    entry.version = fill.version;
    entry.raw_size = fill.landing.raw_size;
    entry.encoding = fill.landing.encoding;
    entry.tags = fill.landing.tags;
    const Placing placing = context_.l1_only ? Placing::kOnly : Placing::kWrite;
    if (PlaceEntry(context_, flight.name_space, flight.policy, key, fill.life, now, placing,
                   &entry)) {
      entry.weight =
          static_cast<int8_t>(std::clamp<int>(entry.weight + fill.weight, kMinWeight, kMaxWeight));
      if (fill.landing.state != EntryState::kOk) MakeAbsence(&entry);
      {
        absl::MutexLock lock(&flight.mu);
        entry.warm_source = flight.warm_source;
      }
      NoteEntry(
          flight.name_space, TrafficKind::kFill, key, EntryCharge(key.key.size(), entry),
          {.given = entry.expires_at - now, .own = OwnLife(flight.policy, fill.life, fill.life)},
          now);
      context_.engine.PutFill(key, std::move(entry), now, fill.token);
    } else {
      context_.engine.Erase(key, fill.version);  // What was there is older.
    }
    tell_watchers();
  }
  Land(fill.flight, fill.landing);
}

void MissPath::Reload(const Namespace& name_space, const EntryKey& key) {
  const SlotPolicies policies = name_space.policies();
  if (context_.origins == nullptr || !policies.Of(key.slot).origin.enabled()) return;
  const FlightPtr flight = flights_.Lead(name_space, policies, FlightKind::kForced, key);
  if (flight == nullptr) return;  // It is looked for already.
  name_space.counters.refreshes.fetch_add(1, std::memory_order_relaxed);
  Load({flight});
}

}  // namespace meridian
