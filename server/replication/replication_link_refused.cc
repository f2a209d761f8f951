// What a ReplicationLink does about changes that the target does not take.

#include <algorithm>
#include <utility>

#include "server/replication/replication_link.h"
#include "server/replication/shipment.h"
#include "server/replication/write_refusal.h"

namespace meridian {

// Those that were refused for their own sake.
std::vector<LogEntry> ReplicationLink::RefusedOf(const Shipment& shipment, size_t index,
                                                 const std::vector<L2WriteResult>& results) const {
  std::vector<LogEntry> refused;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!IsAboutTheWrite(results[i].status)) continue;
    refused.push_back(shipment.batches[index].changes[shipment.changes[index][i]]);
  }
  return refused;
}

// The slot's next batch is half as large, so that the others of the batch go on, and the one that
// is refused comes to be alone. True when it is, and has been refused often enough to ask whether
// it is for its own sake.
bool ReplicationLink::NoteRefused(const SlotBatch& batch) {
  Refusals& refusals = refusals_[batch.ticket.slot];
  ++refusals.times;
  refusals.limit = std::max<size_t>(1, batch.count / 2);
  backlog_.Limit(batch.ticket.slot, refusals.limit);
  return batch.count == 1 && refusals.times >= kMaxRefusals;
}

void ReplicationLink::NoteTaken(const SlotBatch& batch) {
  const auto it = refusals_.find(batch.ticket.slot);
  if (it == refusals_.end()) return;
  Refusals& refusals = it->second;
  refusals.times = 0;
  refusals.alone = 0;
  refusals.limit *= 2;
  const bool over = refusals.limit > options_.batch_changes;
  backlog_.Limit(batch.ticket.slot, over ? LinkBacklog::kNoLimit : refusals.limit);
  if (over) refusals_.erase(it);
}

// Whether the slot takes another write right now; if so, it is the change.
void ReplicationLink::Probe(const std::shared_ptr<Shipment>& shipment, size_t index,
                            const absl::Status& refusal) {
  const uint32_t slot = shipment->batches[index].ticket.slot;
  std::vector<L2Write> writes;
  writes.push_back(ProbeWrite(slot, options_.own_region, clock_.Now()));
  target_.ApplyReplicated(
      options_.own_region, slot, LogPosition{}, std::move(writes), Deadline(),
      gate_.Reply<std::vector<L2WriteResult>>(
          [this, shipment, index, refusal](const std::vector<L2WriteResult>& results) {
            const L2WriteResult& result = results.front();
            const bool takes = result.status.ok() && result.outcome == L2WriteOutcome::kApplied;
            const SlotBatch& batch = shipment->batches[index];
            const auto it = refusals_.find(batch.ticket.slot);
            if (it == refusals_.end()) return Finished(shipment, index, refusal);  // Lost.
            Refusals& refusals = it->second;
            refusals.alone = takes ? refusals.alone + 1 : 0;
            if (refusals.alone < RefusalsThatProve(refusal)) {
              return Finished(shipment, index, refusal);
            }
            Drop(refusal);
            SendDrops(shipment, index, batch.changes);
          }));
}

// What the target does not take overtakes what is older over there all the same.
void ReplicationLink::SendDrops(const std::shared_ptr<Shipment>& shipment, size_t index,
                                const std::vector<LogEntry>& refused) {
  const SlotBatch& batch = shipment->batches[index];
  const absl::Time now = clock_.Now();
  std::vector<L2Write> writes;
  for (const LogEntry& entry : refused) {
    writes.push_back(DropOlderThan({batch.ticket.slot, entry.name_space, entry.key}, entry.version,
                                   now, options_.repair.tombstone_ttl));
  }
  const LogPosition cursor = batch.mending ? LogPosition{} : batch.cursor;
  target_.ApplyReplicated(
      options_.own_region, batch.ticket.slot, cursor, std::move(writes), Deadline(),
      gate_.Reply<std::vector<L2WriteResult>>(
          [this, shipment, index, cursor](const std::vector<L2WriteResult>& results) {
            bool left_out = false;
            for (const L2WriteResult& result : results) {
              if (result.status.ok()) continue;
              // Want of memory passes, and a drop that stands for a delete must not be given up.
              left_out = MayBeAboutAKey(result.status) && !absl::IsResourceExhausted(result.status);
              if (!left_out) return Finished(shipment, index, result.status);
            }
            if (!left_out) return Finished(shipment, index, absl::OkStatus());
            // Nothing is smaller than a drop: the key stays as it is. The cursor may have waited.
            target_.ApplyReplicated(
                options_.own_region, shipment->batches[index].ticket.slot, cursor, {}, Deadline(),
                gate_.Reply<std::vector<L2WriteResult>>([this, shipment, index](const auto&) {
                  Finished(shipment, index, absl::OkStatus());
                }));
          }));
}

}  // namespace meridian
