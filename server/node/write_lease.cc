// The part of WriteCall that judges leases, and tells who waits for a key that is filled.

#include <algorithm>

#include "server/node/absence.h"
#include "server/node/entry_rules.h"
#include "server/node/write_call.h"

namespace meridian {

bool WriteCall::ReadLease(uint32_t index) {
  const WriteItem& item = request_.items[index];
  const std::optional<LeaseToken> lease =
      ParseLeaseToken(item.lease, name_space_.name, item.key, context_.clock.Now());
  if (!lease) {
    Error error{grpc::StatusCode::INVALID_ARGUMENT,
                reason::kLeaseInvalid,
                "the lease is none that was given for this key",
                {}};
    error.details.field = "lease";
    SetError(std::move(error), &results_[index]);
    return false;
  }
  // Its owner is in another region, and hears of nothing that is written or fenced here.
  if (lease->version.region != context_.versions.region()) {
    LoseLease(reason::kLeaseVoid, "the lease was given in another region; read the key here",
              &results_[index]);
    return false;
  }
  if (leases_.empty()) leases_.resize(request_.items.size());
  leases_[index] = lease;
  return true;
}

void WriteCall::RefuseLostLeases(std::vector<uint32_t>* indexes, Home home) {
  if (leases_.empty()) return;
  const auto lost = std::stable_partition(indexes->begin(), indexes->end(),
                                          [&](uint32_t index) { return HoldsLease(index, home); });
  indexes->erase(lost, indexes->end());
}

bool WriteCall::HoldsLease(uint32_t index, Home home) {
  const LeaseToken* lease = LeaseOf(index);
  if (lease == nullptr) return true;
  const WriteItem& item = Item(index);
  if (context_.engine.fences().Covers(name_space_.id, item.key, EncodeTags(item.tags),
                                      lease->version.hlc)) {
    LoseLeaseToNewer(EngineKey(item.key), home, lease->version, &results_[index]);
    return false;
  }
  if (context_.clock.Now() < lease->expires_at) return true;
  LoseLease(reason::kLeaseExpired, "the lease is over; somebody else may have one now",
            &results_[index]);
  return false;
}

void WriteCall::LoseLease(const char* reason, std::string message, WriteResult* result) {
  result->state = EntryState::kConflict;
  result->error =
      std::make_unique<Error>(Error{grpc::StatusCode::ABORTED, reason, std::move(message), {}});
}

void WriteCall::LoseLeaseToNewer(const EntryKey& key, Home home, Version lease,
                                 WriteResult* result) {
  name_space_.counters.origin.leases_void.fetch_add(1, std::memory_order_relaxed);
  LoseLease(reason::kLeaseVoid,
            "the key was written or invalidated after the lease was given; read it again", result);
  if (home == Home::kHere) misses_.OnLeaseVoid(key, lease);
}

void WriteCall::EndLeases(std::vector<uint32_t>* indexes, Home home, LeaseUse use) {
  if (leases_.empty()) return;
  const auto ends = [&](uint32_t index) {
    const WriteItem& item = Item(index);
    if (item.lease.empty() || item.lease_use != use) return false;
    if (use == LeaseUse::kGiveBack) return true;
    return policies_.base().origin.negative_ttl == absl::ZeroDuration() &&
           (home == Home::kElsewhere ||
            !misses_.LeaseRenews(EngineKey(item.key), LeaseOf(index)->version));
  };
  const auto first = std::stable_partition(indexes->begin(), indexes->end(),
                                           [&](uint32_t index) { return !ends(index); });
  for (auto it = first; it != indexes->end(); ++it) {
    results_[*it].state = EntryState::kOk;
    if (home == Home::kElsewhere) continue;  // Its owner, when it is back, lets the time pass.
    const Version version = LeaseOf(*it)->version;
    Landing absence;
    absence.tier = Tier::kOrigin;
    absence.version = version;
    if (misses_.EndLease(EngineKey(Item(*it).key), version,
                         use == LeaseUse::kAbsent ? &absence : nullptr)) {
      name_space_.counters.origin.leases_returned.fetch_add(1, std::memory_order_relaxed);
    }
  }
  indexes->erase(first, indexes->end());
}

RecordKind WriteCall::KindOf(const WriteItem& item) const {
  if (item.kind == WriteKind::kInvalidate) return RecordKind::kTombstone;
  if (item.lease.empty() || item.lease_use != LeaseUse::kAbsent) return RecordKind::kValue;
  return policies_.base().origin.negative_ttl == absl::ZeroDuration() ? RecordKind::kTombstone
                                                                      : RecordKind::kAbsent;
}

absl::Duration WriteCall::LifeFor(const WriteItem& item, const EntryKey& key,
                                  Version version) const {
  return KindOf(item) == RecordKind::kAbsent
             ? policies_.base().origin.negative_ttl
             : LifeOf(context_, policies_.Of(key.slot), item, key, version);
}

void WriteCall::FillInL1(uint32_t index, const LeaseToken& lease) {
  const WriteItem& item = Item(index);
  const EntryKey key = EngineKey(item.key);
  WriteResult& result = results_[index];
  (void)context_.versions.Merge(lease.version.hlc);
  const std::optional<FillToken> token = misses_.LeaseOf(key, lease.version);
  const absl::Duration now = context_.clock.Monotonic();
  const absl::Duration life = LifeFor(item, key, lease.version);
  lives_[index] = life;
  Entry entry = EntryOf(item, Stored(index), lease.version);
  PlaceEntry(context_, name_space_, policies_.Of(key.slot), key, life, now, Placing::kOnly, &entry);
  // Nothing older is in L1 that it might have to remove.
  if (KindOf(item) == RecordKind::kAbsent) MakeAbsence(&entry);
  const PutOutcome put =
      !token ? PutOutcome::kOvertaken : context_.engine.PutFill(key, std::move(entry), now, *token);
  if (put == PutOutcome::kOvertaken || put == PutOutcome::kStale || put == PutOutcome::kRenewed) {
    LoseLeaseToNewer(key, Home::kHere, lease.version, &result);
    return;
  }
  context_.TellWatchers(name_space_.name, key, lease.version);
  if (put == PutOutcome::kTooLarge) {
    SetError(TooLargeForL1Error(), &result);
    return;
  }
  result.state = EntryState::kOk;
  result.version = lease.version;
  CountWrite(item);
  TellWaiters(index, key, lease.version);
}

void WriteCall::TellWaiters(uint32_t index, const EntryKey& key, Version version) {
  if (!misses_.HasLeases()) return;
  const WriteItem& item = Item(index);
  if (item.kind == WriteKind::kInvalidate) misses_.OnLeaseVoid(key, version);
  if (item.kind != WriteKind::kSet) return;
  Landing landing;
  landing.version = version;
  landing.written = item.written;
  if (!item.tags.empty()) landing.tags = Buffer::CopyOf(EncodeTags(item.tags));
  if (KindOf(item) == RecordKind::kValue) {
    const StoredValue& stored = Stored(index);
    landing.state = EntryState::kOk;
    landing.tier = Tier::kL1;
    landing.encoding = stored.encoding;
    landing.raw_size = stored.raw_size;
    landing.value = stored.ToBuffer();
    landing.expires_at = context_.clock.Now() + lives_[index];
  } else {
    landing.tier = Tier::kOrigin;  // As the one who was to fill the key says.
  }
  misses_.OnWritten(key, landing);
}

}  // namespace meridian
