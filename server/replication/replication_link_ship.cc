// How a ReplicationLink sends: records are fetched here, at the last moment, and applied there.

#include <algorithm>
#include <utility>

#include "server/node/record.h"
#include "server/replication/replicated_write.h"
#include "server/replication/replication_link.h"
#include "server/replication/shipment.h"
#include "server/replication/write_refusal.h"

namespace meridian {
namespace {

bool IsLiveValue(const L2Write& write, absl::Time now) {
  const absl::StatusOr<Record> record = ParseRecord(write.record);
  return record.ok() && record->kind == RecordKind::kValue && record->expires_at > now;
}

}  // namespace

bool ReplicationLink::Ship() {
  if (shipments_ >= options_.max_fetches || slots_under_way_ >= options_.max_slots) return false;
  const size_t limit = std::min(pace_.Room(), fetch_pace_.Room());
  if (limit == 0) return false;
  auto shipment = std::make_shared<Shipment>();
  shipment->attempt = attempt_;
  shipment->batches = backlog_.TakeBatches(limit, options_.max_slots - slots_under_way_);
  if (shipment->batches.empty()) return false;
  for (const SlotBatch& batch : shipment->batches) {
    pace_.Sent(batch.count);
    for (const LogEntry& entry : batch.changes) {
      if (SendsValues(entry.name_space))
        shipment->keys.push_back({batch.ticket.slot, entry.name_space, entry.key});
    }
  }
  shipment->open = shipment->batches.size();
  ++shipments_;
  slots_under_way_ += shipment->open;
  if (shipment->keys.empty()) {
    Fetched(shipment, {});
    return true;
  }
  const uint64_t round = fetch_pace_.Sent(shipment->keys.size());
  source_.FetchFromPrimary(shipment->keys,
                           clock_.Now() + fetch_pace_.Timeout(shipment->keys.size()),
                           gate_.Reply<std::vector<L2Record>>(
                               [this, shipment, round](const std::vector<L2Record>& records) {
                                 fetch_pace_.Answered(round, records);
                                 Fetched(shipment, records);
                                 SchedulePump();  // More may be fetched now.
                               }));
  return true;
}

void ReplicationLink::Fetched(const std::shared_ptr<Shipment>& shipment,
                              const std::vector<L2Record>& records) {
  if (absl::Status status = CheckFetched(records, shipment.get()); !status.ok()) {
    return Abandon(*shipment, status);
  }
  size_t next = 0;
  for (SlotBatch& batch : shipment->batches) {
    bool late = false;
    shipment->changes.emplace_back();
    shipment->losses.emplace_back();
    shipment->not_sent.emplace_back(batch.changes.size(), false);
    if (shipment->overloaded.count(batch.ticket.slot) > 0) {
      while (next < shipment->keys.size() && shipment->keys[next].slot == batch.ticket.slot) ++next;
      shipment->writes.emplace_back();
      continue;
    }
    shipment->writes.push_back(WritesOf(batch, records, &next, &late, shipment.get()));
    if (late && !batch.mending) {
      Late(batch.ticket);
      batch.mending = true;
    }
  }
  WaitForOverloaded(shipment);
  DropOwn(shipment);
}

// Slots of which a command found too much under way: they come again, and the others go on.
void ReplicationLink::WaitForOverloaded(const std::shared_ptr<Shipment>& shipment) {
  for (size_t i = 0; i < shipment->batches.size(); ++i) {
    const SlotTicket ticket = shipment->batches[i].ticket;
    if (shipment->overloaded.count(ticket.slot) == 0) continue;
    backlog_.Wait(ticket);
    gate_.PostAfter(options_.backoff.initial, [this, ticket] { GoOn(ticket); });
    Close(shipment, i, /*applied=*/false);
  }
}

// First here, then there: what the target drops must not come from it a moment later. What the own
// store does not take now is owed, and the cursor stays behind the change until it is done: whoever
// owns the slot by then, after a crash of this node, say, finds the change again (docs/adr/0027).
void ReplicationLink::DropOwn(const std::shared_ptr<Shipment>& shipment) {
  std::set<uint32_t> dropping;
  for (const OwnDrop& drop : shipment->own_drops) dropping.insert(drop.key.slot);
  for (size_t i = 0; i < shipment->batches.size(); ++i) {
    const uint32_t slot = shipment->batches[i].ticket.slot;
    if (dropping.count(slot) == 0 && shipment->overloaded.count(slot) == 0) Apply(shipment, i);
  }
  if (dropping.empty()) return;
  own_drops_.Write(std::move(shipment->own_drops),
                   [this, shipment, dropping](const OwnDrops::Outcome& outcome) {
                     OwnDropped(shipment, dropping, outcome);
                   });
}

void ReplicationLink::OwnDropped(const std::shared_ptr<Shipment>& shipment,
                                 const std::set<uint32_t>& dropping,
                                 const OwnDrops::Outcome& outcome) {
  for (size_t i = 0; i < shipment->batches.size(); ++i) {
    SlotBatch& batch = shipment->batches[i];
    const uint32_t slot = batch.ticket.slot;
    if (dropping.count(slot) == 0) continue;
    if (const auto found = outcome.given_up.find(slot); found != outcome.given_up.end()) {
      std::vector<absl::Status>& dropped = shipment->losses[i].dropped;
      dropped.insert(dropped.end(), found->second.begin(), found->second.end());
    }
    // Of a slot that is lost nothing is owed: its next owner must find the change.
    batch.held = outcome.owing.count(slot) > 0 || !backlog_.IsHere(batch.ticket);
    if (batch.held) {
      backlog_.Hold(batch.ticket);
    } else {
      backlog_.Release(slot);
    }
    if (outcome.no_room.count(slot) == 0) {
      Apply(shipment, i);
      continue;
    }
    backlog_.Wait(batch.ticket);
    gate_.PostAfter(options_.backoff.max, [this, ticket = batch.ticket] { GoOn(ticket); });
    Close(shipment, i, /*applied=*/false);
  }
}

// To be fetched again, because of the own store.
void ReplicationLink::Abandon(const Shipment& shipment, const absl::Status& status) {
  for (const SlotBatch& batch : shipment.batches) {
    backlog_.Finish(batch, false);
    pace_.Done(batch.count);
  }
  --shipments_;
  slots_under_way_ -= shipment.open;
  Failed(shipment.attempt, options_.own_region, status);
}

// Why the shipment must be fetched again, or OK. A single record that is too large is no reason. A
// shipment is many commands: what some of them are refused for the load on our side says nothing
// about their records, and is found in `shipment->overloaded`.
absl::Status ReplicationLink::CheckFetched(const std::vector<L2Record>& records,
                                           Shipment* shipment) {
  absl::Status refused;
  bool any_ok = false;
  for (size_t i = 0; i < records.size(); ++i) {
    const absl::Status& status = records[i].status;
    if (status.ok()) {
      any_ok = true;
    } else if (absl::IsResourceExhausted(status)) {
      refused = status;
      if (IsOverload(status)) shipment->overloaded.insert(shipment->keys[i].slot);
    } else {
      return status;
    }
  }
  const bool overloaded = !shipment->overloaded.empty();
  const bool gives_up = records.size() == 1 && !overloaded && ++refused_alone_ >= kMaxRefusals;
  if (overloaded || !(refused.ok() || any_ok || gives_up)) {
    fetch_pace_.Refused(records.size());
  }
  if (!refused.ok() && !any_ok && !gives_up) return refused;
  if (!overloaded) refused_alone_ = 0;
  return absl::OkStatus();
}

std::vector<L2Write> ReplicationLink::WritesOf(const SlotBatch& batch,
                                               const std::vector<L2Record>& records, size_t* next,
                                               bool* late, Shipment* shipment) {
  const std::vector<L2Key>& shipped = shipment->keys;
  const absl::Time now = clock_.Now();
  const absl::Duration tombstone_ttl = options_.repair.tombstone_ttl;
  std::vector<L2Write> writes;
  std::vector<uint32_t>& changes = shipment->changes.back();
  Losses& losses = shipment->losses.back();
  std::vector<bool>& not_sent = shipment->not_sent.back();
  for (const LogEntry& entry : batch.changes) {
    // One that is not written is replaced by the next.
    changes.resize(writes.size());
    const auto index = static_cast<size_t>(&entry - batch.changes.data());
    changes.push_back(static_cast<uint32_t>(index));
    L2Key key{batch.ticket.slot, entry.name_space, entry.key};
    // The policy may change meanwhile: what was fetched is what counts.
    if (*next == shipped.size() || shipped[*next].key != entry.key ||
        shipped[*next].name_space != entry.name_space || shipped[*next].slot != key.slot) {
      writes.push_back(DropUpTo(key, entry.version, now));
      continue;
    }
    const L2Record& record = records[(*next)++];
    // Until it is; a drop in place of a delete does what the delete does.
    not_sent[index] = !entry.removal;
    // What cannot be sent still overtakes what is older over there.
    if (!record.status.ok()) {  // One record alone is too large for a reply.
      losses.dropped.push_back(record.status);
      writes.push_back(DropOlderThan(key, entry.version, now, tombstone_ttl));
      continue;
    }
    const absl::Duration keep = KeepOfDrop(entry.removal, tombstone_ttl);
    const L2Write drop = DropOlderThan(key, entry.version, now, keep);
    if (record.record.empty()) {
      losses.gone.push_back(entry.removal);
      writes.push_back(drop);
      shipment->own_drops.push_back({key, drop.version, keep});
      continue;
    }
    absl::StatusOr<L2Write> write = ReplicatedWrite(key, record.record.view(), now, tombstone_ttl);
    if (!write.ok()) {
      losses.dropped.push_back(write.status());
      writes.push_back(DropUpTo(key, entry.version, now, tombstone_ttl));
    } else if (write->version < entry.version) {
      // What the log names is gone, and what it had overtaken came in again, from a region that had
      // not been told; or a drop stands there already.
      losses.gone.push_back(entry.removal);
      writes.push_back(drop);
      if (write->version < drop.version) shipment->own_drops.push_back({key, drop.version, keep});
    } else if (IsBeyondTombstones(write->version.time()) && IsLiveValue(*write, now)) {
      *late = true;  // Left to the comparison.
    } else if (write->version.region != target_id_) {
      writes.push_back(*std::move(write));
      not_sent[index] = false;
    } else {
      not_sent[index] = false;  // The target has its own writes.
    }
  }
  changes.resize(writes.size());
  return writes;
}

void ReplicationLink::Apply(const std::shared_ptr<Shipment>& shipment, size_t index) {
  const SlotBatch& batch = shipment->batches[index];
  std::vector<L2Write> writes = std::move(shipment->writes[index]);
  size_t bytes = 0;
  for (const L2Write& write : writes) bytes += write.record.size();
  target_.ApplyReplicated(options_.own_region, batch.ticket.slot, batch.told(), std::move(writes),
                          clock_.Now() + pace_.Timeout(bytes),
                          gate_.Reply<std::vector<L2WriteResult>>(
                              [this, shipment, index](const std::vector<L2WriteResult>& results) {
                                Applied(shipment, index, results);
                              }));
}

void ReplicationLink::Applied(const std::shared_ptr<Shipment>& shipment, size_t index,
                              const std::vector<L2WriteResult>& results) {
  const SlotBatch& batch = shipment->batches[index];
  const absl::Status status = Count(results);
  if (!sync_waits_.empty()) TellWaiting(*shipment, index, results);
  if (IsOfOneSlot(status) && NoteRefused(batch, status)) {
    return Probe(shipment, index, status, &Refusals::alone, [this, shipment, index, status] {
      SendDrops(shipment, index, {{shipment->batches[index].changes.front(), status}});
    });
  }
  if (!status.ok()) return Finished(shipment, index, status);
  if (!results.empty()) {
    backoff_.Reset();
    if (shipment->attempt == attempt_) problem_.clear();
  }
  const std::vector<RefusedChange> refused = RefusedOf(*shipment, index, results);
  if (!refused.empty()) return SendDrops(shipment, index, refused);
  Finished(shipment, index, status);
}

void ReplicationLink::Finished(const std::shared_ptr<Shipment>& shipment, size_t index,
                               const absl::Status& status) {
  const SlotBatch& batch = shipment->batches[index];
  const bool too_much = absl::IsDeadlineExceeded(status) || IsOverload(status);
  if (too_much && shipment->attempt == attempt_) pace_.OnLate();
  if (status.ok()) {
    pace_.OnAnswered(batch.count);
    NoteTaken(batch);
    CountLosses(shipment->losses[index]);
  } else if (IsOfOneSlot(status)) {
    WaitAfterRefusal(batch, status);
  } else {
    Failed(shipment->attempt, options_.target_region, status);
  }
  Close(shipment, index, status.ok());
}

// The batch is not under way any more.
void ReplicationLink::Close(const std::shared_ptr<Shipment>& shipment, size_t index, bool applied) {
  const SlotBatch& batch = shipment->batches[index];
  pace_.Done(batch.count);
  backlog_.Finish(batch, applied);
  --slots_under_way_;
  if (--shipment->open > 0) return;
  --shipments_;
  Pump();
}

// All but what was not taken, or could not be sent, has arrived, or something newer has.
void ReplicationLink::TellWaiting(const Shipment& shipment, size_t index,
                                  const std::vector<L2WriteResult>& results) {
  const SlotBatch& batch = shipment.batches[index];
  std::vector<bool> missing(batch.changes.size(), false);
  for (size_t i = 0; i < results.size(); ++i) {
    missing[shipment.changes[index][i]] = !results[i].status.ok();
  }
  for (size_t i = 0; i < missing.size(); ++i) {
    if (shipment.not_sent[index][i]) {
      sync_waits_.Missed(options_.target_region, batch.changes[i]);
    } else if (!missing[i]) {
      sync_waits_.Arrived(options_.target_region, batch.changes[i]);
    }
  }
}

// Counts what was applied; the first status for which the batch must be sent again, or OK.
absl::Status ReplicationLink::Count(const std::vector<L2WriteResult>& results) {
  absl::Status again;
  size_t applied = 0;
  size_t stale = 0;
  for (const L2WriteResult& result : results) {
    if (!result.status.ok()) {
      // What is about the write is left out (SendDrops); what is about the store counts more.
      const bool counts = !IsAboutTheWrite(result.status) && (again.ok() || MayBeAboutAKey(again));
      if (counts) again = result.status;
    } else if (result.outcome == L2WriteOutcome::kApplied) {
      ++applied;
      last_applied_ = std::max(last_applied_, result.stored);
    } else {
      ++stale;
    }
  }
  if (applied > 0) {
    taken_ = true;
    takes_nothing_ = false;
  }
  applied_total_ += applied;
  stale_total_ += stale;
  if (applied + stale > 0) observer_.OnApplied(options_.target_region, applied, stale);
  return again;
}

void ReplicationLink::CountLosses(const Losses& losses) {
  gone_total_ += losses.gone.size();
  for (const bool removal : losses.gone) observer_.OnGone(options_.target_region, removal);
  for (const absl::Status& why : losses.dropped) Drop(why);
}

void ReplicationLink::Drop(const absl::Status& why) {
  ++dropped_total_;
  observer_.OnDropped(options_.target_region, why);
}

}  // namespace meridian
