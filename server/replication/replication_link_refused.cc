// What a ReplicationLink does about changes that the target does not take.

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replication/replicated_write.h"
#include "server/replication/replication_link.h"
#include "server/replication/shipment.h"
#include "server/replication/store_probe.h"
#include "server/replication/write_refusal.h"

namespace meridian {

// Those that were refused for their own sake.
std::vector<ReplicationLink::RefusedChange> ReplicationLink::RefusedOf(
    const Shipment& shipment, size_t index, const std::vector<L2WriteResult>& results) const {
  std::vector<RefusedChange> refused;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!IsAboutTheWrite(results[i].status)) continue;
    refused.push_back(
        {shipment.batches[index].changes[shipment.changes[index][i]], results[i].status});
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

// Of slots of which nothing waits any more: a former owner has brought it across, or it is gone.
void ReplicationLink::ForgetRefusals() {
  for (auto it = refusals_.begin(); it != refusals_.end();) {
    if (backlog_.IsBehind(it->first)) {
      ++it;
      continue;
    }
    backlog_.Limit(it->first, LinkBacklog::kNoLimit);
    it = refusals_.erase(it);
  }
}

void ReplicationLink::NoteTaken(const SlotBatch& batch) {
  const auto it = refusals_.find(batch.ticket.slot);
  if (it == refusals_.end()) return;
  Refusals& refusals = it->second;
  refusals.times = 0;
  refusals.alone = 0;
  refusals.no_drop = 0;
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
    if (std::binary_search(away_.begin(), away_.end(), ticket.slot)) continue;
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
                                  asked->any |= TookProbe(results);
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

// Whether the slot takes another write right now; if it does each time, and has often enough, it is
// the change that is refused, or its drop: `proved` goes on.
void ReplicationLink::Probe(const std::shared_ptr<Shipment>& shipment, size_t index,
                            const absl::Status& refusal, int Refusals::*proofs,
                            Executor::Task proved) {
  const uint32_t slot = shipment->batches[index].ticket.slot;
  std::vector<L2Write> writes;
  writes.push_back(ProbeWrite(slot, options_.own_region, clock_.Now()));
  target_.ApplyReplicated(
      options_.own_region, slot, LogPosition{}, std::move(writes), Deadline(),
      gate_.Reply<std::vector<L2WriteResult>>(
          [this, shipment, index, slot, refusal, proofs,
           proved = std::move(proved)](const std::vector<L2WriteResult>& results) {
            const auto it = refusals_.find(slot);
            if (it == refusals_.end()) return Finished(shipment, index, refusal);  // Lost.
            int& times = it->second.*proofs;
            times = TookProbe(results) ? times + 1 : 0;
            if (times < RefusalsThatProve(refusal)) return Finished(shipment, index, refusal);
            proved();
          }));
}

// What the target does not take overtakes what is older over there all the same.
void ReplicationLink::SendDrops(const std::shared_ptr<Shipment>& shipment, size_t index,
                                const std::vector<RefusedChange>& refused) {
  const SlotBatch& batch = shipment->batches[index];
  const absl::Time now = clock_.Now();
  std::vector<L2Write> writes;
  for (const RefusedChange& change : refused) {
    const LogEntry& entry = change.entry;
    writes.push_back(DropOlderThan({batch.ticket.slot, entry.name_space, entry.key}, entry.version,
                                   now, options_.repair.tombstone_ttl));
  }
  target_.ApplyReplicated(options_.own_region, batch.ticket.slot, batch.told(), std::move(writes),
                          Deadline(),
                          gate_.Reply<std::vector<L2WriteResult>>(
                              [this, shipment, index, refused](const auto& results) {
                                DropsSent(shipment, index, refused, results);
                              }));
}

// A drop that is refused is a refused change, and what it stands for may be a delete: it is sent
// again, in smaller batches, until it is alone and its slot takes others. Want of memory passes.
// Where a key of a foreign type is, no drop will ever be taken.
void ReplicationLink::DropsSent(const std::shared_ptr<Shipment>& shipment, size_t index,
                                const std::vector<RefusedChange>& refused,
                                const std::vector<L2WriteResult>& results) {
  const SlotBatch& batch = shipment->batches[index];
  absl::Status again;
  bool all_dropped = true;
  for (const L2WriteResult& result : results) {
    if (result.status.ok()) continue;
    all_dropped = false;
    if (absl::IsFailedPrecondition(result.status)) continue;
    if (again.ok() || MayBeAboutAKey(again)) again = result.status;
  }
  if (again.ok()) return LeaveOut(shipment, index, refused, all_dropped);
  const bool alone = IsOfOneSlot(again) && NoteRefused(batch, again);
  if (!alone || absl::IsResourceExhausted(again)) return Finished(shipment, index, again);
  Probe(shipment, index, again, &Refusals::no_drop, [this, shipment, index, refused] {
    LeaveOut(shipment, index, refused, /*all_dropped=*/false);
  });
}

void ReplicationLink::LeaveOut(const std::shared_ptr<Shipment>& shipment, size_t index,
                               const std::vector<RefusedChange>& refused, bool all_dropped) {
  std::vector<absl::Status>& dropped = shipment->losses[index].dropped;
  for (const RefusedChange& change : refused) dropped.push_back(change.why);
  if (all_dropped) return Finished(shipment, index, absl::OkStatus());
  // Nothing is smaller than a drop: the key stays as it is. The cursor may have waited.
  const SlotBatch& batch = shipment->batches[index];
  target_.ApplyReplicated(options_.own_region, batch.ticket.slot, batch.told(), {}, Deadline(),
                          gate_.Reply<std::vector<L2WriteResult>>(
                              [this, shipment, index](const std::vector<L2WriteResult>&) {
                                Finished(shipment, index, absl::OkStatus());
                              }));
}

}  // namespace meridian
