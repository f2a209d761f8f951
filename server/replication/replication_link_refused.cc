// What a ReplicationLink does about changes that the target does not take.

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replication/replicated_write.h"
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
bool ReplicationLink::NoteRefused(const SlotBatch& batch, const absl::Status& refusal) {
  if (!backlog_.IsHere(batch.ticket)) return false;
  Refusals& refusals = refusals_[batch.ticket.slot];
  refusals.limit = std::max<size_t>(1, batch.count / 2);
  backlog_.Limit(batch.ticket.slot, refusals.limit);
  refusals.times = MayBeAboutAKey(refusal) ? refusals.times + 1 : 0;
  return batch.count == 1 && refusals.times >= kMaxRefusals;
}

// The slot waits, and no other does.
void ReplicationLink::WaitAfterRefusal(const SlotBatch& batch, const absl::Status& refusal) {
  refusal_ = refusal;
  const auto it = refusals_.find(batch.ticket.slot);
  if (it == refusals_.end()) return;  // Lost.
  Refusals& refusals = it->second;
  refusals.waits = true;
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  backlog_.Wait(batch.ticket);
  gate_.PostAfter(refusals.backoff.Next(random), [this, ticket = batch.ticket] { GoOn(ticket); });
}

void ReplicationLink::GoOn(SlotTicket ticket) {
  backlog_.GoOn(ticket);
  SchedulePump();
}

void ReplicationLink::NoteTaken(const SlotBatch& batch) {
  const auto it = refusals_.find(batch.ticket.slot);
  if (it == refusals_.end()) return;
  Refusals& refusals = it->second;
  refusals.times = 0;
  refusals.alone = 0;
  refusals.waits = false;
  refusals.backoff.Reset();
  refusals.limit *= 2;
  const bool over = refusals.limit > options_.batch_changes;
  backlog_.Limit(batch.ticket.slot, over ? LinkBacklog::kNoLimit : refusals.limit);
  if (over) refusals_.erase(it);
}

size_t ReplicationLink::RefusedSlots() const {
  return static_cast<size_t>(std::count_if(refusals_.begin(), refusals_.end(),
                                           [](const auto& slot) { return slot.second.waits; }));
}

// Slots are refused, and nothing was taken since this was asked last: whether the store takes
// anything at all is asked in a few slots that it has not refused. If not, the link counts as
// disconnected, so that nobody waits for it.
void ReplicationLink::AskWhetherAnythingIsTaken() {
  const size_t refused = RefusedSlots();
  if (refused == 0) takes_nothing_ = false;
  if (std::exchange(taken_, false) || refused == 0 || paused_ || cut_ || asking_) return;
  std::vector<uint32_t> others;
  for (const SlotTicket& ticket : backlog_.Tickets()) {
    const auto it = refusals_.find(ticket.slot);
    if (it == refusals_.end() || !it->second.waits) others.push_back(ticket.slot);
  }
  constexpr size_t kAsked = 3;
  std::shuffle(others.begin(), others.end(), random_);
  others.resize(std::min(others.size(), kAsked));
  if (others.empty()) {
    takes_nothing_ = true;
    return;
  }
  asking_ = true;
  struct Asked {
    size_t open;
    bool any = false;
  };
  auto asked = std::make_shared<Asked>(Asked{others.size()});
  for (const uint32_t slot : others) {
    std::vector<L2Write> writes;
    writes.push_back(ProbeWrite(slot, options_.own_region, clock_.Now()));
    target_.ApplyReplicated(options_.own_region, slot, LogPosition{}, std::move(writes), Deadline(),
                            gate_.Reply<std::vector<L2WriteResult>>(
                                [this, asked](const std::vector<L2WriteResult>& results) {
                                  asked->any |= !IsOfOneSlot(results.front().status);
                                  if (--asked->open > 0) return;
                                  asking_ = false;
                                  takes_nothing_ = !asked->any && !taken_ && RefusedSlots() > 0;
                                  Report();
                                }));
  }
}

// What is wrong while the link goes on; empty: nothing.
std::string ReplicationLink::Trouble() const {
  std::string trouble;
  if (const size_t slots = RefusedSlots(); slots > 0) {
    trouble = absl::StrCat("store of ", options_.target_region, ": refuses changes of ", slots,
                           slots == 1 ? " slot: " : " slots: ", refusal_.ToString());
  }
  if (own_drops_.owed() > 0) {
    absl::StrAppend(
        &trouble, trouble.empty() ? "" : "; ", "store of ", options_.own_region,
        ": refuses to drop what is older than ", own_drops_.owed(),
        " changes that have expired or been evicted: ", own_drops_.refusal().ToString());
  }
  return trouble;
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
  const LogPosition cursor = batch.told();
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
