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
  const size_t by_bytes =
      static_cast<size_t>(static_cast<double>(options_.batch_bytes) / average_bytes_);
  const size_t room = pace_.Room();
  if (room == 0) return false;
  const size_t limit = std::min(room, std::clamp<size_t>(by_bytes, 1, batch_limit_));
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
  source_.FetchFromPrimary(
      shipment->keys, Deadline(),
      gate_.Reply<std::vector<L2Record>>(
          [this, shipment](const std::vector<L2Record>& records) { Fetched(shipment, records); }));
  return true;
}

void ReplicationLink::Fetched(const std::shared_ptr<Shipment>& shipment,
                              const std::vector<L2Record>& records) {
  if (absl::Status status = CheckFetched(records); !status.ok()) {
    return Abandon(*shipment, status);
  }
  batch_limit_ = std::min(options_.batch_changes, batch_limit_ + batch_limit_ / 8 + 1);
  size_t next = 0;
  for (SlotBatch& batch : shipment->batches) {
    bool late = false;
    shipment->changes.emplace_back();
    shipment->writes.push_back(WritesOf(batch, records, &next, &late, shipment.get()));
    if (late && !batch.mending) {
      Late(batch.ticket);
      batch.mending = true;
    }
  }
  DropOwn(shipment);
}

// First here, then there: what the target drops must not come from it a moment later.
void ReplicationLink::DropOwn(const std::shared_ptr<Shipment>& shipment) {
  if (shipment->own_drops.empty()) return ApplyAll(shipment);
  auto drops = std::make_shared<std::vector<L2Write>>(std::move(shipment->own_drops));
  shipment->own_drops.clear();
  source_.Apply(*drops, Deadline(),
                gate_.Reply<std::vector<L2WriteResult>>(
                    [this, shipment, drops](const std::vector<L2WriteResult>& results) {
                      OwnDropped(shipment, *drops, results);
                    }));
}

void ReplicationLink::OwnDropped(const std::shared_ptr<Shipment>& shipment,
                                 std::vector<L2Write>& drops,
                                 const std::vector<L2WriteResult>& results) {
  for (size_t i = 0; i < results.size(); ++i) {
    const L2WriteResult& result = results[i];
    if (!result.status.ok()) {
      if (MayBeAboutAKey(result.status) && ++own_refusals_ >= kMaxRefusals) continue;
      if (IsAboutTheWrite(result.status)) continue;
      return Abandon(*shipment, result.status);
    }
    own_refusals_ = 0;
    if (result.outcome != L2WriteOutcome::kConflict || result.stored > drops[i].version) continue;
    // Something older came in after all: it goes, and whoever has read it is told.
    drops[i].condition = L2Condition::kNone;
    drops[i].logged = true;
    shipment->own_drops.push_back(std::move(drops[i]));
  }
  DropOwn(shipment);
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

void ReplicationLink::ApplyAll(const std::shared_ptr<Shipment>& shipment) {
  for (size_t i = 0; i < shipment->batches.size(); ++i) {
    Apply(shipment, i, std::move(shipment->writes[i]));
  }
}

// Why the shipment must be fetched again, or OK. A single record that is too large is no reason.
absl::Status ReplicationLink::CheckFetched(const std::vector<L2Record>& records) {
  absl::Status refused;
  bool any_ok = false;
  for (const L2Record& record : records) {
    if (record.status.ok()) {
      any_ok = true;
    } else if (absl::IsResourceExhausted(record.status)) {
      refused = record.status;
    } else {
      return record.status;
    }
  }
  if (refused.ok() || any_ok || (records.size() == 1 && ++refused_alone_ >= kMaxRefusals)) {
    refused_alone_ = 0;
    return absl::OkStatus();
  }
  batch_limit_ = std::max<size_t>(1, records.size() / 2);
  return refused;
}

std::vector<L2Write> ReplicationLink::WritesOf(const SlotBatch& batch,
                                               const std::vector<L2Record>& records, size_t* next,
                                               bool* late, Shipment* shipment) {
  const std::vector<L2Key>& shipped = shipment->keys;
  const absl::Time now = clock_.Now();
  const absl::Duration tombstone_ttl = options_.repair.tombstone_ttl;
  std::vector<L2Write> writes;
  std::vector<uint32_t>& changes = shipment->changes.back();
  for (const LogEntry& entry : batch.changes) {
    // One that is not written is replaced by the next.
    changes.resize(writes.size());
    changes.push_back(static_cast<uint32_t>(&entry - batch.changes.data()));
    L2Key key{batch.ticket.slot, entry.name_space, entry.key};
    // The policy may change meanwhile: what was fetched is what counts.
    if (*next == shipped.size() || shipped[*next].key != entry.key ||
        shipped[*next].name_space != entry.name_space || shipped[*next].slot != key.slot) {
      writes.push_back(DropUpTo(key, entry.version, now));
      continue;
    }
    const L2Record& record = records[(*next)++];
    // What cannot be sent still overtakes what is older over there.
    if (!record.status.ok()) {  // One record alone is too large for a reply.
      Drop(record.status);
      writes.push_back(DropOlderThan(key, entry.version, now, tombstone_ttl));
      continue;
    }
    const L2Write drop =
        DropOlderThan(key, entry.version, now, KeepOfDrop(entry.removal, tombstone_ttl));
    if (record.record.empty()) {
      NoteGone(entry);
      writes.push_back(drop);
      shipment->own_drops.push_back(drop);
      // Nothing is there that anybody would have to be told of.
      shipment->own_drops.back().condition = L2Condition::kIfAbsent;
      shipment->own_drops.back().logged = false;
      continue;
    }
    average_bytes_ += (static_cast<double>(record.record.size()) - average_bytes_) / 64;
    absl::StatusOr<L2Write> write = ReplicatedWrite(key, record.record.view(), now, tombstone_ttl);
    if (!write.ok()) {
      Drop(write.status());
      writes.push_back(DropUpTo(key, entry.version, now, tombstone_ttl));
    } else if (write->version < entry.version) {
      // What the log names is gone, and what it had overtaken came in again, from a region that had
      // not been told; or a drop stands there already.
      NoteGone(entry);
      writes.push_back(drop);
      if (write->version < drop.version) shipment->own_drops.push_back(drop);
    } else if (IsBeyondTombstones(write->version.time()) && IsLiveValue(*write, now)) {
      *late = true;  // Left to the comparison.
    } else if (write->version.region != target_id_) {
      // The target has its own writes.
      writes.push_back(*std::move(write));
    }
  }
  changes.resize(writes.size());
  return writes;
}

void ReplicationLink::Apply(const std::shared_ptr<Shipment>& shipment, size_t index,
                            std::vector<L2Write> writes) {
  const SlotBatch& batch = shipment->batches[index];
  const LogPosition cursor = batch.mending ? LogPosition{} : batch.cursor;
  size_t bytes = 0;
  for (const L2Write& write : writes) bytes += write.record.size();
  target_.ApplyReplicated(options_.own_region, batch.ticket.slot, cursor, std::move(writes),
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
  if (MayBeAboutAKey(status) && NoteRefused(batch)) return Probe(shipment, index, status);
  if (!status.ok()) return Finished(shipment, index, status);
  if (!results.empty()) {
    backoff_.Reset();
    if (shipment->attempt == attempt_) problem_.clear();
  }
  const std::vector<LogEntry> refused = RefusedOf(*shipment, index, results);
  if (!refused.empty()) return SendDrops(shipment, index, refused);
  if (!sync_waits_.empty()) TellWaiting(batch);
  Finished(shipment, index, status);
}

void ReplicationLink::Finished(const std::shared_ptr<Shipment>& shipment, size_t index,
                               const absl::Status& status) {
  const SlotBatch& batch = shipment->batches[index];
  const bool too_much = absl::IsDeadlineExceeded(status) || IsOverload(status);
  if (too_much && shipment->attempt == attempt_) pace_.OnLate();
  pace_.Done(batch.count);
  backlog_.Finish(batch, status.ok());
  const bool last = --shipment->open == 0;
  if (last) --shipments_;
  --slots_under_way_;
  if (!status.ok()) {
    Failed(shipment->attempt, options_.target_region, status);
  } else {
    pace_.OnAnswered(batch.count);
    NoteTaken(batch);
  }
  if (last) Pump();
}

void ReplicationLink::TellWaiting(const SlotBatch& batch) {
  for (const LogEntry& entry : batch.changes) sync_waits_.Arrived(options_.target_region, entry);
}

// Counts what was applied; the first status for which the batch must be sent again, or OK.
absl::Status ReplicationLink::Count(const std::vector<L2WriteResult>& results) {
  absl::Status again;
  size_t applied = 0;
  size_t stale = 0;
  for (const L2WriteResult& result : results) {
    if (!result.status.ok()) {
      if (IsAboutTheWrite(result.status)) {
        Drop(result.status);
      } else if (again.ok() || MayBeAboutAKey(again)) {
        again = result.status;  // What is about the store counts more.
      }
    } else if (result.outcome == L2WriteOutcome::kApplied) {
      ++applied;
      last_applied_ = std::max(last_applied_, result.stored);
    } else {
      ++stale;
    }
  }
  applied_total_ += applied;
  stale_total_ += stale;
  if (applied + stale > 0) observer_.OnApplied(options_.target_region, applied, stale);
  return again;
}

void ReplicationLink::NoteGone(const LogEntry& entry) {
  ++gone_total_;
  observer_.OnGone(options_.target_region, entry.removal);
}

void ReplicationLink::Drop(const absl::Status& why) {
  ++dropped_total_;
  observer_.OnDropped(options_.target_region, why);
}

}  // namespace meridian
